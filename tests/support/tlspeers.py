"""Peers for TLS tests: applications for listeners, and standard-library clients."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from mooring.transport.listener import TlsListener
from mooring.transport.server_connection import ServerConnection

StartListener = Callable[..., Awaitable[TlsListener]]
"""The fixture `start_listener`."""

WAIT_S = 20.0
"""Patience with a busy machine; nothing here takes this long unless it is broken."""


class RecordingApplication:
    """Keeps what it is told, in `events`, and does what it is given to do."""

    def __init__(
        self,
        on_data: Callable[[RecordingApplication, bytes], None] | None = None,
        on_made: Callable[[RecordingApplication], None] | None = None,
        on_drain: Callable[[RecordingApplication], None] | None = None,
    ) -> None:
        self.connection: ServerConnection
        self.received = bytearray()
        self.events: list[str] = []
        self.lost: Exception | None = None
        self.over = asyncio.Event()
        self._on_data = on_data
        self._on_made = on_made
        self._on_drain = on_drain

    def connection_made(self, connection: ServerConnection) -> None:
        self.connection = connection
        self.events.append("made")
        if self._on_made:
            self._on_made(self)

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.events.append("data")
        if self._on_data:
            self._on_data(self, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = exc
        self.events.append("lost")
        self.over.set()

    def pause_writing(self) -> None:
        self.events.append("pause")

    def resume_writing(self) -> None:
        self.events.append("resume")

    def drain(self) -> None:
        self.events.append("drain")
        if self._on_drain:
            self._on_drain(self)


class Applications(list[RecordingApplication]):
    """A factory of applications that keeps all it made."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self._options = options

    def __call__(self) -> RecordingApplication:
        application = RecordingApplication(**self._options)
        self.append(application)
        return application


def echo(application: RecordingApplication, data: bytes) -> None:
    """Answer with the same."""
    application.connection.write(data)


def client_context(
    certificate: tuple[Path, Path] | None = None,
    *,
    version: ssl.TLSVersion | None = None,
    trust: Path | None = None,
    weak: bool = False,
) -> ssl.SSLContext:
    """Return a client context; without `trust` it takes any server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if trust is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(trust)
    if weak:
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
    if version is not None:
        context.minimum_version = context.maximum_version = version
    if certificate is not None:
        context.load_cert_chain(*certificate)
    return context


async def connect(
    port: int, context: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect by TLS with SNI ``localhost``."""
    async with asyncio.timeout(WAIT_S):
        return await asyncio.open_connection(
            host, port, ssl=context or client_context(), server_hostname="localhost"
        )


async def read_all(reader: asyncio.StreamReader) -> bytes:
    """Read to the end."""
    async with asyncio.timeout(WAIT_S):
        return await reader.read()


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Close, whatever state it is in."""
    writer.close()
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(WAIT_S):
            await writer.wait_closed()


async def until(condition: Callable[[], object]) -> None:
    """Wait until `condition` holds."""
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.005)
