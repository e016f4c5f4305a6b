"""The server's end of a WebSocket alone: however bytes are cut, and whatever nonsense comes.

On a real connection it is tried in ``tests/cloud/frontdoor/test_websocket.py``.
"""

from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.rawwebsocket import BINARY, CLOSE, CONTINUATION, PING, PONG, frame

from mooring.transport.errors import WebSocketBroken
from mooring.transport.server_application import Carrier
from mooring.transport.server_websocket import WebSocketConnection

MAX_BYTES = 300


class Below:
    """What a `ServerConnection` is to the WebSocket."""

    peer_address = "192.0.2.1"
    tls_version = "TLSv1.3"
    handshake_s = 0.5
    presented = ("leaf",)
    write_buffer_bytes = 7

    def __init__(self) -> None:
        self.sent = bytearray()
        self.is_closing = False
        self.calls: list[str] = []

    def set_application(self, application: Any) -> None:
        self.calls.append("set_application")

    def write(self, data: bytes) -> None:
        assert not self.is_closing
        self.sent += data

    def close(self) -> None:
        self.is_closing = True

    def __getattr__(self, name: str) -> Any:
        return lambda: self.calls.append(name)


class Above:
    """An application that keeps what it is told, and echoes if it is to."""

    def __init__(self, *, echo: bool = False) -> None:
        self.connection: Any = None
        self.received = bytearray()
        self.calls: list[str] = []
        self.lost: Exception | None = None
        self._echo = echo

    def connection_made(self, connection: Any) -> None:
        self.connection = connection

    def data_received(self, data: bytes) -> None:
        assert data
        self.received += data
        if self._echo:
            self.connection.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.calls.append("lost")
        self.lost = exc

    def __getattr__(self, name: str) -> Any:
        return lambda: self.calls.append(name)


class Loop:
    """A loop whose time does not pass."""

    def call_later(self, *_: Any) -> Any:
        """Return a timer that can be cancelled."""
        return SimpleNamespace(cancel=lambda: None)


def opened(
    *, echo: bool = False, received: bytes = b""
) -> tuple[WebSocketConnection, Below, Above]:
    """Return an open WebSocket, and what is below and above it."""
    below, above = Below(), Above(echo=echo)
    websocket = WebSocketConnection(
        cast("Any", below), cast("Any", above), cast("Any", Loop()), max_message_bytes=MAX_BYTES
    )
    websocket.start(received)
    return websocket, below, above


def frames_of(data: bytes) -> list[tuple[int, bytes]]:
    """Return opcode and payload of the frames that a server sent."""
    found = []
    while data:
        size, start = data[1], 2
        if size == 126:
            (size,) = struct.unpack_from("!H", data, 2)
            start = 4
        found.append((data[0] & 15, bytes(data[start : start + size])))
        data = data[start + size :]
    return found


@st.composite
def cut(draw: st.DrawFn, messages: list[bytes]) -> list[bytes]:
    """Return frames of `messages`, fragmented, with pings between, cut into reads anywhere."""
    stream = b""
    for message in messages:
        pieces = [message]
        for _ in range(draw(st.integers(0, 3))):
            at = draw(st.integers(0, len(pieces[-1])))
            pieces[-1:] = [pieces[-1][:at], pieces[-1][at:]]
        for number, piece in enumerate(pieces):
            final = number == len(pieces) - 1
            stream += frame(CONTINUATION if number else BINARY, piece, final=final)
            if draw(st.booleans()):
                stream += frame(PING, b"p")
    marks = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    return [stream[a:b] for a, b in zip([0, *marks], [*marks, len(stream)], strict=True)]


MESSAGES = st.lists(st.binary(max_size=200), max_size=5)


@given(st.data(), MESSAGES)
def test_bytes_arrive_in_order_however_they_are_cut(
    data: st.DataObject, messages: list[bytes]
) -> None:
    websocket, below, above = opened()
    reads = data.draw(cut(messages))

    for read in reads:
        websocket.data_received(read)

    assert above.received == b"".join(messages)
    assert not websocket.is_closing
    assert set(frames_of(below.sent)) <= {(PONG, b"p")}


def test_bound_of_a_message_is_not_one_of_all_together() -> None:
    websocket, below, above = opened()

    for _ in range(10):
        websocket.data_received(frame(BINARY, b"x" * (MAX_BYTES - 1)))

    assert len(above.received) == 10 * (MAX_BYTES - 1)
    assert not below.is_closing


@settings(max_examples=300)
@given(st.lists(st.binary(min_size=1, max_size=64), max_size=8))
def test_nonsense_never_fails_it_is_closed(reads: list[bytes]) -> None:
    websocket, below, _ = opened(echo=True)

    for read in reads:
        websocket.data_received(read)

    closes = [payload for opcode, payload in frames_of(below.sent) if opcode == CLOSE]
    assert len(closes) == int(below.is_closing)


@settings(max_examples=300)
@given(st.data(), MESSAGES, st.integers(0, 400), st.integers(0, 255))
def test_damaged_byte_never_fails(
    data: st.DataObject, messages: list[bytes], position: int, value: int
) -> None:
    websocket, below, _ = opened(echo=True)
    stream = bytearray(b"".join(data.draw(cut(messages))))
    if position < len(stream):
        stream[position] = value

    websocket.data_received(bytes(stream))

    assert len([1 for opcode, _ in frames_of(below.sent) if opcode == CLOSE]) <= 1


@given(st.binary(min_size=1, max_size=70_000))
def test_write_is_one_binary_message(data: bytes) -> None:
    websocket, below, _ = opened()
    websocket.write(data)

    size = len(data)
    if size < 126:
        head = bytes([0x82, size])
    elif size < 65536:
        head = b"\x82\x7e" + struct.pack("!H", size)
    else:
        head = b"\x82\x7f" + struct.pack("!Q", size)
    assert below.sent == head + data


def test_what_came_behind_the_handshake_is_received() -> None:
    _, below, above = opened(received=frame(BINARY, b"early"))

    assert above.received == b"early"
    assert below.calls == ["set_application"]


def test_connection_below_is_shown_above() -> None:
    websocket, below, _ = opened()

    assert websocket.carrier is Carrier.WEBSOCKET
    for name in ("peer_address", "tls_version", "handshake_s", "presented", "write_buffer_bytes"):
        assert getattr(websocket, name) == getattr(below, name)
    websocket.pause_reading()
    websocket.resume_reading()
    websocket.forget_presented()
    assert below.calls[1:] == ["pause_reading", "resume_reading", "forget_presented"]


def test_wishes_of_the_connection_below_reach_the_application() -> None:
    websocket, _, above = opened()

    websocket.pause_writing()
    websocket.resume_writing()
    websocket.drain()
    websocket.connection_lost(None)

    assert above.calls == ["pause_writing", "resume_writing", "drain", "lost"]
    assert above.lost is None


def test_close_reads_on_for_the_answer_even_if_reading_was_paused() -> None:
    websocket, below, above = opened()
    websocket.pause_reading()

    websocket.close()
    websocket.write(b"dropped")
    websocket.data_received(frame(BINARY, b"dropped") + frame(CLOSE, struct.pack("!H", 1000)))

    assert below.calls[-1] == "resume_reading"
    assert frames_of(below.sent) == [(CLOSE, struct.pack("!H", 1000))]
    assert above.received == b""
    assert below.is_closing


def test_answer_to_what_came_ahead_of_a_close_frame_is_dropped() -> None:
    websocket, below, above = opened(echo=True)

    websocket.data_received(frame(BINARY, b"last") + frame(CLOSE, struct.pack("!H", 1000)))

    assert above.received == b"last"
    assert frames_of(below.sent) == [(CLOSE, struct.pack("!H", 1000))]
    assert below.is_closing


def test_close_while_draining_says_that_the_server_goes_away() -> None:
    websocket, below, _ = opened()

    websocket.drain()
    websocket.close()

    assert frames_of(below.sent) == [(CLOSE, struct.pack("!H", 1001))]


@pytest.mark.parametrize(
    "sent",
    [frame(BINARY, b"x" * (MAX_BYTES + 1)), frame(1, b"text")],
    ids=["too-large", "text"],  # frames are masked at random
)
def test_breach_is_told_to_the_application_when_the_connection_is_gone(sent: bytes) -> None:
    websocket, below, above = opened()

    websocket.data_received(sent)
    assert below.is_closing
    assert above.calls == []
    websocket.connection_lost(None)

    assert isinstance(above.lost, WebSocketBroken)
    assert above.lost.remedy


def test_abort_is_at_once() -> None:
    websocket, below, _ = opened()

    websocket.abort()

    assert below.calls[-1] == "abort"
    assert websocket.is_closing
    assert below.sent == b""
