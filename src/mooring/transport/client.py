"""Connecting to a TLS server: each stage seen, each failure named.

TLS is asyncio's own over the standard library: it costs up to 288 KB a connection on asyncio's
loop and 40 KB on uvloop, which a gateway with a handful of them does not feel, and it is the code
that the whole world runs. Resolving, TCP and TLS are done one after the other here rather than by
one call, since only so can each be timed, limited and blamed by itself.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from mooring.runtime.clock import SYSTEM_CLOCK, Clock
from mooring.transport.client_tls import ClientTls, load_client_context
from mooring.transport.dialling import (
    MAX_PORT,
    Endpoint,
    dial,
    format_endpoint,
    order_addresses,
)
from mooring.transport.errors import (
    ConnectionLost,
    ConnectTimeout,
    EndpointMalformed,
    NameNotResolved,
)
from mooring.transport.tls_failures import (
    certificate_name,
    certificate_names,
    explain_alert,
    explain_handshake_failure,
)

READ_BYTES = 64 * 1024
"""The most that one `read` returns; also asyncio's default buffer limit."""

CLOSE_S = 3.0
"""How long an orderly close may wait for the server's close_notify."""


@dataclass(frozen=True, slots=True)
class ConnectTimeouts:
    """How long each stage, and all of them, may take; seconds."""

    dns_s: float = 10.0
    tcp_s: float = 15.0
    tls_s: float = 20.0
    overall_s: float = 40.0


class StageObserver(Protocol):
    """Who is told about stages; `mooring.runtime.attempts.AttemptRecorder` is one."""

    def begin(self, stage: str) -> None:
        """Open a stage: ``"dns"``, ``"tcp"``, ``"tls"``."""
        ...

    def passed(self, detail: str = "") -> None:
        """Close the open stage as passed."""
        ...


class _Unobserved:
    def begin(self, stage: str) -> None:
        pass

    def passed(self, detail: str = "") -> None:
        pass


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What was learnt while connecting.

    Attributes:
        address: IP address that took the connection.
        port: Its TCP port.
        tls_version: ``"TLSv1.2"`` or ``"TLSv1.3"``.
        cipher: Name of the cipher suite.
        subject: The server certificate's subject, e.g. ``"CN=localhost"``.
        issuer: Its issuer.
        server_names: DNS names and IP addresses that the certificate is for.
        not_before: Start of the certificate's validity, aware UTC.
        not_after: Its end.
    """

    address: str
    port: int
    tls_version: str
    cipher: str
    subject: str
    issuer: str
    server_names: tuple[str, ...]
    not_before: datetime
    not_after: datetime


class ClientConnection:
    """An established TLS connection. Made by `open_connection`."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        host: str,
        facts: ServerFacts,
    ) -> None:
        """Take over an open stream; use `open_connection`."""
        self._reader = reader
        self._writer = writer
        self._where = format_endpoint(host, facts.port)
        self._heard = False
        self._closed = False
        self.facts = facts

    @property
    def is_closed(self) -> bool:
        """Tell whether `close` or `abort` was called."""
        return self._closed

    async def read(self, max_bytes: int = READ_BYTES) -> bytes:
        """Return the next bytes, at least one; ``b""`` at the end of the stream.

        Raises:
            ClientCertificateRefused: The server refused the certificate. In TLS 1.3 this arrives
                only now, after a handshake that looked complete on this side.
            ConnectionLost: The connection broke.
        """
        try:
            data = await self._reader.read(max_bytes)
        except OSError as error:
            raise self._lost(error) from error
        if data:
            self._heard = True
        return data

    def write(self, data: bytes) -> None:
        """Queue `data` for sending; `drain` waits until the queue is short enough."""
        if not self._closed:
            self._writer.write(data)

    async def drain(self) -> None:
        """Wait while too much is queued.

        Raises:
            ClientCertificateRefused: As for `read`.
            ConnectionLost: The connection broke.
        """
        try:
            await self._writer.drain()
        except OSError as error:
            raise self._lost(error) from error

    async def close(self, *, within_s: float = CLOSE_S) -> None:
        """Close in order, sending what is queued; after `within_s` seconds, abort. Never raises."""
        if self._closed:
            return
        self._closed = True
        self._writer.close()
        try:
            async with asyncio.timeout(within_s):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            self._writer.transport.abort()

    def abort(self) -> None:
        """Close at once; what is queued is lost."""
        self._closed = True
        self._writer.transport.abort()

    def _lost(self, error: OSError) -> Exception:
        if isinstance(error, ssl.SSLError):
            refused = explain_alert(error, where=self._where)
            if refused is not None:
                return refused
        if not self._heard:
            return ConnectionLost(
                f"{self._where} closed the connection right after the TLS handshake, before it "
                f"sent anything ({error})",
                "Servers do this to a client certificate they refuse: check that it is valid now "
                "and known there. A server at its limits does it too.",
            )
        return ConnectionLost(
            f"the connection to {self._where} broke: {error}",
            "Check the network between here and there; connecting again is the usual cure.",
        )


async def open_connection(
    host: str,
    port: int,
    *,
    tls: ClientTls | ssl.SSLContext,
    observer: StageObserver | None = None,
    timeouts: ConnectTimeouts | None = None,
    server_name: str | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> ClientConnection:
    """Connect to `host`, verify it fully, and return the connection.

    Certificate, key and trust are loaded first, so that what is wrong with them shows without a
    network; such an error has the stage ``"tls"`` though no stage has begun.

    Args:
        host: Name or IP address to dial; every address that it has is tried.
        port: TCP port.
        tls: Trust and own certificate; or a context from `load_client_context`, to be used again.
        observer: Told of the stages ``"dns"``, ``"tcp"``, ``"tls"``. A failure is raised, not told:
            the caller closes its record with the error's fields.
        timeouts: Limits of the stages.
        server_name: The name that the server's certificate must have, `host` unless given.
        clock: For hints at a wrong clock.

    Raises:
        ConnectError: Named by the fact; ``stage``, ``code``, ``message`` and ``remedy`` say the
            rest.
    """
    if not host or not 1 <= port <= MAX_PORT:
        # The resolver takes other ports modulo 65536, and no host for this machine.
        raise EndpointMalformed(
            f"{format_endpoint(host, port)!r} is not an endpoint: it needs a host name or address, "
            f"and a port from 1 to {MAX_PORT}",
            "Give e.g. global.azure-devices-provisioning.net:8883.",
        )
    observer = observer or _Unobserved()
    timeouts = timeouts or ConnectTimeouts()
    if isinstance(tls, ClientTls):
        tls = await asyncio.to_thread(load_client_context, tls)
    stage = "dns"
    try:
        async with asyncio.timeout(timeouts.overall_s):
            observer.begin(stage)
            endpoints = await _resolve(host, port, within_s=timeouts.dns_s)
            observer.passed(", ".join(endpoint.address for endpoint in endpoints))
            stage = "tcp"
            observer.begin(stage)
            connected, endpoint = await dial(endpoints, host=host, within_s=timeouts.tcp_s)
            observer.passed(str(endpoint))
            stage = "tls"
            observer.begin(stage)
            connection = await _shake_hands(
                connected,
                endpoint,
                host=host,
                server_name=server_name or host,
                context=tls,
                within_s=timeouts.tls_s,
                clock=clock,
            )
    except TimeoutError as error:
        raise ConnectTimeout(
            f"connecting to {format_endpoint(host, port)} took longer than "
            f"{timeouts.overall_s:g} s in all",
            "Check the network; a limit of its own for each stage shows which one is slow.",
            stage=stage,
        ) from error
    facts = connection.facts
    observer.passed(
        f"{facts.tls_version}, {facts.cipher}, {facts.subject or 'no subject'}, "
        f"valid until {facts.not_after:%Y-%m-%d}"
    )
    return connection


async def _resolve(host: str, port: int, *, within_s: float) -> Sequence[Endpoint]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(within_s):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError as error:
        raise ConnectTimeout(
            f"no resolver answered for {host!r} within {within_s:g} s",
            "Check the DNS servers of this machine and the way to them.",
            stage="dns",
        ) from error
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise NameNotResolved(
                f"no resolver could be asked for {host!r}: {error.strerror}",
                "Check the DNS servers of this machine and the way to them.",
            ) from error
        raise NameNotResolved(
            f"{host!r} has no address: {error.strerror}",
            "Check the spelling; the endpoint is a host name without scheme or path.",
        ) from error
    except (OSError, UnicodeError) as error:
        raise NameNotResolved(
            f"{host!r} is not a host name: {error}",
            "Give a host name such as global.azure-devices-provisioning.net, or an IP address.",
        ) from error
    # A Python built without IPv6 gives such an address as (family, bytes): left out.
    return order_addresses(
        Endpoint(family, address)
        for family, _, _, _, address in found
        if isinstance(address[0], str)
    )


async def _shake_hands(
    connected: socket.socket,
    endpoint: Endpoint,
    *,
    host: str,
    server_name: str,
    context: ssl.SSLContext,
    within_s: float,
    clock: Clock,
) -> ClientConnection:
    try:
        async with asyncio.timeout(within_s):
            reader, writer = await asyncio.open_connection(
                sock=connected,
                ssl=context,
                server_hostname=server_name,
                ssl_handshake_timeout=within_s + 1,  # ours is the one that speaks
                ssl_shutdown_timeout=CLOSE_S,
                limit=READ_BYTES,
            )
    except TimeoutError as error:
        connected.close()
        raise ConnectTimeout(
            f"{format_endpoint(host, endpoint.port)} did not finish the TLS handshake "
            f"within {within_s:g} s",
            "Check that the port is one for TLS, and that the server is not overloaded.",
            stage="tls",
        ) from error
    except OSError as error:
        connected.close()
        raise explain_handshake_failure(
            error,
            where=format_endpoint(host, endpoint.port),
            server_name=server_name,
            now=clock.now(),
        ) from error
    except ValueError as error:  # after OSError: a failed verification is both
        connected.close()
        raise EndpointMalformed(
            f"{server_name!r} is not a name that a certificate can have: {error}",
            "Give the server's host name or address.",
            stage="tls",
        ) from error
    session: ssl.SSLObject = writer.get_extra_info("ssl_object")
    return ClientConnection(reader, writer, host=host, facts=_facts(session, endpoint))


def _facts(session: ssl.SSLObject, endpoint: Endpoint) -> ServerFacts:
    certificate = session.getpeercert() or {}
    cipher = session.cipher()
    return ServerFacts(
        address=endpoint.address,
        port=endpoint.port,
        tls_version=session.version() or "",
        cipher=cipher[0] if cipher else "",
        subject=certificate_name(certificate, "subject"),
        issuer=certificate_name(certificate, "issuer"),
        server_names=certificate_names(certificate),
        not_before=_time(certificate["notBefore"]),
        not_after=_time(certificate["notAfter"]),
    )


def _time(text: object) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(text)), UTC)
