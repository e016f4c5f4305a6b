"""The TLS listeners of a surface: one per address, on one port."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Callable, Sequence

import psutil

from mooring.cloud.errors import AddressUnavailable, PortNotPermitted
from mooring.transport.errors import ListenAddressUnavailable
from mooring.transport.limits import ListenerLimits
from mooring.transport.listener import TlsListener
from mooring.transport.server_application import ServerApplication
from mooring.transport.server_tls import ServerTls

ABSENT = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
"""What the system says of an address that it does not have at all."""


NOT_PERMITTED = frozenset({errno.EACCES, errno.EPERM})
"""What the system says of a port that this user may not have."""


async def start_listeners(
    surface: str,
    application_factory: Callable[[], ServerApplication],
    *,
    addresses: Sequence[str],
    port: int,
    tls: ServerTls,
    limits: ListenerLimits,
    on_handshake_failed: Callable[[str, str], None],
) -> list[TlsListener]:
    """Listen on every one of `addresses`; ``::1`` may be missing beside another.

    `port` 0 takes a free one, the same on all. `surface` names what is served, for errors.

    Raises:
        PortNotPermitted: This user may not have the port.
        AddressUnavailable: Taken, or not an address of this machine.
    """
    listeners: list[TlsListener] = []
    for address in addresses:
        try:
            listener = await TlsListener.start(
                application_factory,
                host=address,
                port=port,
                tls=tls,
                limits=limits,
                on_handshake_failed=on_handshake_failed,
            )
        except ListenAddressUnavailable as error:
            cause = error.__cause__
            if (
                address == "::1"
                and len(addresses) > 1
                and isinstance(cause, OSError)
                and (cause.errno in ABSENT or isinstance(cause, socket.gaierror))
            ):
                continue
            for started in listeners:
                await started.close(0.0)
            not_permitted = isinstance(cause, OSError) and cause.errno in NOT_PERMITTED
            kind = PortNotPermitted if not_permitted else AddressUnavailable
            raise kind(f"{surface}: {error.message}", error.remedy) from error
        listeners.append(listener)
        port = listener.port
    return listeners


def names_of_addresses(addresses: Sequence[str]) -> list[str]:
    """Return the names and addresses under which clients may dial listeners on `addresses`."""
    names: list[str] = []
    for address in addresses:
        parsed = ipaddress.ip_address(address)
        if parsed.is_unspecified:
            names += ["localhost", socket.gethostname().lower(), *_own_addresses()]
        else:
            names.append(str(parsed))
            if parsed.is_loopback:
                names.append("localhost")
    return list(dict.fromkeys(names))


def _own_addresses() -> list[str]:
    return [
        str(ipaddress.ip_address(entry.address.partition("%")[0]))
        for entries in psutil.net_if_addrs().values()
        for entry in entries
        if entry.family in {socket.AF_INET, socket.AF_INET6} and "%" not in entry.address
    ]
