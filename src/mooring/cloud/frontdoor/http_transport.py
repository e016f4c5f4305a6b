"""What uvicorn's protocol class takes for an asyncio transport."""

from __future__ import annotations

import asyncio
from typing import Any

from mooring.transport.server_connection import ServerConnection

FLUSH_BYTES = 64 * 1024
"""Written bytes that leave at once, without waiting for the end of the loop's turn."""


class HttpTransport(asyncio.Transport):
    """A decrypted connection as an asyncio transport.

    What is written in one turn of the event loop leaves together: the head and the body of an
    answer are written one after the other, and one TLS record and one packet carry both.
    """

    def __init__(self, connection: ServerConnection, loop: asyncio.AbstractEventLoop) -> None:
        """Write to `connection`."""
        super().__init__(
            {
                "peername": (connection.peer_address, connection.peer_port),
                "sslcontext": True,  # uvicorn reads the scheme from its presence
            }
        )
        self._connection = connection
        self._loop = loop
        self._written: list[bytes] = []
        self._written_bytes = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send `data` at the end of this turn of the loop."""
        if not data:
            return
        if not self._written:
            self._loop.call_soon(self.flush)
        self._written.append(bytes(data))
        self._written_bytes += len(data)
        if self._written_bytes >= FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Send what was written."""
        if self._written:
            written, self._written, self._written_bytes = self._written, [], 0
            self._connection.write(written[0] if len(written) == 1 else b"".join(written))

    def is_closing(self) -> bool:
        """Tell whether what is written now is dropped."""
        return self._connection.is_closing

    def close(self) -> None:
        """Send what was written and close in order."""
        self.flush()
        self._connection.close()

    def abort(self) -> None:
        """Close at once."""
        self._written, self._written_bytes = [], 0
        self._connection.abort()

    def pause_reading(self) -> None:
        """Hold the peer up."""
        self._connection.pause_reading()

    def resume_reading(self) -> None:
        """Let it go on."""
        self._connection.resume_reading()

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait to be taken by the peer's side of the network."""
        return self._written_bytes + self._connection.write_buffer_bytes

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Do nothing: the listener has set them."""

    def set_protocol(self, protocol: Any) -> None:
        """Refuse: the connection's application is changed at the connection."""
        raise NotImplementedError
