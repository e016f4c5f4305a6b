"""An allocation webhook for tests: a real HTTP server on loopback, as slow or wrong as wanted."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

Reply = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Asked:
    """One request that came."""

    method: str
    target: str
    headers: dict[str, str]
    document: dict[str, Any]


def reply(
    document: Any = None, *, status: int = 200, body: bytes | None = None, headers: str = ""
) -> Reply:
    """Return how to answer with `document` as JSON, or with `body` as it is."""
    content = json.dumps(document).encode() if body is None else body

    async def write(writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(content)}\r\n{headers}\r\n"
        writer.write(head.encode() + content)
        await writer.drain()

    return write


def choose(host_name: str, **members: Any) -> Reply:
    """Return how to choose a hub."""
    return reply({"iotHubHostName": host_name, **members})


@dataclass
class Webhook:
    """The server; `reply` says how it answers, `asked` what it was asked."""

    port: int = 0
    scheme: str = "http"
    reply: Reply = field(default_factory=lambda: choose("localhost"))
    asked: list[Asked] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    @property
    def url(self) -> str:
        """Return its URL, with a key in the query as Azure Functions have it."""
        return f"{self.scheme}://localhost:{self.port}/api/allocate?code=s3cret"

    @property
    def shown_url(self) -> str:
        """Return its URL as others may see it."""
        return f"{self.scheme}://localhost:{self.port}/api/allocate?****"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                first, *lines = head.strip().split("\r\n")
                method, target, _ = first.split(" ")
                headers = {
                    name.lower(): value
                    for name, _, value in (line.partition(": ") for line in lines)
                }
                body = await reader.readexactly(int(headers["content-length"]))
                self.asked.append(Asked(method, target, headers, json.loads(body)))
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
                try:
                    await self.reply(writer)
                finally:
                    self.at_once -= 1
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def webhook_server(tls: ssl.SSLContext | None = None) -> AsyncIterator[Webhook]:
    """Run one."""
    webhook = Webhook(scheme="http" if tls is None else "https")
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(webhook.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    webhook.port = server.sockets[0].getsockname()[1]
    try:
        yield webhook
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
