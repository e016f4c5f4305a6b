"""Loopback addresses to lend: each throw-away cloud gets a 127.x.y.z of its own.

Azure's SDKs dial fixed ports whatever they are told, so clouds beside each other cannot differ in
their ports: they differ in their address. On Linux all of 127.0.0.0/8 is this machine.
"""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

STANDARD_PORTS = (8883, 443, 8081)
"""What a cloud takes on its address: MQTT, HTTPS, the admin API."""

LOCK_PORT = 8883
"""The UDP port of this number is the lock on an address: nothing of Mooring speaks UDP, and the
kernel frees it however the process ends, with no file to be left behind."""

_TRIES = 100
"""With 15 million addresses the second is free, unless a program holds a port on all of them."""


class NoAddressFree(Exception):
    """No loopback address can be had; holds `code`, `message`, `remedy`."""

    code = "no-address"

    def __init__(self, message: str, remedy: str) -> None:
        """Hold the facts."""
        super().__init__(f"{message} {remedy}")
        self.message = message
        self.remedy = remedy


@contextmanager
def lend_loopback_address(ports: Sequence[int] = STANDARD_PORTS) -> Iterator[str]:
    """Lend an address on which nobody serves any of `ports`, to this process alone.

    Nobody else who asks here is lent it meanwhile. A port below 1024 that this user may not bind
    does not count as taken.

    Raises:
        NoAddressFree: A program holds one of `ports` on all addresses, or this is not Linux.
    """
    refusal = ""
    for _ in range(_TRIES):
        numbers = (random.randint(*bounds) for bounds in ((1, 254), (0, 255), (2, 254)))  # noqa: S311 - a name, not a secret
        address = ".".join(("127", *map(str, numbers)))
        with socket.socket(type=socket.SOCK_DGRAM) as lock:
            refusal = _refusal(lock, address, LOCK_PORT) or _first_refusal(address, ports)
            if not refusal:
                yield address
                return
    raise NoAddressFree(
        f"No address of 127.0.0.0/8 is free for ports {', '.join(map(str, ports))}: {refusal}.",
        "End the program that listens on that port on all addresses (0.0.0.0 or ::), or run in a "
        "container or network namespace; where 127.0.0.1 is the only loopback address (macOS), "
        "run in a Linux container.",
    )


def _first_refusal(address: str, ports: Sequence[int]) -> str:
    for port in ports:
        with socket.socket() as probe:
            if refusal := _refusal(probe, address, port):
                return refusal
    return ""


def _refusal(probe: socket.socket, address: str, port: int) -> str:
    """Bind `probe`; return why that cannot be, empty if it can or is not ours to do."""
    try:
        probe.bind((address, port))
    except PermissionError:
        return ""
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return f"port {port} is in use on every address that was tried"
        return f"{address} is not an address of this machine ({error.strerror})"
    return ""
