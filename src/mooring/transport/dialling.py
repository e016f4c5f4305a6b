"""TCP to a host with several addresses: all are tried, the first that answers is taken."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import TypeAlias

from mooring.transport.errors import (
    ConnectError,
    ConnectionRefused,
    ConnectTimeout,
    HostUnreachable,
    TcpFailed,
)

HEAD_START_S = 0.25
"""Before the next address is tried beside the last one (RFC 8305 §5, Connection Attempt Delay)."""

MAX_ADDRESSES = 16
"""Of one name; a name with more is a misconfiguration, and each one costs an attempt."""

MAX_PORT = 65535
"""A TCP port has 16 bits."""

_UNREACHABLE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.ENETDOWN}


SocketAddress: TypeAlias = tuple[str, int] | tuple[str, int, int, int]
"""As the socket module takes it, for IPv4 and IPv6."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address to dial: the family and socket address that the resolver gave."""

    family: int
    socket_address: SocketAddress

    @property
    def address(self) -> str:
        """Return the IP address."""
        return self.socket_address[0]

    @property
    def port(self) -> int:
        """Return the TCP port."""
        return self.socket_address[1]

    def __str__(self) -> str:
        """Return e.g. ``"127.0.0.1:8883"`` or ``"[::1]:8883"``."""
        return format_endpoint(self.address, self.port)


def format_endpoint(host: str, port: int) -> str:
    """Return ``"host:port"``, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def order_addresses(endpoints: Iterable[Endpoint]) -> list[Endpoint]:
    """Return the endpoints with the families alternating, the resolver's first one first.

    RFC 8305 §4: so that a family that leads nowhere costs one head start, not one per address.
    """
    unique = list(dict.fromkeys(endpoints))[:MAX_ADDRESSES]
    first = [endpoint for endpoint in unique if endpoint.family == unique[0].family]
    second = [endpoint for endpoint in unique if endpoint.family != unique[0].family]
    pairs = chain.from_iterable(zip_longest(first, second))
    return [endpoint for endpoint in pairs if endpoint is not None]


async def dial(
    endpoints: Sequence[Endpoint], *, host: str, within_s: float
) -> tuple[socket.socket, Endpoint]:
    """Return a connected socket and the endpoint it is connected to.

    Args:
        endpoints: At least one, in the order to try. Each gets a head start of `HEAD_START_S`
            over the next; one that fails passes the turn on at once.
        host: For messages.
        within_s: For all of them together, seconds.

    Raises:
        ConnectionRefused, HostUnreachable, ConnectTimeout, TcpFailed: When none could be reached;
            the message has the outcome of each address.
    """
    race = _Race(endpoints)
    try:
        async with asyncio.timeout(within_s):
            won = await race.run()
    except TimeoutError:
        won = None
    if won is not None:
        return won
    raise _explain(race.failures, endpoints, host=host, within_s=within_s)


class _Race:
    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._waiting = list(endpoints)
        self._running: dict[asyncio.Task[socket.socket], Endpoint] = {}
        self.failures: dict[Endpoint, OSError] = {}

    async def run(self) -> tuple[socket.socket, Endpoint] | None:
        try:
            while self._waiting or self._running:
                if self._waiting:
                    endpoint = self._waiting.pop(0)
                    self._running[asyncio.create_task(_connect(endpoint))] = endpoint
                done, _ = await asyncio.wait(
                    self._running,
                    timeout=HEAD_START_S if self._waiting else None,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                for task in done:
                    endpoint = self._running.pop(task)
                    error = task.exception()
                    if error is None:
                        return task.result(), endpoint
                    if not isinstance(error, OSError):
                        raise error
                    self.failures[endpoint] = error
            return None
        finally:
            await self._stop()

    async def _stop(self) -> None:
        for task in self._running:
            task.cancel()
        for outcome in await asyncio.gather(*self._running, return_exceptions=True):
            if isinstance(outcome, socket.socket):  # won too, a moment too late
                outcome.close()


async def _connect(endpoint: Endpoint) -> socket.socket:
    dialled = socket.socket(endpoint.family, socket.SOCK_STREAM)
    try:
        dialled.setblocking(False)
        dialled.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(dialled, endpoint.socket_address)
    except BaseException:
        dialled.close()
        raise
    return dialled


def _explain(
    failures: dict[Endpoint, OSError],
    endpoints: Sequence[Endpoint],
    *,
    host: str,
    within_s: float,
) -> ConnectError:
    outcomes = "; ".join(
        f"{endpoint}: {_reason(failures[endpoint]) if endpoint in failures else 'no answer'}"
        for endpoint in endpoints
    )
    if any(isinstance(error, ConnectionRefusedError) for error in failures.values()):
        return ConnectionRefused(
            f"nobody listens at {host}: connection refused ({outcomes})",
            "Check the port (MQTT over TLS: 8883) and that the server runs.",
        )
    if len(failures) < len(endpoints) or any(
        isinstance(error, TimeoutError) for error in failures.values()
    ):
        return ConnectTimeout(
            f"{host} did not answer within {within_s:g} s ({outcomes})",
            "Check that a firewall lets this port out, and that the host is up.",
            stage="tcp",
        )
    if all(error.errno in _UNREACHABLE for error in failures.values()):
        return HostUnreachable(
            f"no route leads to {host} ({outcomes})",
            "Check this machine's network: link, address, default route.",
        )
    return TcpFailed(
        f"TCP to {host} failed ({outcomes})",
        "Check this machine's network and firewall; the text in brackets is the system's.",
    )


def _reason(error: OSError) -> str:
    # asyncio puts a sentence of its own into strerror.
    return os.strerror(error.errno).lower() if error.errno else str(error)
