"""The HTTPS door: what all connections of the HTTPS listener share."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from email.utils import format_datetime
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from mooring.cloud.frontdoor.door import FrontDoor
from mooring.cloud.frontdoor.http_connection import HttpConnection
from mooring.cloud.frontdoor.http_limits import DEFAULT_HTTP_LIMITS, HttpLimits
from mooring.runtime.logs import get_logger
from mooring.transport.server_connection import ServerConnection
from mooring.transport.server_websocket import WebSocketConnection

Message = MutableMapping[str, Any]
AsgiApplication = Callable[
    [
        MutableMapping[str, Any],
        Callable[[], Awaitable[Message]],
        Callable[[Message], Awaitable[None]],
    ],
    Awaitable[None],
]

DATE_S = 1.0
"""How often the Date header changes: its resolution."""

_log = get_logger("cloud.https")


class HttpsDoor:
    """Makes the application object of each connection, and holds what they share.

    Attributes:
        websockets: How many connections became WebSockets since the start.
        large_bodies: How many of them are under way.
    """

    def __init__(
        self,
        front_door: FrontDoor,
        app: AsgiApplication,
        *,
        limits: HttpLimits = DEFAULT_HTTP_LIMITS,
    ) -> None:
        """Serve `app`, and MQTT over WebSocket by `front_door`, whose clocks are shared."""
        self.front_door = front_door
        self.wheel = front_door.wheel
        self.clock = front_door.clock
        self.limits = limits
        self.loop = asyncio.get_running_loop()
        self.server_state = ServerState()
        self.uvicorn_log = _forwarding_log()
        self.config = uvicorn.Config(
            app,
            http=HttpConnection,
            ws="none",
            lifespan="off",
            interface="asgi3",
            proxy_headers=False,  # no proxy stands before it: they would be a stranger's claim
            server_header=False,
            access_log=False,
            log_config=None,
        )
        self.config.load()
        self.websockets = 0
        self.large_bodies = 0
        self._clock_hand = _ClockHand(self)

    def start(self) -> None:
        """Begin to keep time; the front door's wheel turns."""
        self._clock_hand.due(self.wheel.now)
        self.wheel.add(self._clock_hand, self.wheel.now + DATE_S)

    async def close(self) -> None:
        """End what still runs; the listeners are closed before."""
        self.wheel.remove(self._clock_hand)
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def application(self) -> HttpConnection:
        """Return the application object of a new connection."""
        return HttpConnection(self)

    def open_websocket(self, connection: ServerConnection, received: bytes) -> None:
        """Let the MQTT front door go on with `connection`, which `received` came on already."""
        self.websockets += 1
        WebSocketConnection(
            connection,
            self.front_door.application(),
            self.loop,
            max_message_bytes=self.limits.max_message_bytes,
        ).start(received)

    @property
    def requests(self) -> int:
        """Return how many requests were answered since the start."""
        return self.server_state.total_requests


class _ClockHand:
    """Keeps the Date header (RFC 9110 §6.6.1) right."""

    def __init__(self, door: HttpsDoor) -> None:
        """Belong to `door`."""
        self._door = door
        self.wheel_slot = -1

    def due(self, now: float) -> float:
        """Set the header, and come again."""
        date = format_datetime(self._door.clock.now(), usegmt=True)
        self._door.server_state.default_headers = [(b"date", date.encode())]
        return now + DATE_S


class _Forward(logging.Handler):
    """Hands what uvicorn logs of a failed application to our log."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log one record."""
        if record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError):
            return  # the shutdown's doing
        _log.error("request failed", cause=record.getMessage().strip(), exc_info=record.exc_info)


def _forwarding_log() -> logging.Logger:
    """Return a logger outside the hierarchy, so that no handler but ours has it."""
    log = logging.Logger("cloud.https", level=logging.WARNING)  # noqa: LOG001 - see above
    log.addHandler(_Forward())
    return log
