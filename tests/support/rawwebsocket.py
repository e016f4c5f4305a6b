"""A blocking WebSocket client in plain Python, which shares no code with wsproto."""

from __future__ import annotations

import base64
import hashlib
import os
import struct
from dataclasses import dataclass
from typing import Any

from tests.support.rawhttp import RawHttp, Reply
from tests.support.rawmqtt import RawMqtt

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3


@dataclass(frozen=True)
class Frame:
    """A frame as it came."""

    opcode: int
    final: bool
    payload: bytes

    @property
    def code(self) -> int:
        """Return the status code of a close frame."""
        return int(struct.unpack_from("!H", self.payload)[0])


def frame(
    opcode: int, payload: bytes = b"", *, final: bool = True, masked: bool = True, reserved: int = 0
) -> bytes:
    """Return a frame as a client sends it."""
    first = opcode | (0x80 if final else 0) | reserved << 4
    size = len(payload)
    if size < 126:
        length = bytes([size])
    elif size < 65536:
        length = b"\x7e" + struct.pack("!H", size)
    else:
        length = b"\x7f" + struct.pack("!Q", size)
    if not masked:
        return bytes([first]) + length + payload
    mask = os.urandom(4)
    body = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return bytes([first, length[0] | 0x80]) + length[1:] + mask + body


class RawWebSocket(RawHttp):
    """One connection, a WebSocket once `open` has succeeded."""

    def __init__(self, *args: Any, **options: Any) -> None:
        """Connect as `RawHttp` does."""
        super().__init__(*args, **options)
        self._data = bytearray()

    def open(
        self,
        path: str = "/$iothub/websocket",
        subprotocol: str | None = "mqtt",
        *,
        behind: bytes = b"",
        **headers: str | None,
    ) -> Reply:
        """Ask for a WebSocket, return the answer; a switch of protocols must be well formed.

        `headers` replace those of the handshake (``Sec_WebSocket_Version="8"``), None leaves one
        out; `behind` are bytes that leave together with the request.
        """
        key = base64.b64encode(os.urandom(16)).decode()
        sent: dict[str, str | None] = {
            "Host": "localhost",
            "Connection": "keep-alive, Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": key,
            "Sec-WebSocket-Protocol": subprotocol,
        }
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"{name}: {value}" for name, value in sent.items() if value is not None]
        self.send("\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode() + behind)
        answer = self.read()
        if answer.status == 101:
            digest = hashlib.sha1((key + GUID).encode()).digest()
            assert answer["sec-websocket-accept"] == base64.b64encode(digest).decode()
            assert answer["upgrade"] == "websocket"
            assert answer["connection"].lower() == "upgrade"
            assert "sec-websocket-extensions" not in answer
        return answer

    def read_frame(self) -> Frame:
        """Read the next frame, which must not be masked.

        Raises:
            ConnectionError: The server closed the connection instead.
        """
        first, second = self.receive_exactly(2)
        assert not second & 0x80, "a server does not mask (RFC 6455 §5.1)"
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack("!H", self.receive_exactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self.receive_exactly(8))
        return Frame(first & 0x0F, bool(first & 0x80), self.receive_exactly(size))

    # -- as a stream: what `RawMqtt` asks of a socket ------------------------------------------

    def sendall(self, data: bytes) -> None:
        """Send `data` as one binary message."""
        self.send(frame(BINARY, data))

    def recv(self, size: int) -> bytes:
        """Return data of binary messages; nothing once the server has closed."""
        while not self._data:
            try:
                received = self.read_frame()
            except ConnectionError:
                return b""
            if received.opcode == CLOSE:
                self.send(frame(CLOSE, received.payload))
                return b""
            assert received.opcode == BINARY, received
            self._data += received.payload
        data = bytes(self._data[:size])
        del self._data[:size]
        return data

    def close(self) -> None:
        """Close without a goodbye."""
        self.socket.close()


class RawMqttOverWebSocket(RawMqtt):
    """`RawMqtt` in binary messages."""

    def __init__(self, websocket: RawWebSocket) -> None:
        """Speak over a WebSocket that is open."""
        self.websocket = websocket
        self.socket = websocket  # type: ignore[assignment]  # what is used of one
        self._buffer = bytearray()
