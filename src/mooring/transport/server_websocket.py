"""The server's end of one WebSocket (RFC 6455): an application's bytes in binary frames.

The opening handshake is HTTP's business and is over. What an application writes leaves as one
binary message per call; what comes in is a stream, however it is cut into messages and frames
([MQTT-6.0.0-2]: "a single WebSocket data frame can contain multiple or partial MQTT Control
Packets"). Nothing waits for the end of a message, so an idle or a half-sent one costs nothing.
Framing is wsproto's; permessage-deflate is not offered, since telemetry is small and a compressed
frame hides its size.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol, Opcode, RsvBits
from wsproto.utilities import generate_accept_token

from mooring.transport.errors import WebSocketBroken
from mooring.transport.server_application import Carrier, PeerApplication
from mooring.transport.server_connection import ServerConnection
from mooring.transport.tls_session import PeerCertificate

CLOSE_S = 3.0
"""How long our close frame waits for the peer's: a round trip over a slow link."""


MAX_FRAMES_WITHOUT_DATA = 256
"""Frames in one read that carry nothing for the application (pings, pongs, empty ones): peers send
one now and then, and each costs the server more than its sender."""


@dataclass(frozen=True, slots=True)
class _End:
    """How a WebSocket ends: the close frame to send, and what the peer did wrong, if anything."""

    frame: CloseConnection
    fault: WebSocketBroken | None = None


_TEXT = _End(
    CloseConnection(CloseReason.UNSUPPORTED_DATA, "binary messages only"),
    WebSocketBroken(
        "the peer sent a text message", "send MQTT packets in binary messages [MQTT-6.0.0-1]"
    ),
)
_FLOOD = _End(
    CloseConnection(CloseReason.POLICY_VIOLATION, "too many frames without data"),
    WebSocketBroken(
        f"the peer sent more than {MAX_FRAMES_WITHOUT_DATA} frames without data at once",
        "send pings seconds apart; MQTT has its own",
    ),
)


def opening_answer(key: bytes, subprotocol: str) -> bytes:
    """Return the answer (status 101) that opens a WebSocket (RFC 6455 §4.2.2).

    Args:
        key: The value of the request's ``Sec-WebSocket-Key``.
        subprotocol: Chosen of those offered, in the peer's own spelling.
    """
    return (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + generate_accept_token(key) + b"\r\n"
        b"Sec-WebSocket-Protocol: " + subprotocol.encode() + b"\r\n\r\n"
    )


class _FrameLimit(Extension):
    """Refuses a frame by the length in its header, before its payload has come."""

    name = ""

    def __init__(self, max_bytes: int) -> None:
        """Refuse payloads above `max_bytes`."""
        self._max_bytes = max_bytes

    def enabled(self) -> bool:
        """Take part without being negotiated: nothing changes on the wire."""
        return True

    def offer(self) -> bool | str:
        """Offer nothing."""
        return False

    def frame_inbound_header(
        self, proto: FrameDecoder | FrameProtocol, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> CloseReason | RsvBits:
        """Judge one frame."""
        if payload_length > self._max_bytes:
            return CloseReason.MESSAGE_TOO_BIG
        return RsvBits(False, False, False)


class WebSocketConnection:
    """An upgraded connection: an application of TLS below, a `PeerConnection` to the one above.

    Open until a close frame is sent; then closing, until the peer's own has come (or `CLOSE_S`
    are over) and the TLS connection is closed.
    """

    __slots__ = (
        "_application",
        "_closing",
        "_connection",
        "_failure",
        "_framing",
        "_goodbye",
        "_loop",
        "_max_message_bytes",
        "_message_bytes",
        "_timer",
    )

    def __init__(
        self,
        connection: ServerConnection,
        application: PeerApplication,
        loop: asyncio.AbstractEventLoop,
        *,
        max_message_bytes: int,
    ) -> None:
        """Carry `application` over `connection`; a longer message or frame ends it."""
        self._connection = connection
        self._application = application
        self._loop = loop
        self._framing = Connection(ConnectionType.SERVER, [_FrameLimit(max_message_bytes)])
        self._max_message_bytes = max_message_bytes
        self._message_bytes = 0
        self._closing = False
        self._goodbye = CloseReason.NORMAL_CLOSURE
        self._failure: WebSocketBroken | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self, received: bytes) -> None:
        """Begin; `received` is what came behind the opening handshake."""
        self._connection.set_application(self)
        self._application.connection_made(self)
        if received:
            self.data_received(received)

    # -- for the connection below --------------------------------------------------------------

    def connection_made(self, connection: ServerConnection) -> None:
        """Do nothing: `start` did."""

    def data_received(self, data: bytes) -> None:
        """Take frames; what they carry is handed on at once, together."""
        if self._framing.state is ConnectionState.CLOSED:
            return
        self._framing.receive_data(data)
        received = bytearray()
        ending = self._take_events(received)
        if received and not self._closing:
            self._application.data_received(bytes(received))
        if ending is not None:
            self._finish(ending)

    def connection_lost(self, exc: Exception | None) -> None:
        """End: nothing can be sent any more."""
        self._cancel_timer()
        self._application.connection_lost(self._failure or exc)

    def pause_writing(self) -> None:
        """Forward the wish."""
        self._application.pause_writing()

    def resume_writing(self) -> None:
        """Forward the wish."""
        self._application.resume_writing()

    def drain(self) -> None:
        """Let the application finish; it closes, and the peer reads that the server goes away."""
        self._goodbye = CloseReason.GOING_AWAY
        self._application.drain()

    # -- for the application above -------------------------------------------------------------

    @property
    def carrier(self) -> Carrier:
        """Return what carries the application's bytes."""
        return Carrier.WEBSOCKET

    @property
    def peer_address(self) -> str:
        """Return the peer's IP address."""
        return self._connection.peer_address

    @property
    def tls_version(self) -> str:
        """Return ``"TLSv1.2"`` or ``"TLSv1.3"``."""
        return self._connection.tls_version

    @property
    def handshake_s(self) -> float:
        """Return the seconds from the accept to the end of the TLS handshake."""
        return self._connection.handshake_s

    @property
    def presented(self) -> tuple[PeerCertificate, ...]:
        """Return the peer's certificates, its own first; empty after `forget_presented`."""
        return self._connection.presented

    @property
    def is_closing(self) -> bool:
        """Tell whether a close frame is sent, or the connection below is closing."""
        return self._closing or self._connection.is_closing

    @property
    def write_buffer_bytes(self) -> int:
        """Return how many bytes wait to be taken by the peer's side of the network."""
        return self._connection.write_buffer_bytes

    def forget_presented(self) -> None:
        """Drop the peer's certificates."""
        self._connection.forget_presented()

    def write(self, data: bytes) -> None:
        """Send `data` as one binary message."""
        # Not open: the peer's close frame is read, and ours follows.
        if data and not self.is_closing and self._framing.state is ConnectionState.OPEN:
            self._connection.write(self._framing.send(BytesMessage(data)))

    def close(self) -> None:
        """Close in order: close frame, the peer's close frame, end of TLS."""
        if self.is_closing:
            return
        self._closing = True
        self._connection.write(self._framing.send(CloseConnection(self._goodbye)))
        self._connection.resume_reading()  # whatever the application held up: the answer
        self._timer = self._loop.call_later(CLOSE_S, self._connection.close)

    def abort(self) -> None:
        """Close at once; what is not sent yet is lost."""
        self._closing = True
        self._connection.abort()

    def pause_reading(self) -> None:
        """Deliver nothing more until `resume_reading`."""
        self._connection.pause_reading()

    def resume_reading(self) -> None:
        """Deliver again."""
        self._connection.resume_reading()

    # -- inside --------------------------------------------------------------------------------

    def _take_events(self, received: bytearray) -> _End | None:
        """Take what the frames say; binary data is added to `received`. Return how it ends."""
        without_data = 0
        for event in self._framing.events():
            if isinstance(event, BytesMessage) and event.data:
                received += event.data
                self._message_bytes += len(event.data)
                if self._message_bytes > self._max_message_bytes:
                    return self._too_big()
            else:
                without_data += 1
                if without_data > MAX_FRAMES_WITHOUT_DATA:
                    return _FLOOD
            if isinstance(event, BytesMessage):
                if event.message_finished:
                    self._message_bytes = 0
            elif isinstance(event, Ping):
                if not self._closing:
                    self._connection.write(self._framing.send(event.response()))
            elif isinstance(event, CloseConnection):
                return self._end_of(event)
            elif isinstance(event, TextMessage):
                return _TEXT
        return None

    def _finish(self, end: _End) -> None:
        """Answer a close frame, or say what is wrong, unless that was said; then close below."""
        if not self.is_closing:
            self._failure = end.fault
            self._connection.write(self._framing.send(end.frame))
        self._closing = True
        self._cancel_timer()
        self._connection.close()

    def _end_of(self, event: CloseConnection) -> _End:
        """Return how it ends by `event`: the peer's close frame, or wsproto's word of a fault."""
        if self._framing.state in {ConnectionState.REMOTE_CLOSING, ConnectionState.CLOSED}:
            return _End(event.response())
        if event.code == CloseReason.MESSAGE_TOO_BIG:
            return self._too_big()
        fault = WebSocketBroken(
            f"the peer broke the WebSocket protocol: {event.reason}",
            "send frames as RFC 6455 section 5 has them: masked, and without extensions",
        )
        return _End(event, fault)

    def _too_big(self) -> _End:
        limit = self._max_message_bytes
        return _End(
            CloseConnection(CloseReason.MESSAGE_TOO_BIG, f"more than {limit} bytes"),
            WebSocketBroken(
                f"the peer sent a WebSocket message of more than {limit} bytes",
                "send each MQTT packet in a message of its own, and no larger packets",
            ),
        )

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
