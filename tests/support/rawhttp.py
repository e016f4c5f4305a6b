"""A blocking HTTP/1.1 client over TLS that shares no code with Mooring, and hides nothing.

For tests that look at the exact spelling of what is sent back, or that send what no HTTP library
would.
"""

from __future__ import annotations

import json
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True)
class Reply:
    """An answer as it came; header names as they were spelled."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def __getitem__(self, name: str) -> str:
        """Return a header, whatever its case; it must come exactly once."""
        (value,) = [value for key, value in self.headers if key.lower() == name.lower()]
        return value

    def __contains__(self, name: str) -> bool:
        """Return whether there is a header `name`, whatever its case."""
        return any(key.lower() == name.lower() for key, _ in self.headers)

    def json(self) -> Any:
        """Return the body, which must be pure ASCII JSON."""
        return json.loads(self.body.decode("ascii"))


class RawHttp:
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
        tls: ssl.TLSVersion | None = None,
    ) -> None:
        """Connect and shake hands; the server must prove `address`."""
        context = ssl.create_default_context(cafile=str(ca_file))
        if tls is not None:
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
        self.host = address if port == 443 else f"{address}:{port}"
        self._buffer = bytearray()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(data)

    def request(self, method: str, target: str, body: bytes | None = None, **headers: str) -> Reply:
        """Send one request and read its answer; underscores in header names are dashes."""
        self.send(self.format_request(method, target, body, **headers))
        return self.read()

    def format_request(
        self, method: str, target: str, body: bytes | None = None, **headers: str
    ) -> bytes:
        """Return the bytes of a request; Content-Length is added where there is a body."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self.host}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join((*lines, "", "")).encode() + (body or b"")

    def read(self) -> Reply:
        """Read one answer, an interim one (100, 101) too.

        Raises:
            ConnectionError: The server closed instead.
        """
        head = self.receive_until(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        headers = []
        for line in lines:
            name, _, value = line.partition(":")
            headers.append((name, value.strip()))
        reply = Reply(int(status_line.split(" ")[1]), headers, b"")
        if reply.status < 200 or reply.status == 204:  # RFC 9110 §6.4.1: without a body
            return reply
        if "transfer-encoding" in reply:
            return Reply(reply.status, headers, self._receive_chunks())
        return Reply(reply.status, headers, self.receive_exactly(int(reply["content-length"])))

    def receive_until(self, mark: bytes) -> bytes:
        """Return what comes before `mark`, and drop that."""
        while (end := self._buffer.find(mark)) < 0:
            self._fill()
        found = bytes(self._buffer[:end])
        del self._buffer[: end + len(mark)]
        return found

    def receive_exactly(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        while len(self._buffer) < size:
            self._fill()
        found = bytes(self._buffer[:size])
        del self._buffer[:size]
        return found

    def is_closed_by_server(self) -> bool:
        """Return whether the server closes instead of sending more."""
        try:
            return not self._buffer and self.socket.recv(1) == b""
        except (ConnectionResetError, ssl.SSLEOFError):
            return True

    def _receive_chunks(self) -> bytes:
        body = b""
        while size := int(self.receive_until(b"\r\n"), 16):
            body += self.receive_exactly(size)
            assert self.receive_exactly(2) == b"\r\n"
        assert self.receive_exactly(2) == b"\r\n"
        return body

    def _fill(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError(f"the server closed after {bytes(self._buffer)!r}")
        self._buffer += data
