"""A listening TLS port: accepts peers within its limits and closes them gracefully."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from dataclasses import replace

from mooring.transport.admission import Admission, ListenerCounters
from mooring.transport.dialling import MAX_PORT, format_endpoint
from mooring.transport.errors import ListenAddressUnavailable
from mooring.transport.file_limit import RESERVED_FILES, raise_file_limit
from mooring.transport.limits import ListenerLimits
from mooring.transport.server_application import ConnectionEnvironment, ServerApplication
from mooring.transport.server_connection import ServerConnection
from mooring.transport.server_tls import ServerTls

BACKLOG = 1024
"""Connections that the kernel holds for us; a fleet that reconnects comes all at once."""

KEEP_ALIVE_IDLE_S = 300
KEEP_ALIVE_INTERVAL_S = 60
KEEP_ALIVE_PROBES = 5
"""TCP's own keep-alive ends a dead peer after ten minutes, also where MQTT's is switched off."""

DRAIN_S = 5.0
"""How long `close` lets applications finish, unless told otherwise."""

GOODBYE_S = 0.5
"""After the drain: how long the last close_notify may take before the abort."""


class TlsListener:
    """A TLS server on one address and port. Made by `start`."""

    def __init__(
        self,
        server: asyncio.Server,
        listening: socket.socket,
        environment: ConnectionEnvironment,
        idle: asyncio.Event,
    ) -> None:
        """Take over a server that listens; use `start`."""
        self._server = server
        self._environment = environment
        self._idle = idle
        self._closing: asyncio.Future[None] | None = None
        self.address: str = listening.getsockname()[0]
        self.port: int = listening.getsockname()[1]

    @classmethod
    async def start(
        cls,
        application_factory: Callable[[], ServerApplication],
        *,
        host: str,
        port: int,
        tls: ServerTls,
        limits: ListenerLimits | None = None,
        on_handshake_failed: Callable[[str, str], None] | None = None,
    ) -> TlsListener:
        """Listen on `host` and `port` and serve each peer by a new application object.

        Args:
            application_factory: Called once per completed handshake.
            host: An IPv4 or IPv6 address, or a name (its first address is taken).
            port: 0 takes a free one; see `port` of the result.
            tls: Certificate and key; `tls.reload` works while the listener runs.
            limits: Bounds; the number of connections is lowered further to what the limit of
                open files allows, after that was raised as far as the system permits.
            on_handshake_failed: Called with the peer's address and the reason for each peer that
                did not get as far as an application object.

        Raises:
            ListenAddressUnavailable: Taken, forbidden, or not an address of this machine.
        """
        loop = asyncio.get_running_loop()
        limits = limits or ListenerLimits()
        files = max(1, raise_file_limit() - RESERVED_FILES)
        limits = replace(limits, max_connections=min(limits.max_connections, files))
        counters = ListenerCounters()
        idle = asyncio.Event()
        environment = ConnectionEnvironment(
            tls=tls,
            limits=limits,
            admission=Admission(limits, counters),
            counters=counters,
            application_factory=application_factory,
            on_handshake_failed=on_handshake_failed or (lambda address, reason: None),
            on_idle=idle.set,
        )
        listening = await _bind(host, port)
        server = await loop.create_server(
            lambda: ServerConnection(environment, loop), sock=listening, backlog=BACKLOG
        )
        return cls(server, listening, environment, idle)

    @property
    def counters(self) -> ListenerCounters:
        """Return the live counters."""
        return self._environment.counters

    @property
    def limits(self) -> ListenerLimits:
        """Return the limits in force."""
        return self._environment.limits

    async def close(self, drain_s: float = DRAIN_S) -> None:
        """Stop accepting, let the applications finish, and end every connection.

        Applications are told by `drain` and close their connections themselves. Those that have
        not after `drain_s` seconds are closed with a close_notify, and then aborted. Handshakes
        are given up at once. A second call waits for the first.
        """
        if self._closing is not None:
            await asyncio.shield(self._closing)
            return
        self._closing = asyncio.get_running_loop().create_future()
        try:
            await self._drain(drain_s)
        finally:
            self._closing.set_result(None)

    async def _drain(self, drain_s: float) -> None:
        connections = self._environment.connections
        self._environment.draining = True
        self._server.close()
        for connection in list(connections):
            connection.drain()
        await self._until_idle(drain_s)
        for connection in list(connections):
            connection.close()
        await self._until_idle(GOODBYE_S)
        for connection in list(connections):
            connection.abort()
        await self._until_idle(GOODBYE_S)

    async def _until_idle(self, seconds: float) -> None:
        self._idle.clear()
        if self._environment.connections:
            try:
                async with asyncio.timeout(seconds):
                    await self._idle.wait()
            except TimeoutError:
                pass


async def _bind(host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    where = format_endpoint(host, port)
    if not 0 <= port <= MAX_PORT:  # the resolver takes it modulo 65536
        raise ListenAddressUnavailable(
            f"cannot listen on {where}: a port is a number from 0 (any free one) to {MAX_PORT}",
            "Choose a port in that range.",
        )
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise ListenAddressUnavailable(
            f"cannot listen on {where}: {host!r} is not an address or a name that has one",
            "Give an address of this machine, e.g. 127.0.0.1 or ::1.",
        ) from error
    family, kind, protocol, _, address = found[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        # Linux: accepted sockets inherit these from the listening one. (TCP_NODELAY, which the
        # protocols need as much, is set on each by the event loops.)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEP_ALIVE_IDLE_S)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEP_ALIVE_INTERVAL_S)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEP_ALIVE_PROBES)
        listening.bind(address)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        raise ListenAddressUnavailable(
            f"cannot listen on {where}: {os.strerror(error.errno or errno.EINVAL)}",
            _BIND_REMEDIES.get(
                error.errno or 0, "Choose another address or port that this machine has free."
            ),
        ) from error
    return listening


_BIND_REMEDIES = {
    errno.EADDRINUSE: "Another program has this port: stop it, or choose another port.",
    errno.EACCES: "Ports below 1024 need a right of their own: choose a higher one.",
    errno.EADDRNOTAVAIL: "This machine has no such address: choose one it has, or 0.0.0.0 or ::.",
}
