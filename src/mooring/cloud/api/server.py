"""Serves the admin API on the cloud's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import os
import socket
from collections.abc import Generator, Sequence
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from mooring.cloud.errors import AddressUnavailable

MAX_CONCURRENCY = 256
"""Requests and connections at one time; those beyond get 503. Operators are few."""

GRACEFUL_S = 2
"""How long a request may take to finish at shutdown."""


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        """Prepare to serve by `config`."""
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and say so."""
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals to whoever runs the cloud."""
        yield


class AdminServer:
    """The admin API on some addresses: plain HTTP where all are loopback, else TLS."""

    def __init__(self, sockets: Sequence[socket.socket], *, secure: bool) -> None:
        """Hold bound sockets; use `bind`."""
        self._sockets = list(sockets)
        self._secure = secure
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None
        self._identity: tuple[Path, Path] | None = None

    @classmethod
    def bind(cls, addresses: Sequence[str], port: int) -> AdminServer:
        """Take `port` on every address; ``::1`` may be missing beside another.

        Raises:
            AddressUnavailable: Taken, forbidden, or not an address of this machine.
        """
        sockets: list[socket.socket] = []
        try:
            for address in addresses:
                bound = _bind(address, port, optional=address == "::1" and len(addresses) > 1)
                if bound is not None:
                    sockets.append(bound)
                    port = bound.getsockname()[1]
        except AddressUnavailable:
            for bound in sockets:
                bound.close()
            raise
        return cls(sockets, secure=not all(is_loopback(address) for address in addresses))

    @property
    def address(self) -> str:
        """Return the first address."""
        return str(self._sockets[0].getsockname()[0])

    @property
    def port(self) -> int:
        """Return the port."""
        return int(self._sockets[0].getsockname()[1])

    @property
    def is_secure(self) -> bool:
        """Return whether TLS is spoken."""
        return self._secure

    async def start(self, app: FastAPI, *, certificate_file: Path, key_file: Path) -> None:
        """Serve `app`; returns when requests are answered."""
        config = uvicorn.Config(
            app,
            access_log=False,  # paths name devices
            log_config=None,
            server_header=False,
            lifespan="off",
            limit_concurrency=MAX_CONCURRENCY,
            timeout_graceful_shutdown=GRACEFUL_S,
            ssl_certfile=str(certificate_file) if self._secure else None,
            ssl_keyfile=str(key_file) if self._secure else None,
        )
        config.load()
        self._identity = (certificate_file, key_file)
        server = self._server = _Server(config)
        self._task = asyncio.create_task(server.serve(self._sockets), name="admin-api")
        ready = asyncio.create_task(server.ready.wait())
        await asyncio.wait({ready, self._task}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if self._task.done():
            await self._task

    def reload_identity(self) -> None:
        """Use the changed content of the certificate's files, from the next connection on."""
        if self._secure and self._server is not None and self._identity is not None:
            context = self._server.config.ssl
            if context is not None:
                context.load_cert_chain(*self._identity)

    async def close(self) -> None:
        """Finish what is being answered, then stop."""
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await self._task
        for bound in self._sockets:
            bound.close()


def is_loopback(address: str) -> bool:
    """Return whether only this machine can reach `address`."""
    return ipaddress.ip_address(address).is_loopback


def _bind(address: str, port: int, *, optional: bool) -> socket.socket | None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    where = f"[{address}]:{port}" if family == socket.AF_INET6 else f"{address}:{port}"
    try:
        bound = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        if optional:
            return None
        raise _unavailable(where, error) from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((address, port))
        # Bound alone, another process could still bind too; listening settles who has it.
        bound.listen(128)
        bound.setblocking(False)
    except OSError as error:
        bound.close()
        if optional and error.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
            return None
        raise _unavailable(where, error) from error
    return bound


def _unavailable(where: str, error: OSError) -> AddressUnavailable:
    remedies = {
        errno.EADDRINUSE: "another program has this port: stop it, or choose another with "
        "--admin-port or another address with --bind",
        errno.EACCES: "ports below 1024 need a right of their own: choose a higher one",
        errno.EADDRNOTAVAIL: "this machine has no such address: choose one it has",
    }
    return AddressUnavailable(
        f"the admin API cannot listen on {where}: {os.strerror(error.errno or errno.EINVAL)}",
        remedies.get(error.errno or 0, "choose another address or port"),
    )
