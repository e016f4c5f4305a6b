"""A blocking MQTT 3.1.1 client over TLS that shares no code with Mooring.

For tests that look at the exact order of bytes, or that must not be fooled by a fault which both
ends of our own codec share.
"""

from __future__ import annotations

import socket
import ssl
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Self

CONNECT, CONNACK, PUBLISH, PUBACK = 1, 2, 3, 4
SUBSCRIBE, SUBACK, PINGREQ, PINGRESP, DISCONNECT = 8, 9, 12, 13, 14


class ConnectionEnded(Exception):
    """The server closed the connection."""


@dataclass(frozen=True)
class Packet:
    """A packet as it came: type, flags, and the bytes after the fixed header."""

    kind: int
    flags: int
    body: bytes

    @property
    def return_code(self) -> int:
        """Return the second byte of a CONNACK."""
        return self.body[1]

    @property
    def packet_id(self) -> int:
        """Return the id of a PUBACK, SUBACK or QoS 1 PUBLISH."""
        start = 2 + len(self.topic.encode()) if self.kind == PUBLISH else 0
        return int(struct.unpack_from("!H", self.body, start)[0])

    @property
    def topic(self) -> str:
        """Return the topic of a PUBLISH."""
        (size,) = struct.unpack_from("!H", self.body)
        return self.body[2 : 2 + size].decode()

    @property
    def payload(self) -> bytes:
        """Return the payload of a PUBLISH."""
        size = 2 + len(self.topic.encode()) + (2 if self.flags & 0b110 else 0)
        return self.body[size:]


def text(value: str) -> bytes:
    """Return `value` as MQTT writes a string."""
    data = value.encode()
    return struct.pack("!H", len(data)) + data


def packet(kind: int, flags: int, body: bytes) -> bytes:
    """Return a whole packet."""
    size, length = len(body), bytearray()
    while True:
        size, digit = divmod(size, 128)
        length.append(digit | (128 if size else 0))
        if not size:
            return bytes([kind << 4 | flags]) + bytes(length) + body


class RawMqtt:
    """One TLS connection; every method blocks, bounded by `timeout_s`."""

    def __init__(
        self,
        address: str,
        port: int,
        *,
        ca_file: Path,
        cert_file: Path | None = None,
        key_file: Path | None = None,
        timeout_s: float = 20.0,
        tls: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    ) -> None:
        """Connect and shake hands; the server must prove `address`."""
        context = ssl.create_default_context(cafile=str(ca_file))
        context.minimum_version = context.maximum_version = tls
        if cert_file is not None:
            context.load_cert_chain(cert_file, key_file)
        raw = socket.create_connection((address, port), timeout=timeout_s)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.socket = context.wrap_socket(raw, server_hostname=address)
        except BaseException:
            raw.close()
            raise
        self._buffer = bytearray()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close without a goodbye."""
        self.close()

    def close(self) -> None:
        """Close without a goodbye."""
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(data)

    def connect(
        self,
        client_id: str,
        user_name: str | None,
        *,
        password: str | bytes | None = None,
        clean: bool = True,
        keep_alive_s: int = 60,
    ) -> int:
        """Send CONNECT, return the code of the CONNACK."""
        flags = 0x02 if clean else 0
        body = struct.pack("!H", keep_alive_s) + text(client_id)
        if user_name is not None:
            flags |= 0x80
            body += text(user_name)
        if password is not None:
            flags |= 0x40
            data = password.encode() if isinstance(password, str) else password
            body += struct.pack("!H", len(data)) + data
        self.send(packet(CONNECT, 0, text("MQTT") + bytes([4, flags]) + body))
        return self.expect(CONNACK).return_code

    def subscribe(self, topic_filter: str, *, qos: int = 1, packet_id: int = 1) -> int:
        """Send SUBSCRIBE, return the code of the SUBACK."""
        body = struct.pack("!H", packet_id) + text(topic_filter) + bytes([qos])
        self.send(packet(SUBSCRIBE, 2, body))
        return self.expect(SUBACK).body[2]

    def publish(self, topic: str, payload: bytes, *, packet_id: int | None = 1) -> None:
        """Send PUBLISH: QoS 1, or QoS 0 if `packet_id` is None."""
        self.send(self.format_publish(topic, payload, packet_id=packet_id))

    @staticmethod
    def format_publish(topic: str, payload: bytes, *, packet_id: int | None = 1) -> bytes:
        """Return the bytes of a PUBLISH."""
        if packet_id is None:
            return packet(PUBLISH, 0, text(topic) + payload)
        return packet(PUBLISH, 2, text(topic) + struct.pack("!H", packet_id) + payload)

    def disconnect(self) -> None:
        """Say goodbye and close."""
        self.send(packet(DISCONNECT, 0, b""))
        self.close()

    def expect(self, kind: int) -> Packet:
        """Read the next packet, which must be of `kind`."""
        received = self.read()
        assert received.kind == kind, f"expected packet type {kind}, got {received}"
        return received

    def read(self) -> Packet:
        """Read the next packet.

        Raises:
            ConnectionEnded: The server closed instead.
        """
        while True:
            size, shift, position = 0, 0, 1
            while position < len(self._buffer):
                digit = self._buffer[position]
                size |= (digit & 127) << shift
                shift += 7
                position += 1
                if not digit & 128:
                    if len(self._buffer) < position + size:
                        break
                    first, body = self._buffer[0], bytes(self._buffer[position : position + size])
                    del self._buffer[: position + size]
                    return Packet(first >> 4, first & 15, body)
            try:
                data = self.socket.recv(65536)
            except (ConnectionResetError, BrokenPipeError, ssl.SSLError) as error:
                raise ConnectionEnded(str(error)) from error
            if not data:
                raise ConnectionEnded("end of stream")
            self._buffer += data
