"""Serves the HTTP application on the event loop that everything else runs on."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI

from mooring.gateway.errors import AddressUnavailable, BindRefused

SHUTDOWN_S = 5
"""How long open requests may take at the end, seconds: a publish may wait for its PUBACK."""

BACKLOG = 128
"""Connections that may wait to be accepted."""


class ApiServer:
    """A listening server; made by `start`."""

    def __init__(self, server: uvicorn.Server, task: asyncio.Task[None], host: str, port: int):
        """Hold what runs; use `start`."""
        self._server = server
        self._task = task
        self.host = host
        self.port = port

    @classmethod
    async def start(cls, application: FastAPI, *, host: str, port: int) -> ApiServer:
        """Listen on `host` and `port` (0 picks one) and serve.

        Raises:
            BindRefused: `host` is not a loopback address.
            AddressUnavailable: The address is taken, or not this machine's.
        """
        listener = _listen(host, port)
        config = uvicorn.Config(
            application,
            # Logs are ours; access lines of a console that polls would drown them.
            log_config=None,
            access_log=False,
            lifespan="off",
            loop="none",
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=SHUTDOWN_S,
        )
        server = _Server(config)
        task = asyncio.get_running_loop().create_task(
            server.serve(sockets=[listener]), name="gateway REST"
        )
        ready = asyncio.ensure_future(server.ready.wait())
        await asyncio.wait({ready, task}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if task.done():
            listener.close()
            await task
        return cls(server, task, host, listener.getsockname()[1])

    @property
    def origin(self) -> str:
        """Return ``http://host:port``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    async def close(self) -> None:
        """Finish open requests, within bounds, and stop listening."""
        self._server.should_exit = True
        await self._task


class _Server(uvicorn.Server):
    """Says when it listens, and leaves the process's signals to the program that runs this."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(host: str, port: int) -> socket.socket:
    if not _is_loopback(host):
        raise BindRefused(
            f"The REST interface cannot be bound to {host}: without a certificate it is plain "
            "HTTP, and the owner's token would cross the network in clear text.",
            "Bind it to 127.0.0.1 and reach it through an SSH tunnel or a TLS proxy.",
            field="host",
        )
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise AddressUnavailable(
            f"The REST interface cannot listen on {host}:{port} ({error.strerror}).",
            "End the program that uses the port, or choose another with --port.",
            field="port",
        ) from error
    listener.setblocking(False)
    return listener


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
