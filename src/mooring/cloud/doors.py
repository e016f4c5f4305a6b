"""The listeners of a cloud: MQTT over TLS, and HTTPS, which MQTT over WebSocket comes by."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from mooring.cloud.facts import STANDARD_HTTPS_PORT
from mooring.cloud.frontdoor.door import FrontDoor
from mooring.cloud.https_port import https_fallback, start_https_listeners
from mooring.cloud.listening import start_listeners
from mooring.cloud.settings import CloudSettings
from mooring.transport.limits import ListenerLimits
from mooring.transport.listener import TlsListener
from mooring.transport.server_tls import ServerTls

if TYPE_CHECKING:
    from mooring.cloud.frontdoor.https import HttpsDoor


class Doors:
    """Opens the listeners, counts what comes, and closes them together."""

    def __init__(self, settings: CloudSettings, front_door: FrontDoor, tls: ServerTls) -> None:
        """Serve `front_door` by `settings`; nothing listens yet."""
        self._settings = settings
        self._front_door = front_door
        self._tls = tls
        self._limits = ListenerLimits(
            max_connections=settings.max_connections,
            max_connections_per_address=settings.max_connections_per_address,
        )
        self._mqtt: list[TlsListener] = []
        self._https: list[TlsListener] = []
        self._https_door: HttpsDoor | None = None

    async def open_mqtt(self) -> None:
        """Listen for MQTT over TLS.

        Raises:
            AddressUnavailable: Taken, not permitted, or not an address of this machine.
        """
        self._mqtt = await start_listeners(
            "MQTT over TLS",
            self._front_door.application,
            addresses=self._settings.bind,
            port=self._settings.mqtt_port,
            tls=self._tls,
            limits=self._limits,
            on_handshake_failed=self._front_door.handshake_failed,
        )

    async def open_https(self, door: HttpsDoor) -> None:
        """Listen for HTTPS, on 443, or where that is not permitted on 9443, unless set.

        Raises:
            AddressUnavailable: Taken, not permitted, or not an address of this machine.
        """
        self._https_door = door
        door.start()
        self._https = await start_https_listeners(
            door.application,
            addresses=self._settings.bind,
            port=self._settings.https_port,
            tls=self._tls,
            limits=self._limits,
            on_handshake_failed=self._front_door.handshake_failed,
        )

    async def close(self) -> None:
        """Let what was begun finish, for as long as the settings say, and close everything."""
        # All at once, so that they drain in the same seconds.
        await asyncio.gather(
            *(listener.close(self._settings.drain_s) for listener in (*self._mqtt, *self._https))
        )
        if self._https_door is not None:
            await self._https_door.close()

    @property
    def addresses(self) -> list[str]:
        """Return the addresses that are served."""
        return [listener.address for listener in self._mqtt]

    @property
    def mqtt_port(self) -> int:
        """Return the port of MQTT over TLS."""
        return self._mqtt[0].port

    @property
    def https_port(self) -> int:
        """Return the port of HTTPS and of MQTT over WebSocket; 443 before it is open."""
        return self._https[0].port if self._https else STANDARD_HTTPS_PORT

    @property
    def https_fallback(self) -> dict[str, Any] | None:
        """Return what is to be said of the HTTPS port, None if there is nothing."""
        return https_fallback(self._settings.https_port, self.https_port)

    @property
    def connections(self) -> dict[str, int]:
        """Return how many connections there are and were, by what they came for."""
        every = [listener.counters for listener in (*self._mqtt, *self._https)]
        door = self._https_door
        return {
            "open": sum(counters.open_connections for counters in every),
            "handshakes_ok": sum(counters.handshakes_ok for counters in every),
            "handshakes_failed": sum(counters.handshakes_failed for counters in every),
            "https_open": sum(listener.counters.open_connections for listener in self._https),
            "https_requests": 0 if door is None else door.requests,
            "websockets": 0 if door is None else door.websockets,
        }
