"""Which port HTTPS gets: 443 where this user may have it, else 9443, and what that costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mooring.cloud.errors import PortNotPermitted
from mooring.cloud.facts import STANDARD_HTTPS_PORT
from mooring.cloud.listening import start_listeners
from mooring.runtime.logs import get_logger
from mooring.transport.limits import ListenerLimits
from mooring.transport.listener import TlsListener
from mooring.transport.server_application import ServerApplication
from mooring.transport.server_tls import ServerTls

FALLBACK_HTTPS_PORT = 9443

GRANT_COMMAND = "sudo sysctl -w net.ipv4.ip_unprivileged_port_start={port}"
"""Lets every user of this machine have ports from that one up, until the next boot; IPv6 too."""

FIXED_TO_443 = (
    "azure-iot-device (Python): MQTT over WebSocket, file upload",
    "azure-iot-provisioning-device-mqtt, azure-iot-device-mqtt (Node): MQTT over WebSocket",
    "azure-iot-provisioning-device-http, azure-iot-device-http (Node)",
    "azure-iot-provisioning-service, azure-iothub (Node)",
)
"""Clients that dial 443 whatever they are told; read in their sources."""

_log = get_logger("cloud")


async def start_https_listeners(
    application_factory: Callable[[], ServerApplication],
    *,
    addresses: Sequence[str],
    port: int | None,
    tls: ServerTls,
    limits: ListenerLimits,
    on_handshake_failed: Callable[[str, str], None],
) -> list[TlsListener]:
    """Listen on `port`, or by default on 443, or on 9443 where 443 is not permitted.

    Raises:
        AddressUnavailable: Taken, not permitted, or not an address of this machine.
    """

    async def start(wanted: int) -> list[TlsListener]:
        return await start_listeners(
            "HTTPS",
            application_factory,
            addresses=addresses,
            port=wanted,
            tls=tls,
            limits=limits,
            on_handshake_failed=on_handshake_failed,
        )

    if port is not None:
        try:
            return await start(port)
        except PortNotPermitted as error:
            raise PortNotPermitted(
                error.message,
                f"allow it by `{GRANT_COMMAND.format(port=port)}`, or give a higher port with "
                "--https-port",
            ) from error
    try:
        return await start(STANDARD_HTTPS_PORT)
    except PortNotPermitted:
        listeners = await start(FALLBACK_HTTPS_PORT)
    facts = https_fallback(None, FALLBACK_HTTPS_PORT)
    assert facts is not None
    _log.warning(facts["cause"], remedy=facts["remedy"], unusable="; ".join(facts["unusable"]))
    return listeners


def https_fallback(wanted: int | None, port: int) -> dict[str, Any] | None:
    """Return what is to be said of an HTTPS `port` that is not the `wanted` one (None: default).

    None if there is nothing to say: the port is 443, or was asked for.
    """
    if wanted is not None or port == STANDARD_HTTPS_PORT:
        return None
    return {
        "cause": f"HTTPS is on port {port}, since this user may not bind {STANDARD_HTTPS_PORT}",
        "remedy": f"Allow it by `{GRANT_COMMAND.format(port=STANDARD_HTTPS_PORT)}`, "
        "then start again.",
        "unusable": list(FIXED_TO_443),
    }
