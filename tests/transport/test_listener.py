"""The listener with real sockets: limits, time-outs, garbage, reload, drain."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress
from pathlib import Path

import pytest
from tests.support.certificates import Credential, certify_server, key_of
from tests.support.tlspeers import (
    WAIT_S,
    Applications,
    RecordingApplication,
    StartListener,
    client_context,
    connect,
    echo,
    hang_up,
    read_all,
    until,
)

from mooring.transport import listener as listener_module
from mooring.transport.errors import ListenAddressUnavailable, ServerCertificateUnusable
from mooring.transport.limits import ListenerLimits
from mooring.transport.listener import TlsListener
from mooring.transport.server_tls import ServerTls

Failures = list[tuple[str, str]]


def noting(failures: Failures) -> dict[str, object]:
    """Return the listener's option that keeps failed handshakes in `failures`."""
    return {"on_handshake_failed": lambda address, reason: failures.append((address, reason))}


def client_hello() -> bytes:
    """Return a TLS client's first bytes."""
    outgoing = ssl.MemoryBIO()
    session = client_context().wrap_bio(ssl.MemoryBIO(), outgoing)
    with suppress(ssl.SSLWantReadError):
        session.do_handshake()
    return outgoing.read()


# -- address ---------------------------------------------------------------------------------------


async def test_start_when_address_is_ipv6_serves_it(start_listener: StartListener) -> None:
    applications = Applications(on_data=echo)
    listener = await start_listener(applications, host="::1")
    assert listener.address == "::1"
    reader, writer = await connect(listener.port, host="::1")
    writer.write(b"six")
    assert await reader.readexactly(3) == b"six"
    connection = applications[0].connection
    assert connection.peer_address == "::1"
    assert connection.peer_port == writer.get_extra_info("sockname")[1]
    assert connection.server_name == "localhost"
    assert connection.tls_version == "TLSv1.3"
    await hang_up(writer)


async def test_start_when_port_is_taken_says_so(start_listener: StartListener) -> None:
    listener = await start_listener(Applications())
    with pytest.raises(ListenAddressUnavailable) as refused:
        await start_listener(Applications(), port=listener.port)
    assert f"127.0.0.1:{listener.port}" in refused.value.message
    assert refused.value.code == "listen-address-unavailable"
    assert "choose another port" in refused.value.remedy


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host", "x" * 300])
async def test_start_when_address_is_not_ours_says_so(
    host: str, start_listener: StartListener
) -> None:
    with pytest.raises(ListenAddressUnavailable) as refused:
        await start_listener(Applications(), host=host)
    assert host in refused.value.message


@pytest.mark.parametrize("port", [-1, 65536])
async def test_start_when_port_has_more_than_16_bits_says_so(
    port: int, start_listener: StartListener
) -> None:
    with pytest.raises(ListenAddressUnavailable, match="from 0"):
        await start_listener(Applications(), port=port)


async def test_accepted_socket_when_connected_has_nodelay_and_keepalive(
    start_listener: StartListener,
) -> None:
    applications = Applications()
    listener = await start_listener(applications)
    _, writer = await connect(listener.port)
    await until(lambda: applications)
    raw = applications[0].connection._raw
    assert raw is not None
    accepted = raw.get_extra_info("socket")
    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
    assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) != 0
    await hang_up(writer)


async def test_start_when_few_files_may_be_open_lowers_connections(
    start_listener: StartListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "raise_file_limit", lambda: 1024)
    listener = await start_listener(Applications())
    assert listener.limits.max_connections == 1024 - 256


# -- handshakes that fail --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("garbage", "reason"),
    [
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "TLS: http request"),
        (b"\x10\x16\x00\x04MQTT\x04\x02\x00\x3c\x00\x0adevice0007", "TLS: wrong version number"),
        (b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", "TLS: "),
        (b"\x00" * 4096, "TLS: "),
    ],
    ids=["http", "mqtt", "short ClientHello", "zeros"],
)
async def test_handshake_when_peer_speaks_no_tls_is_refused_at_once(
    garbage: bytes, reason: str, start_listener: StartListener
) -> None:
    failures: Failures = []
    listener = await start_listener(Applications(), **noting(failures))
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(garbage)
    with suppress(ConnectionResetError):
        await read_all(reader)
    await hang_up(writer)
    await until(lambda: listener.counters.open_connections == 0)
    [(address, said)] = failures
    assert address == "127.0.0.1"
    assert said.startswith(reason)
    assert listener.counters.handshakes_failed == 1
    assert listener.counters.handshakes_ok == 0


async def test_handshake_when_client_distrusts_the_server_says_so(
    start_listener: StartListener,
) -> None:
    failures: Failures = []
    listener = await start_listener(Applications(), **noting(failures))

    def distrust() -> None:
        plain = socket.create_connection(("127.0.0.1", listener.port), timeout=WAIT_S)
        with plain, pytest.raises(ssl.SSLCertVerificationError):
            ssl.create_default_context().wrap_socket(plain, server_hostname="localhost")

    await asyncio.to_thread(distrust)
    await until(lambda: failures)
    assert "does not accept the server's certificate (TLS: " in failures[0][1]
    assert "alert unknown ca" in failures[0][1]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_session_when_offered_again_is_not_resumed(
    version: ssl.TLSVersion, start_listener: StartListener
) -> None:
    # A resumed session would let yesterday's certificate in unseen.
    listener = await start_listener(Applications(on_data=echo))
    context = client_context(version=version)

    def talk(session: ssl.SSLSession | None) -> tuple[ssl.SSLSession | None, bool | None]:
        plain = socket.create_connection(("127.0.0.1", listener.port), timeout=WAIT_S)
        with context.wrap_socket(plain, session=session) as secured:
            secured.sendall(b"word")
            assert secured.recv(4) == b"word"
            return secured.session, secured.session_reused

    session, _ = await asyncio.to_thread(talk, None)
    _, resumed = await asyncio.to_thread(talk, session)
    assert not resumed
    assert listener.counters.handshakes_ok == 2


async def test_handshake_when_tls_is_older_than_1_2_is_refused(
    start_listener: StartListener,
) -> None:
    failures: Failures = []
    listener = await start_listener(Applications(), **noting(failures))
    old = client_context(weak=True)
    old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        await connect(listener.port, old)
    assert "unsupported protocol" in failures[0][1]


@pytest.mark.parametrize(
    ("cipher", "accepted"),
    [
        ("ECDHE-ECDSA-AES128-GCM-SHA256", True),
        ("ECDHE-ECDSA-AES256-SHA384", True),
        ("ECDHE-ECDSA-AES128-SHA", False),
    ],
)
async def test_handshake_when_suite_is_documented_by_azure_is_accepted(
    cipher: str, accepted: bool, start_listener: StartListener
) -> None:
    listener = await start_listener(Applications())
    context = client_context(version=ssl.TLSVersion.TLSv1_2)
    context.set_ciphers(cipher)
    if accepted:
        _, writer = await connect(listener.port, context)
        assert writer.get_extra_info("cipher")[0] == cipher
        await hang_up(writer)
    else:
        with pytest.raises(ssl.SSLError):
            await connect(listener.port, context)


@pytest.mark.parametrize("first", [b"", client_hello()[:20]], ids=["silent", "stalled"])
async def test_handshake_when_not_done_in_time_is_cut_off(
    first: bytes, start_listener: StartListener
) -> None:
    failures: Failures = []
    limits = ListenerLimits(handshake_timeout_s=0.2)
    listener = await start_listener(Applications(), limits=limits, **noting(failures))
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(first)
    with suppress(ConnectionResetError):
        assert await read_all(reader) == b""
    await hang_up(writer)
    assert failures == [("127.0.0.1", "the handshake was not done within 0.2 s")]
    assert listener.counters.handshakes_timed_out == 1


async def test_connection_when_handshake_is_done_outlives_the_timeout(
    start_listener: StartListener,
) -> None:
    limits = ListenerLimits(handshake_timeout_s=0.3)
    listener = await start_listener(Applications(on_data=echo), limits=limits)
    reader, writer = await connect(listener.port)
    await asyncio.sleep(0.5)
    writer.write(b"still here")
    assert await reader.readexactly(10) == b"still here"
    await hang_up(writer)


@pytest.mark.parametrize(
    ("first", "said"),
    [(b"", "without a word"), (client_hello()[:20], "in the middle of the handshake")],
    ids=["silent", "stalled"],
)
async def test_handshake_when_peer_hangs_up_is_reported(
    first: bytes, said: str, start_listener: StartListener
) -> None:
    failures: Failures = []
    listener = await start_listener(Applications(), **noting(failures))
    _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(first)
    await hang_up(writer)
    await until(lambda: failures)
    assert said in failures[0][1]


async def test_handshake_when_peer_resets_is_reported(start_listener: StartListener) -> None:
    failures: Failures = []
    listener = await start_listener(Applications(), **noting(failures))
    with socket.create_connection(("127.0.0.1", listener.port)) as peer:
        peer.send(client_hello()[:20])
        await until(lambda: listener.counters.open_connections)
        await asyncio.sleep(0.05)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    await until(lambda: failures)
    assert failures[0][1].startswith(("the connection broke", "the peer closed"))


async def test_handshake_when_reporting_fails_goes_on_serving(
    start_listener: StartListener,
) -> None:
    def fail(address: str, reason: str) -> None:
        raise RuntimeError("attempt store is gone")

    listener = await start_listener(Applications(on_data=echo), on_handshake_failed=fail)
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    with suppress(ConnectionResetError):
        await read_all(reader)
    await hang_up(writer)
    assert listener.counters.application_errors == 1
    reader, writer = await connect(listener.port)
    await hang_up(writer)


# -- limits ----------------------------------------------------------------------------------------


async def test_handshake_when_all_are_taken_waits_and_then_is_refused(
    start_listener: StartListener,
) -> None:
    failures: Failures = []
    limits = ListenerLimits(max_handshakes_in_flight=1, max_handshakes_waiting=1)
    applications = Applications(on_data=echo)
    listener = await start_listener(applications, limits=limits, **noting(failures))

    # One begins and stalls; a silent one holds nothing.
    _, stalled = await asyncio.open_connection("127.0.0.1", listener.port)
    _, silent = await asyncio.open_connection("127.0.0.1", listener.port)
    stalled.write(client_hello()[:20])
    await until(lambda: listener.counters.open_connections == 2)
    await asyncio.sleep(0.05)

    waiting = asyncio.create_task(connect(listener.port))
    await until(lambda: listener.counters.open_connections == 3)
    await asyncio.sleep(0.05)
    with pytest.raises(OSError):  # noqa: PT011 - reset or end of file, as the kernel likes
        await connect(listener.port)
    assert listener.counters.refused_by_handshake_limit == 1
    assert failures == [("127.0.0.1", "too many handshakes are in flight and waiting")]
    assert not waiting.done()

    await hang_up(stalled)
    reader, writer = await waiting
    writer.write(b"my turn")
    assert await reader.readexactly(7) == b"my turn"
    # The place is free again for the next.
    _, another = await connect(listener.port)
    for each in (writer, another, silent):
        await hang_up(each)


async def test_waiting_handshake_when_given_up_leaves_the_queue(
    start_listener: StartListener,
) -> None:
    limits = ListenerLimits(
        max_handshakes_in_flight=1, max_handshakes_waiting=1, handshake_timeout_s=0.4
    )
    listener = await start_listener(Applications(), limits=limits)
    peers = []
    for _ in range(2):
        _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(client_hello()[:20])
        peers.append(writer)
    await until(lambda: listener.counters.handshakes_timed_out == 2)
    await until(lambda: listener.counters.open_connections == 0)
    # Both places are free: one in flight, none waiting.
    _, writer = await connect(listener.port)
    for each in (writer, *peers):
        await hang_up(each)


@pytest.mark.parametrize(
    ("limits", "counter", "said"),
    [
        (ListenerLimits(max_connections=1), "refused_by_connection_limit", "already has 1 conn"),
        (
            ListenerLimits(max_connections_per_address=1),
            "refused_by_address_limit",
            "127.0.0.1 already has 1 connections",
        ),
    ],
    ids=["all", "per address"],
)
async def test_connection_when_too_many_is_refused_until_one_leaves(
    limits: ListenerLimits, counter: str, said: str, start_listener: StartListener
) -> None:
    failures: Failures = []
    listener = await start_listener(Applications(), limits=limits, **noting(failures))
    _, first = await connect(listener.port)
    with pytest.raises(OSError):  # noqa: PT011 - reset or end of file, as the kernel likes
        await connect(listener.port)
    assert getattr(listener.counters, counter) == 1
    assert said in failures[0][1]
    await hang_up(first)
    await until(lambda: listener.counters.open_connections == 0)
    _, second = await connect(listener.port)
    await hang_up(second)


# -- reload ----------------------------------------------------------------------------------------


async def served_name(port: int, trust: Path) -> str:
    """Return the common name that the server at `port` shows."""
    _, writer = await connect(port, client_context(trust=trust))
    certificate = writer.get_extra_info("peercert")
    await hang_up(writer)
    return str(dict(pair[0] for pair in certificate["subject"])["commonName"])


async def test_reload_when_certificate_changes_serves_it_from_the_next_connection(
    start_listener: StartListener,
    server_ca: Credential,
    server_ca_file: Path,
    tmp_path: Path,
) -> None:
    old = certify_server(["old.example", "localhost"], server_ca)
    new = certify_server(["new.example", "localhost"], server_ca, key=key_of("rsa#server"))
    tls = ServerTls(*old.write(tmp_path))
    listener = await start_listener(Applications(on_data=echo), tls=tls)
    reader, writer = await connect(listener.port)
    assert await served_name(listener.port, server_ca_file) == "old.example"

    tls.reload(*new.write(tmp_path))

    assert await served_name(listener.port, server_ca_file) == "new.example"
    writer.write(b"undisturbed")
    assert await reader.readexactly(11) == b"undisturbed"
    await hang_up(writer)


async def test_reload_when_same_files_have_new_content_serves_it(
    start_listener: StartListener,
    server_ca: Credential,
    server_ca_file: Path,
    tmp_path: Path,
) -> None:
    files = certify_server(["old.example", "localhost"], server_ca).write(tmp_path)
    tls = ServerTls(*files)
    listener = await start_listener(Applications(), tls=tls)
    new = certify_server(["new.example", "localhost"], server_ca)
    files[0].write_bytes(new.pem)
    tls.reload()
    assert await served_name(listener.port, server_ca_file) == "new.example"


async def test_reload_when_files_do_not_fit_keeps_the_old_ones(
    start_listener: StartListener,
    server_ca: Credential,
    server_ca_file: Path,
    tmp_path: Path,
) -> None:
    files = certify_server(["old.example", "localhost"], server_ca).write(tmp_path)
    tls = ServerTls(*files)
    listener = await start_listener(Applications(), tls=tls)
    other_key = certify_server(["x.example"], server_ca, key=key_of("ec#x")).write(tmp_path)[1]
    with pytest.raises(ServerCertificateUnusable) as refused:
        tls.reload(key_file=other_key)
    assert str(other_key) in refused.value.message
    assert refused.value.code == "server-certificate-unusable"
    tls.reload()
    assert await served_name(listener.port, server_ca_file) == "old.example"


@pytest.mark.parametrize("broken", ["missing", "no certificate", "no key"])
def test_server_tls_when_a_file_is_unusable_names_it(
    broken: str, server_ca: Credential, tmp_path: Path
) -> None:
    certificate, key = certify_server(["localhost"], server_ca).write(tmp_path)
    match broken:
        case "missing":
            culprit = tmp_path / "missing.pem"
            files = (culprit, key)
        case "no certificate":
            culprit = certificate
            certificate.write_text("nothing")
            files = (certificate, key)
        case _:
            culprit = key
            key.write_text("nothing")
            files = (certificate, key)
    with pytest.raises(ServerCertificateUnusable) as refused:
        ServerTls(*files)
    assert str(culprit) in refused.value.message
    assert refused.value.remedy


# -- drain -----------------------------------------------------------------------------------------


async def test_close_when_application_drains_waits_for_its_last_words(
    start_listener: StartListener,
) -> None:
    def finish(application: RecordingApplication) -> None:
        async def later() -> None:
            await asyncio.sleep(0.1)
            application.connection.write(b"last words")
            application.connection.close()

        tasks.append(asyncio.ensure_future(later()))

    tasks: list[asyncio.Future[None]] = []
    applications = Applications(on_drain=finish)
    listener = await start_listener(applications)
    reader, writer = await connect(listener.port)
    await until(lambda: applications)
    closing = asyncio.create_task(listener.close(drain_s=WAIT_S))
    assert await read_all(reader) == b"last words"
    await hang_up(writer)
    await closing
    assert applications[0].events[-2:] == ["drain", "lost"]
    assert applications[0].lost is None
    with pytest.raises(OSError):  # noqa: PT011 - refused, however the loop words it
        await connect(listener.port)


async def test_close_when_application_ignores_drain_says_goodbye_and_cuts(
    start_listener: StartListener,
) -> None:
    applications = Applications()
    listener = await start_listener(applications)

    def secure() -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", listener.port), timeout=WAIT_S)
        return client_context().wrap_socket(plain, suppress_ragged_eofs=False)

    attentive = await asyncio.to_thread(secure)
    deaf = await asyncio.to_thread(secure)
    await until(lambda: len(applications) == 2)
    reading = asyncio.ensure_future(asyncio.to_thread(attentive.recv, 100))
    await asyncio.gather(listener.close(drain_s=0.1), listener.close(drain_s=60))
    assert await reading == b"", "an end without close_notify would raise"
    assert listener.counters.open_connections == 0
    assert all(application.events[-1] == "lost" for application in applications)
    attentive.close()
    deaf.close()


async def test_close_when_handshakes_are_under_way_gives_them_up(
    start_listener: StartListener,
) -> None:
    limits = ListenerLimits(max_handshakes_in_flight=1)
    listener = await start_listener(Applications(), limits=limits)
    peers = []
    for first in (client_hello()[:20], client_hello()[:20], b""):
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(first)
        peers.append((reader, writer))
    await until(lambda: listener.counters.open_connections == 3)
    await asyncio.sleep(0.05)
    await listener.close(drain_s=60)
    assert listener.counters.open_connections == 0
    for reader, writer in peers:
        with suppress(ConnectionResetError):
            assert await read_all(reader) == b""
        await hang_up(writer)


async def test_close_when_nobody_is_connected_is_immediate(start_listener: StartListener) -> None:
    listener: TlsListener = await start_listener(Applications())
    async with asyncio.timeout(WAIT_S):
        await listener.close(drain_s=600)
        await listener.close(drain_s=600)
