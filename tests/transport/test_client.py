"""The client side: what it verifies, what it refuses, and how it says why."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from tests.support.certificates import DAY, Credential, certify, certify_server, key_of
from tests.support.tlspeers import WAIT_S, Applications, StartListener, echo, until

from mooring.runtime.attempts import AttemptRecorder
from mooring.transport import client as client_module
from mooring.transport.client import ConnectTimeouts, open_connection
from mooring.transport.client_tls import (
    ClientCertificate,
    ClientTls,
    ObservedHandshake,
    load_client_context,
)
from mooring.transport.errors import (
    ClientCertificateRefused,
    ConnectError,
    ConnectionLost,
    ConnectionRefused,
    ConnectTimeout,
    EndpointMalformed,
    HandshakeCutOff,
    NameNotResolved,
    NotTlsServer,
    ServerCertificateExpired,
    ServerCertificateNotYetValid,
    ServerCertificateRefused,
    ServerNameWrong,
    ServerNotTrusted,
    TlsFailed,
    TlsVersionMismatch,
)
from mooring.transport.server_tls import ServerTls

ASYNCIO_ONLY = pytest.mark.asyncio(loop_factories=["asyncio"])
"""For tests that replace a method of the loop, which uvloop's does not allow."""


class StoppedClock:
    """A clock that shows a time in the far future."""

    def now(self) -> datetime:
        return datetime(2040, 1, 2, 3, 4, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0


@pytest.fixture
def tls(server_ca_file: Path) -> ClientTls:
    """Trust the server CA alone."""
    return ClientTls(trust_system=False, trust_files=(server_ca_file,))


Serve = Callable[..., Any]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start a server on a free port whose peers meet `talk(reader, writer)`; return the port."""
    servers: list[asyncio.Server] = []

    async def start(talk: Any, context: ssl.SSLContext | None = None) -> int:
        server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context)
        servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    yield start
    for server in servers:
        server.close()


async def refused(port: int, tls: ClientTls | ssl.SSLContext, **options: Any) -> ConnectError:
    """Connect, and return the error that this must give."""
    options.setdefault("timeouts", ConnectTimeouts(overall_s=WAIT_S))
    host = options.pop("host", "localhost")
    with pytest.raises(ConnectError) as error:
        await open_connection(host, port, tls=tls, **options)
    assert error.value.message
    assert error.value.remedy
    assert str(error.value) == error.value.message
    return error.value


async def served(start: StartListener, server: Credential, folder: Path, *above: Credential) -> int:
    """Serve with a certificate of any make; return the port."""
    listener = await start(Applications(on_data=echo), tls=ServerTls(*server.write(folder, *above)))
    return listener.port


# -- success ---------------------------------------------------------------------------------------


async def test_connect_when_all_is_well_reports_each_stage_and_facts(
    start_listener: StartListener, tls: ClientTls
) -> None:
    listener = await start_listener(Applications(on_data=echo))
    recorder = AttemptRecorder("connect")
    connection = await open_connection("localhost", listener.port, tls=tls, observer=recorder)
    connection.write(b"ping")
    await connection.drain()
    assert await connection.read() == b"ping"
    recorder.finish()

    stages = recorder.snapshot().stages
    assert [(stage.name, stage.outcome) for stage in stages] == [
        ("dns", "passed"),
        ("tcp", "passed"),
        ("tls", "passed"),
    ]
    assert "127.0.0.1" in stages[0].detail
    assert stages[1].detail == f"127.0.0.1:{listener.port}"
    assert stages[2].detail.startswith("TLSv1.3, TLS_AES_256_GCM_SHA384, CN=localhost, valid until")

    facts = connection.facts
    assert (facts.address, facts.port) == ("127.0.0.1", listener.port)
    assert facts.tls_version == "TLSv1.3"
    assert facts.subject == "CN=localhost"
    assert facts.issuer == "CN=server CA"
    assert facts.server_names == ("localhost", "127.0.0.1", "0:0:0:0:0:0:0:1")
    assert facts.not_before < datetime.now(UTC) < facts.not_after
    assert not connection.is_closed
    await connection.close()
    assert connection.is_closed


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_connect_when_host_is_an_address_checks_it_in_the_certificate(
    host: str, start_listener: StartListener, tls: ClientTls
) -> None:
    listener = await start_listener(Applications(), host=host)
    connection = await open_connection(host, listener.port, tls=tls)
    assert connection.facts.address == host
    await connection.close()


async def test_connect_when_trust_is_text_or_context_works_too(
    start_listener: StartListener, server_ca: Credential
) -> None:
    listener = await start_listener(Applications())
    as_text = ClientTls(trust_system=False, trust_pem=server_ca.pem.decode())
    for tls in (as_text, load_client_context(as_text)):
        connection = await open_connection("localhost", listener.port, tls=tls)
        await connection.close()


async def test_connect_when_server_name_is_given_checks_that_one(
    start_listener: StartListener, server_ca: Credential, tls: ClientTls, tmp_path: Path
) -> None:
    port = await served(start_listener, certify_server(["hub.example"], server_ca), tmp_path)
    connection = await open_connection("localhost", port, tls=tls, server_name="hub.example")
    await connection.close()


async def test_connect_when_only_an_intermediate_is_trusted_is_enough(
    start_listener: StartListener, server_ca: Credential, tmp_path: Path
) -> None:
    intermediate = certify("server plant", key_of("ec#splant"), server_ca, ca=True)
    port = await served(start_listener, certify_server(["localhost"], intermediate), tmp_path)
    tls = ClientTls(trust_system=False, trust_pem=intermediate.pem.decode())
    connection = await open_connection("localhost", port, tls=tls)
    await connection.close()


async def test_connect_when_certificate_is_given_presents_it_and_its_chain(
    start_listener: StartListener, server_ca_file: Path, tmp_path: Path
) -> None:
    root = certify("root", key_of("ec#root"), ca=True)
    leaf = certify("device7", key_of("rsa#device"), root)
    certificate_file, key_file = leaf.write(tmp_path, root)
    key_file.write_bytes(leaf.key_pem(b"open sesame"))
    asked: list[bool] = []

    def passphrase() -> str:
        asked.append(True)
        return "open sesame"

    applications = Applications()
    listener = await start_listener(applications)
    tls = ClientTls(
        trust_system=False,
        trust_files=(server_ca_file,),
        certificate=ClientCertificate(certificate_file, key_file, passphrase),
    )
    connection = await open_connection("localhost", listener.port, tls=tls)
    await until(lambda: applications)
    assert applications[0].connection.presented == (leaf.certificate, root.certificate)
    assert asked == [True]
    await connection.close()


# -- the server is not the one it should be --------------------------------------------------------


async def test_connect_when_server_name_differs_lists_the_names_it_has(
    start_listener: StartListener, server_ca: Credential, tls: ClientTls, tmp_path: Path
) -> None:
    server = certify_server(["hub.example", "192.0.2.1"], server_ca)
    error = await refused(await served(start_listener, server, tmp_path), tls)
    assert isinstance(error, ServerNameWrong)
    assert error.code == "server-name-wrong"
    assert error.stage == "tls"
    assert error.server_names == ("hub.example", "192.0.2.1")
    assert "not for 'localhost' but for hub.example, 192.0.2.1" in error.message


async def test_connect_when_address_is_not_in_the_certificate_is_refused(
    start_listener: StartListener, server_ca: Credential, tls: ClientTls, tmp_path: Path
) -> None:
    server = certify_server(["localhost"], server_ca)
    error = await refused(await served(start_listener, server, tmp_path), tls, host="127.0.0.1")
    assert isinstance(error, ServerNameWrong)
    assert error.server_names == ("localhost",)


async def test_connect_when_certificate_has_only_a_common_name_is_refused(
    start_listener: StartListener, server_ca: Credential, tls: ClientTls, tmp_path: Path
) -> None:
    nameless = certify("localhost", key_of("ec#server"), server_ca)
    error = await refused(await served(start_listener, nameless, tmp_path), tls)
    assert isinstance(error, ServerNameWrong)
    assert "no subjectAltName" in error.message


@pytest.mark.parametrize("self_signed", [False, True])
async def test_connect_when_issuer_is_unknown_is_refused(
    self_signed: bool, start_listener: StartListener, tls: ClientTls, tmp_path: Path
) -> None:
    stranger = None if self_signed else certify("stranger", key_of("ec#stranger"), ca=True)
    server = certify_server(["localhost"], stranger)
    applications = Applications()
    listener = await start_listener(applications, tls=ServerTls(*server.write(tmp_path)))
    error = await refused(listener.port, tls)
    assert isinstance(error, ServerNotTrusted)
    assert error.code == "server-not-trusted"
    assert ("CN=localhost" if self_signed else "CN=stranger") in error.message
    assert "trust store" in error.remedy
    assert not applications


async def test_connect_when_only_the_system_is_trusted_refuses_our_ca(
    start_listener: StartListener,
) -> None:
    listener = await start_listener(Applications())
    error = await refused(listener.port, ClientTls())
    assert isinstance(error, ServerNotTrusted)


async def test_connect_when_certificate_has_expired_says_so_and_what_the_clock_says(
    start_listener: StartListener, server_ca: Credential, tls: ClientTls, tmp_path: Path
) -> None:
    server = certify_server(["localhost"], server_ca, not_after=datetime.now(UTC) - DAY)
    port = await served(start_listener, server, tmp_path)
    error = await refused(port, tls, clock=StoppedClock())
    assert isinstance(error, ServerCertificateExpired)
    assert error.code == "server-certificate-expired"
    assert "has expired (its own notAfter is " in error.message
    assert "clock says 2040-01-02 03:04 UTC" in error.message
    assert "clock" in error.remedy


async def test_connect_when_certificate_has_not_begun_hints_at_the_clock(
    start_listener: StartListener, server_ca: Credential, tls: ClientTls, tmp_path: Path
) -> None:
    server = certify_server(["localhost"], server_ca, not_before=datetime.now(UTC) + DAY)
    error = await refused(await served(start_listener, server, tmp_path), tls)
    assert isinstance(error, ServerCertificateNotYetValid)
    assert "clock" in error.remedy


async def test_connect_when_certificate_is_for_clients_is_refused(
    start_listener: StartListener, server_ca: Credential, tls: ClientTls, tmp_path: Path
) -> None:
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
    client = certify(
        "localhost", key_of("ec#server"), server_ca, names=["localhost"], usages=usages
    )
    error = await refused(await served(start_listener, client, tmp_path), tls)
    assert isinstance(error, ServerCertificateRefused)
    assert "purpose" in error.message


async def test_connect_when_presented_chain_cannot_be_had_still_says_what_failed(
    start_listener: StartListener,
    server_ca: Credential,
    tls: ClientTls,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ObservedHandshake, "_presented", lambda self: [])
    wrong = certify_server(["hub.example"], server_ca)
    error = await refused(await served(start_listener, wrong, tmp_path), tls)
    assert isinstance(error, ServerNameWrong)
    assert error.server_names == ()
    unknown = await served(start_listener, certify_server(["localhost"], None), tmp_path)
    assert isinstance(await refused(unknown, tls), ServerNotTrusted)
    past = certify_server(["localhost"], server_ca, not_after=datetime.now(UTC) - DAY)
    error = await refused(await served(start_listener, past, tmp_path), tls)
    assert isinstance(error, ServerCertificateExpired)
    assert "notAfter" not in error.message


# -- the peer is no TLS server, or another kind ----------------------------------------------------


async def test_connect_when_server_speaks_plain_text_says_it_is_no_tls_server(
    serve: Serve, tls: ClientTls
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    error = await refused(await serve(answer), tls)
    assert isinstance(error, NotTlsServer)
    assert error.code == "not-a-tls-server"
    assert "8883" in error.remedy


@pytest.mark.parametrize("reset", [False, True])
async def test_connect_when_server_hangs_up_in_the_handshake_says_so(
    reset: bool, serve: Serve, tls: ClientTls
) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if reset:
            writer.transport.abort()
        else:
            await reader.read(1000)
            writer.close()

    error = await refused(await serve(hang_up), tls)
    assert isinstance(error, HandshakeCutOff)
    assert error.stage == "tls"


async def test_connect_when_server_is_silent_times_out_in_tls(serve: Serve, tls: ClientTls) -> None:
    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.read()
        writer.close()

    port = await serve(wait)
    error = await refused(port, tls, timeouts=ConnectTimeouts(tls_s=0.2))
    assert isinstance(error, ConnectTimeout)
    assert (error.code, error.stage) == ("connect-timeout", "tls")
    assert "within 0.2 s" in error.message
    error = await refused(port, tls, timeouts=ConnectTimeouts(overall_s=0.2))
    assert isinstance(error, ConnectTimeout)
    assert error.stage == "tls"
    assert "0.2 s in all" in error.message


def server_context(
    folder: Path, server_ca: Credential, *, require: Path | None = None
) -> ssl.SSLContext:
    """Return a standard-library server's context for localhost."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certify_server(["localhost"], server_ca).write(folder))
    if require is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(require)
    return context


@contextmanager
def blocking_server(context: ssl.SSLContext) -> Iterator[int]:
    """Serve one peer with blocking sockets, which send alerts (asyncio's TLS does not)."""

    def serve_one() -> None:
        with suppress(OSError):
            accepted, _ = listening.accept()
            with accepted, suppress(OSError):
                accepted.settimeout(WAIT_S)
                with context.wrap_socket(accepted, server_side=True) as secured:
                    secured.recv(1000)
                accepted.recv(1000)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve_one)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(WAIT_S)


async def test_connect_when_server_has_only_tls_1_1_says_so(
    server_ca: Credential, tls: ClientTls, tmp_path: Path
) -> None:
    context = server_context(tmp_path, server_ca)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with blocking_server(context) as port:
        error = await refused(port, tls)
    assert isinstance(error, TlsVersionMismatch)
    assert "TLS 1.2" in error.remedy


async def test_connect_when_no_cipher_is_shared_says_what_the_server_said(
    server_ca: Credential, tls: ClientTls, tmp_path: Path
) -> None:
    context = server_context(tmp_path, server_ca)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")  # and an EC key
    with blocking_server(context) as port:
        error = await refused(port, tls)
    assert isinstance(error, TlsFailed)
    assert "alert handshake failure" in error.message


async def test_connect_when_client_certificate_is_demanded_in_tls_1_2_says_so(
    server_ca: Credential, server_ca_file: Path, tmp_path: Path
) -> None:
    context = server_context(tmp_path, server_ca, require=server_ca_file)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    stranger = certify("device7", key_of("ec#device")).write(tmp_path)
    tls = ClientTls(
        trust_system=False,
        trust_files=(server_ca_file,),
        certificate=ClientCertificate(*stranger),
    )
    with blocking_server(context) as port:
        error = await refused(port, tls)
    assert isinstance(error, ClientCertificateRefused)
    assert "unknown CA" in error.message


@pytest.mark.parametrize(("own", "said"), [(False, "certificate required"), (True, "unknown CA")])
async def test_read_when_client_certificate_is_refused_in_tls_1_3_says_so(
    own: bool,
    said: str,
    server_ca: Credential,
    server_ca_file: Path,
    tmp_path: Path,
) -> None:
    context = server_context(tmp_path, server_ca, require=server_ca_file)
    stranger = certify("device7", key_of("ec#device")).write(tmp_path)
    tls = ClientTls(
        trust_system=False,
        trust_files=(server_ca_file,),
        certificate=ClientCertificate(*stranger) if own else None,
    )
    with blocking_server(context) as port:
        connection = await open_connection("localhost", port, tls=tls)
        with pytest.raises(ClientCertificateRefused) as error:
            await connection.read()
        assert said in error.value.message
        assert error.value.stage == "tls"
        connection.write(b"into the void")
        with pytest.raises(ClientCertificateRefused):
            await connection.drain()
        await connection.close()


# -- dns and tcp -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("no-such-host.invalid", "has no address"),
        ("https://localhost", "has no address"),
        ("x" * 70, "is not a host name"),
        ("a..b", "is not a host name"),
    ],
)
async def test_connect_when_name_leads_nowhere_is_refused_in_dns(
    host: str, said: str, tls: ClientTls
) -> None:
    recorder = AttemptRecorder("connect")
    error = await refused(8883, tls, host=host, observer=recorder)
    assert isinstance(error, NameNotResolved)
    assert (error.code, error.stage) == ("name-not-resolved", "dns")
    assert repr(host) in error.message
    assert recorder.current_stage == "dns"


@pytest.mark.parametrize(
    ("host", "port"), [("", 8883), ("localhost", 0), ("localhost", -1), ("localhost", 65536)]
)
async def test_connect_when_endpoint_is_malformed_is_refused_at_the_door(
    host: str, port: int, tls: ClientTls
) -> None:
    recorder = AttemptRecorder("connect")
    error = await refused(port, tls, host=host, observer=recorder)
    assert isinstance(error, EndpointMalformed)
    assert (error.code, error.stage) == ("endpoint-malformed", "dns")
    assert repr(f"{host}:{port}") in error.message
    assert recorder.current_stage == "start"


async def test_connect_when_server_name_cannot_be_one_says_so(
    start_listener: StartListener, tls: ClientTls
) -> None:
    listener = await start_listener(Applications())
    error = await refused(listener.port, tls, server_name=".example")
    assert isinstance(error, EndpointMalformed)
    assert error.stage == "tls"
    assert "'.example'" in error.message


@ASYNCIO_ONLY
async def test_connect_when_no_resolver_answers_says_so(
    tls: ClientTls, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*arguments: Any, **options: Any) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    async def hang(*arguments: Any, **options: Any) -> None:
        await asyncio.sleep(WAIT_S)

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "getaddrinfo", fail)
    error = await refused(8883, tls)
    assert isinstance(error, NameNotResolved)
    assert "Temporary failure" in error.message
    assert "DNS servers" in error.remedy

    monkeypatch.setattr(loop, "getaddrinfo", hang)
    error = await refused(8883, tls, timeouts=ConnectTimeouts(dns_s=0.05))
    assert isinstance(error, ConnectTimeout)
    assert error.stage == "dns"


@ASYNCIO_ONLY
async def test_connect_when_one_of_the_addresses_answers_takes_it(
    start_listener: StartListener, tls: ClientTls, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = await start_listener(Applications())
    stream = (socket.SOCK_STREAM, socket.IPPROTO_TCP, "")

    async def both(*arguments: Any, **options: Any) -> list[Any]:
        return [
            (socket.AF_INET6, *stream, ("::1", listener.port, 0, 0)),  # nobody listens there
            (socket.AF_INET6, *stream, (socket.AF_INET6, b"\0\0")),  # a Python without IPv6
            (socket.AF_INET, *stream, ("127.0.0.1", listener.port)),
        ]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", both)
    recorder = AttemptRecorder("connect")
    connection = await open_connection("localhost", listener.port, tls=tls, observer=recorder)
    assert connection.facts.address == "127.0.0.1"
    assert recorder.snapshot().stages[0].detail == "::1, 127.0.0.1"
    await connection.close()


async def test_connect_when_nobody_listens_is_refused_in_tcp(tls: ClientTls) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        recorder = AttemptRecorder("connect")
        error = await refused(port, tls, observer=recorder)
    assert isinstance(error, ConnectionRefused)
    assert (error.code, error.stage) == ("connection-refused", "tcp")
    assert f"127.0.0.1:{port}: connection refused" in error.message
    assert [stage.name for stage in recorder.snapshot().stages] == ["dns"]
    assert recorder.current_stage == "tcp"


# -- an established connection ---------------------------------------------------------------------


async def test_read_when_server_closes_in_order_gives_the_end(
    start_listener: StartListener, tls: ClientTls
) -> None:
    applications = Applications(on_made=lambda each: (each.connection.close(), None)[1])
    listener = await start_listener(applications)
    connection = await open_connection("localhost", listener.port, tls=tls)
    assert await connection.read() == b""
    await connection.close()


@pytest.mark.parametrize("first", [b"", b"CONNACK"])
async def test_read_when_connection_breaks_says_whether_anything_was_heard(
    first: bytes, start_listener: StartListener, tls: ClientTls
) -> None:
    applications = Applications(on_data=echo)
    listener = await start_listener(applications)
    connection = await open_connection("localhost", listener.port, tls=tls)
    if first:
        connection.write(first)
        assert await connection.read() == first
    await until(lambda: applications)
    raw = applications[0].connection._raw
    assert raw is not None
    # A reset, as from a crash: the kernel sends one for bytes that arrive after the close.
    sock = raw.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    applications[0].connection.abort()
    with pytest.raises(ConnectionLost) as lost:
        await connection.read()
    assert lost.value.stage == "connection"
    assert ("right after the TLS handshake" in lost.value.message) is (not first)
    assert lost.value.remedy
    await connection.close()


async def test_close_when_server_does_not_answer_is_bounded(
    start_listener: StartListener, tls: ClientTls
) -> None:
    applications = Applications()
    listener = await start_listener(applications)
    connection = await open_connection("localhost", listener.port, tls=tls)
    await until(lambda: applications)
    raw = applications[0].connection._raw
    assert raw is not None
    raw.pause_reading()
    await asyncio.wait_for(connection.close(within_s=0.1), WAIT_S)
    connection.write(b"dropped")
    await connection.close(within_s=0.1)
    raw.resume_reading()


async def test_abort_when_called_ends_at_once(
    start_listener: StartListener, tls: ClientTls
) -> None:
    applications = Applications()
    listener = await start_listener(applications)
    connection = await open_connection("localhost", listener.port, tls=tls)
    connection.abort()
    assert connection.is_closed
    await until(lambda: listener.counters.open_connections == 0)
    await connection.close()


async def test_connect_when_cancelled_leaves_nothing_open(serve: Serve, tls: ClientTls) -> None:
    ended = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.read()
        writer.close()
        ended.set()

    port = await serve(wait)
    connecting = asyncio.create_task(open_connection("localhost", port, tls=tls))
    await asyncio.sleep(0.1)
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    await asyncio.wait_for(ended.wait(), WAIT_S)


def test_timeouts_when_defaulted_leave_room_for_each_stage() -> None:
    timeouts = ConnectTimeouts()
    assert timeouts.overall_s <= timeouts.dns_s + timeouts.tcp_s + timeouts.tls_s
    assert timeouts.overall_s > client_module.CLOSE_S
    assert timedelta(seconds=timeouts.overall_s) < timedelta(minutes=1)
