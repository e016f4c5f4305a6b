"""One connection: back-pressure both ways, corking, closing, and applications that fail."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.support.certificates import Credential, certify, key_of
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

from mooring.transport import server_connection
from mooring.transport.admission import Admission, ListenerCounters, Turn
from mooring.transport.errors import PeerTooSlow, TlsSessionBroken
from mooring.transport.limits import ListenerLimits
from mooring.transport.server_application import ConnectionEnvironment
from mooring.transport.server_connection import ServerConnection
from mooring.transport.server_tls import ServerTls
from mooring.transport.tls_session import DELIVERY_BYTES

MEGABYTE = bytes(range(256)) * 4096


def pause(application: RecordingApplication, data: bytes) -> None:
    """Take one delivery at a time."""
    application.connection.pause_reading()


# -- with real sockets -----------------------------------------------------------------------------


async def test_pause_writing_when_peer_reads_late_is_followed_by_resume(
    start_listener: StartListener,
) -> None:
    def pour(application: RecordingApplication, data: bytes) -> None:
        while "pause" not in application.events:
            application.connection.write(MEGABYTE[:65536])
            poured.append(MEGABYTE[:65536])
        waiting.append(application.connection.write_buffer_bytes)

    poured: list[bytes] = []
    waiting: list[int] = []
    applications = Applications(on_data=pour)
    limits = ListenerLimits(write_high_water_bytes=32 * 1024, write_limit_bytes=1 << 28)
    listener = await start_listener(applications, limits=limits)
    reader, writer = await connect(listener.port)
    writer.write(b"go")
    await until(lambda: applications and "pause" in applications[0].events)
    [application] = applications
    assert waiting[0] > 32 * 1024
    expected = b"".join(poured)
    async with asyncio.timeout(WAIT_S):
        assert await reader.readexactly(len(expected)) == expected
    await until(lambda: application.events[-1] == "resume")
    assert application.connection.write_buffer_bytes <= 8 * 1024
    await hang_up(writer)


async def test_pause_reading_when_peer_sends_on_delivers_nothing_until_resumed(
    start_listener: StartListener,
) -> None:
    def pause_once(application: RecordingApplication, data: bytes) -> None:
        if "resumed" not in application.events:
            application.connection.pause_reading()

    applications = Applications(on_data=pause_once)
    listener = await start_listener(applications)
    _, writer = await connect(listener.port)
    sending = asyncio.create_task(send_all(writer, MEGABYTE * 16))
    await until(lambda: applications and applications[0].received)
    [application] = applications
    got = len(application.received)
    await asyncio.sleep(0.1)
    assert len(application.received) == got
    assert application.events == ["made", "data"]
    assert not sending.done(), "TCP should hold the peer up"
    application.events.append("resumed")
    application.connection.resume_reading()
    await sending
    await until(lambda: len(application.received) == 16 * len(MEGABYTE))
    assert bytes(application.received) == MEGABYTE * 16
    await hang_up(writer)


async def send_all(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Send `data`, piece by piece."""
    for start in range(0, len(data), 65536):
        writer.write(data[start : start + 65536])
        await writer.drain()


async def test_write_when_peer_never_reads_is_cut_off_at_the_limit(
    start_listener: StartListener,
) -> None:
    def pour(application: RecordingApplication, data: bytes) -> None:
        for _ in range(64):
            application.connection.write(MEGABYTE)

    applications = Applications(on_data=pour)
    limits = ListenerLimits(write_high_water_bytes=1024, write_limit_bytes=1 << 20)
    listener = await start_listener(applications, limits=limits)
    _, writer = await connect(listener.port)
    writer.write(b"go")
    await until(lambda: applications and "lost" in applications[0].events)
    assert isinstance(applications[0].lost, PeerTooSlow)
    assert listener.counters.slow_readers_aborted == 1
    await hang_up(writer)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_close_when_peer_has_sent_on_still_shows_the_last_words(
    version: ssl.TLSVersion, start_listener: StartListener
) -> None:
    # A socket closed over unread bytes would be reset, and the words lost.
    def refuse(application: RecordingApplication, data: bytes) -> None:
        application.connection.write(b"CONNACK 5")
        application.connection.close()

    applications = Applications(on_data=refuse)
    listener = await start_listener(applications)
    for _ in range(10):
        reader, writer = await connect(listener.port, client_context(version=version))
        writer.write(b"CONNECT")
        await until(lambda: applications and applications[-1].received)
        with suppress(OSError):
            await send_all(writer, MEGABYTE)
        await asyncio.sleep(0.01)
        assert await read_all(reader) == b"CONNACK 5"
        await hang_up(writer)
        await applications[-1].over.wait()
        assert applications[-1].lost is None
        assert bytes(applications[-1].received) == b"CONNECT"
        applications.clear()


async def test_connection_lost_when_peer_says_goodbye_has_no_error(
    start_listener: StartListener,
) -> None:
    applications = Applications(on_data=echo)
    listener = await start_listener(applications)
    reader, writer = await connect(listener.port)
    writer.write(b"bye")
    await reader.readexactly(3)
    await hang_up(writer)
    await asyncio.wait_for(applications[0].over.wait(), WAIT_S)
    assert applications[0].lost is None


class Failing(RecordingApplication):
    """Fails in the method called `where`, if told to."""

    def __init__(self, where: str) -> None:
        super().__init__(on_data=echo)
        self._where = where
        self.fail_in("factory")

    def fail_in(self, here: str) -> None:
        if here == self._where:
            raise RuntimeError(f"{here} is broken")

    def connection_made(self, connection: ServerConnection) -> None:
        super().connection_made(connection)
        self.fail_in("connection_made")

    def data_received(self, data: bytes) -> None:
        self.fail_in("data_received")
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.fail_in("connection_lost")

    def drain(self) -> None:
        self.fail_in("drain")


@pytest.mark.parametrize(
    "where", ["factory", "connection_made", "data_received", "connection_lost", "drain"]
)
async def test_application_when_it_fails_ends_only_its_own_connection(
    where: str, start_listener: StartListener
) -> None:
    wheres = ["", where]
    listener = await start_listener(lambda: Failing(wheres.pop(0)))
    reader, writer = await connect(listener.port)
    writer.write(b"first")
    assert await reader.readexactly(5) == b"first"
    [first] = listener._environment.connections

    _, victim = await connect(listener.port)
    victim.write(b"trouble")
    await until(lambda: listener.counters.handshakes_ok == 2)
    for connection in listener._environment.connections - {first}:
        connection.drain()
    await hang_up(victim)
    await until(lambda: listener.counters.open_connections == 1)
    assert listener.counters.application_errors == 1

    writer.write(b"still here")
    assert await reader.readexactly(10) == b"still here"
    await hang_up(writer)


# -- in memory, record by record -------------------------------------------------------------------


class RawTransport(asyncio.Transport):
    """A raw transport that keeps what it is told; `unsent` is what the network does not take."""

    def __init__(self, peername: object = ("127.0.0.1", 50007)) -> None:
        super().__init__({"peername": peername})
        self.written: list[bytes] = []
        self.calls: list[str] = []
        self.unsent = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.limits = (high, low)

    def is_closing(self) -> bool:
        return "close" in self.calls or "abort" in self.calls

    def close(self) -> None:
        self.calls.append("close")

    def abort(self) -> None:
        self.calls.append("abort")

    def write_eof(self) -> None:
        self.calls.append("eof")

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")


class MemoryPeer:
    """A standard-library TLS client and a `ServerConnection`, without a network between them."""

    def __init__(
        self,
        applications: Callable[[], Any],
        tls: ServerTls,
        *,
        context: ssl.SSLContext | None = None,
        limits: ListenerLimits | None = None,
        raw: RawTransport | None = None,
    ) -> None:
        limits = limits or ListenerLimits()
        self.counters = ListenerCounters()
        self.failures: list[str] = []
        self.environment = ConnectionEnvironment(
            tls=tls,
            limits=limits,
            admission=Admission(limits, self.counters),
            counters=self.counters,
            application_factory=applications,
            on_handshake_failed=lambda address, reason: self.failures.append(reason),
        )
        self.connection = ServerConnection(self.environment, asyncio.get_running_loop())
        self.raw = raw or RawTransport()
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = (context or client_context()).wrap_bio(
            self.incoming, self.outgoing, server_hostname="localhost"
        )

    def accept(self) -> None:
        self.connection.connection_made(self.raw)

    def shake_hands(self) -> None:
        """Accept and complete the handshake."""
        self.accept()
        for _ in range(4):
            with suppress(ssl.SSLWantReadError):
                self.client.do_handshake()
            self.pass_on()

    def pass_on(self) -> None:
        """Carry bytes between both ends."""
        if data := self.outgoing.read():
            self.connection.data_received(data)
        self.incoming.write(b"".join(self.raw.written))
        self.raw.written.clear()

    def sealed(self, *records: bytes) -> bytes:
        """Return `records` as the client would send them, one TLS record each."""
        for record in records:
            self.client.write(record)
        return self.outgoing.read()

    def opened(self) -> bytes:
        """Return one record that the client can read now."""
        self.pass_on()
        return self.client.read(1 << 20)


@pytest.fixture
async def lose() -> AsyncIterator[Callable[[MemoryPeer], MemoryPeer]]:
    """End each peer's connection after the test, so that no timer is left."""
    peers: list[MemoryPeer] = []

    def keep(peer: MemoryPeer) -> MemoryPeer:
        peers.append(peer)
        return peer

    yield keep
    for peer in peers:
        if peer.connection._raw is not None:
            peer.connection.connection_lost(None)


Lose = Callable[[MemoryPeer], MemoryPeer]


async def test_data_received_when_one_read_has_many_records_is_called_once(
    server_tls: ServerTls, lose: Lose
) -> None:
    applications = Applications()
    peer = lose(MemoryPeer(applications, server_tls))
    peer.shake_hands()
    peer.connection.data_received(peer.sealed(b"one", b"two", b"three"))
    assert applications[0].events == ["made", "data"]
    assert bytes(applications[0].received) == b"onetwothree"


async def test_data_received_when_a_read_is_large_is_called_in_pieces(
    server_tls: ServerTls, lose: Lose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_connection, "FIRST_DELIVERY_BYTES", DELIVERY_BYTES)
    applications = Applications()
    peer = lose(MemoryPeer(applications, server_tls))
    peer.shake_hands()
    peer.connection.data_received(peer.sealed(*[b"x" * 16384] * 10))
    assert applications[0].events == ["made", "data", "data", "data"]
    assert len(applications[0].received) == 10 * 16384


async def test_data_received_when_it_takes_long_lets_the_others_go_first(
    server_tls: ServerTls, lose: Lose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_connection, "TURN_S", 0.0)
    applications = Applications()
    peer = lose(MemoryPeer(applications, server_tls))
    peer.shake_hands()
    [application] = applications
    peer.connection.data_received(peer.sealed(*[b"x" * 16384] * 2, b"end"))
    sizes = []
    while not application.received.endswith(b"end"):
        assert peer.raw.calls == ["pause", "resume"] * len(sizes) + ["pause"]
        sizes.append(len(application.received) - sum(sizes))
        await asyncio.sleep(0)
    assert len(application.received) == 2 * 16384 + 3
    assert sizes[0] == server_connection.FIRST_DELIVERY_BYTES
    assert sizes[-1] == server_connection.LEAST_DELIVERY_BYTES
    await asyncio.sleep(0)
    assert peer.raw.calls[-1] == "resume"


async def test_resume_reading_when_it_waits_for_its_turn_waits_on(
    server_tls: ServerTls, lose: Lose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_connection, "TURN_S", 0.0)
    applications = Applications()
    peer = lose(MemoryPeer(applications, server_tls))
    peer.shake_hands()
    peer.connection.data_received(peer.sealed(b"x" * 16384))
    peer.connection.pause_reading()
    peer.connection.resume_reading()
    assert "resume" not in peer.raw.calls
    peer.connection.pause_reading()
    await asyncio.sleep(0)
    assert applications[0].events == ["made", "data"]
    assert "resume" not in peer.raw.calls
    peer.connection.resume_reading()
    await asyncio.sleep(0)
    assert applications[0].events == ["made", "data", "data"]


async def test_resume_reading_when_plain_text_is_pending_delivers_it_without_the_network(
    server_tls: ServerTls, lose: Lose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_connection, "FIRST_DELIVERY_BYTES", DELIVERY_BYTES)
    applications = Applications(
        on_data=lambda application, data: application.connection.pause_reading()
    )
    peer = lose(MemoryPeer(applications, server_tls))
    peer.shake_hands()
    [application] = applications
    peer.connection.data_received(peer.sealed(*[b"x" * 16384] * 10))
    assert application.events == ["made", "data"]
    assert peer.raw.calls == ["pause"]
    # What the loop had read before the pause took effect is kept, not delivered.
    peer.connection.data_received(peer.sealed(b"later"))
    peer.connection.pause_reading()
    assert application.events == ["made", "data"]
    for calls in (2, 3):
        peer.connection.resume_reading()
        peer.connection.resume_reading()
        assert application.events == ["made"] + ["data"] * (calls - 1), "not within the call"
        await asyncio.sleep(0)
        assert application.events == ["made"] + ["data"] * calls
    assert len(application.received) == 10 * 16384 + 5
    assert application.received.endswith(b"later")


async def test_resume_reading_when_connection_has_closed_meanwhile_delivers_nothing(
    server_tls: ServerTls, lose: Lose
) -> None:
    applications = Applications(
        on_data=lambda application, data: application.connection.pause_reading()
    )
    peer = lose(MemoryPeer(applications, server_tls))
    peer.shake_hands()
    peer.connection.data_received(peer.sealed(*[b"x" * 16384] * 10))
    peer.connection.resume_reading()
    peer.connection.close()
    await asyncio.sleep(0)
    assert applications[0].events == ["made", "data"]
    peer.connection.pause_reading()
    peer.connection.resume_reading()
    assert peer.raw.calls == ["pause", "resume", "eof"]


async def test_close_when_reading_is_paused_reads_on_to_see_the_peers_end(
    server_tls: ServerTls, lose: Lose
) -> None:
    applications = Applications()
    peer = lose(MemoryPeer(applications, server_tls))
    peer.shake_hands()
    peer.connection.pause_reading()
    peer.connection.close()
    assert peer.raw.calls == ["pause", "resume", "eof"]


async def test_close_when_a_paused_peer_is_gone_ends_the_connection(
    start_listener: StartListener,
) -> None:
    applications = Applications(on_data=pause)
    listener = await start_listener(applications)
    _, writer = await connect(listener.port)
    writer.write(b"go")
    await until(lambda: applications and "data" in applications[0].events)
    writer.transport.abort()
    await asyncio.sleep(0.1)
    assert "lost" not in applications[0].events  # nobody reads, so nobody knows
    applications[0].connection.close()
    await until(lambda: "lost" in applications[0].events)


async def test_write_when_within_data_received_leaves_as_one_record(
    server_tls: ServerTls, lose: Lose
) -> None:
    def answer(application: RecordingApplication, data: bytes) -> None:
        for word in (b"a", b"", b"b", b"c"):
            application.connection.write(word)
        sizes.append(application.connection.write_buffer_bytes)

    sizes: list[int] = []
    peer = lose(MemoryPeer(Applications(on_data=answer), server_tls))
    peer.shake_hands()
    peer.connection.data_received(peer.sealed(b"go"))
    assert sizes == [3]
    assert peer.connection.write_buffer_bytes == 0
    assert len(peer.raw.written) == 1
    assert peer.opened() == b"abc"


async def test_write_when_made_by_connection_made_follows_the_handshake(
    server_tls: ServerTls, lose: Lose
) -> None:
    greet = Applications(on_made=lambda application: application.connection.write(b"hello"))
    peer = lose(MemoryPeer(greet, server_tls))
    peer.shake_hands()
    assert peer.opened() == b"hello"


async def test_write_when_corked_reaches_high_water_leaves_at_once(
    server_tls: ServerTls, lose: Lose
) -> None:
    def answer(application: RecordingApplication, data: bytes) -> None:
        application.connection.write(b"x" * 600)
        written.append(len(peer.raw.written))
        application.connection.write(b"x" * 600)
        written.append(len(peer.raw.written))

    written: list[int] = []
    limits = ListenerLimits(write_high_water_bytes=1000)
    peer = lose(MemoryPeer(Applications(on_data=answer), server_tls, limits=limits))
    peer.shake_hands()
    assert peer.raw.limits == (1000, 250)
    peer.connection.data_received(peer.sealed(b"go"))
    assert written == [0, 1]
    assert len(peer.raw.written) == 1


async def test_write_when_outside_data_received_leaves_at_once(
    server_tls: ServerTls, lose: Lose
) -> None:
    peer = lose(MemoryPeer(Applications(), server_tls))
    peer.shake_hands()
    peer.connection.write(b"x" * 40000)
    assert peer.raw.written
    assert b"".join(peer.opened() for _ in range(3)) == b"x" * 40000


async def test_close_when_within_data_received_sends_what_was_written_and_ignores_the_rest(
    server_tls: ServerTls, lose: Lose
) -> None:
    def finish(application: RecordingApplication, data: bytes) -> None:
        application.connection.write(b"last")
        application.connection.close()
        application.connection.write(b"dropped")
        closing.append(application.connection.is_closing)

    closing: list[bool] = []
    applications = Applications(on_data=finish)
    peer = lose(MemoryPeer(applications, server_tls))
    peer.shake_hands()
    assert not peer.connection.is_closing
    peer.connection.data_received(peer.sealed(b"x" * 16384, b"x" * 16384, b"x" * 16384, b"go"))
    peer.connection.data_received(peer.sealed(b"more"))
    assert closing == [True]
    assert applications[0].events == ["made", "data"]
    assert peer.raw.calls == ["eof"]
    assert peer.opened() == b"last"
    assert peer.client.read(10) == b"", "no close_notify has come"
    peer.connection.close()
    assert peer.raw.calls == ["eof"]


async def test_close_when_peer_does_not_follow_is_aborted_in_the_end(
    server_tls: ServerTls, lose: Lose
) -> None:
    limits = ListenerLimits(close_linger_s=0.05)
    peer = lose(MemoryPeer(Applications(), server_tls, limits=limits))
    peer.shake_hands()
    peer.connection.close()
    await until(lambda: peer.raw.calls == ["eof", "abort"])


@pytest.mark.parametrize(("unsent", "calls"), [(0, ["close"]), (7, ["close", "abort"])])
async def test_peer_when_it_says_goodbye_is_answered_and_closed(
    unsent: int, calls: list[str], server_tls: ServerTls, lose: Lose
) -> None:
    applications = Applications()
    limits = ListenerLimits(close_linger_s=0.05)
    peer = lose(MemoryPeer(applications, server_tls, limits=limits))
    peer.shake_hands()
    peer.client.write(b"last")
    with suppress(ssl.SSLWantReadError):
        peer.client.unwrap()
    peer.raw.unsent = unsent
    peer.pass_on()
    assert bytes(applications[0].received) == b"last"
    peer.client.unwrap()  # raises unless our close_notify has come
    await asyncio.sleep(0.15)
    assert peer.raw.calls == calls


async def test_abort_when_within_data_received_drops_what_was_written(
    server_tls: ServerTls, lose: Lose
) -> None:
    def give_up(application: RecordingApplication, data: bytes) -> None:
        application.connection.write(b"dropped")
        application.connection.abort()

    applications = Applications(on_data=give_up)
    peer = lose(MemoryPeer(applications, server_tls))
    peer.shake_hands()
    peer.connection.data_received(peer.sealed(b"go"))
    assert peer.raw.calls == ["abort"]
    assert peer.raw.written == []
    peer.connection.connection_lost(None)
    peer.connection.abort()
    peer.connection.close()
    peer.connection.drain()
    assert peer.raw.calls == ["abort"]
    assert applications[0].events == ["made", "data", "lost"]
    assert peer.connection.write_buffer_bytes == 0


async def test_record_when_damaged_ends_the_connection_after_what_came_before(
    server_tls: ServerTls, lose: Lose
) -> None:
    applications = Applications()
    peer = lose(MemoryPeer(applications, server_tls))
    peer.shake_hands()
    good, bad = peer.sealed(b"good"), bytearray(peer.sealed(b"bad"))
    bad[-1] ^= 1
    peer.connection.data_received(good + bad)
    assert bytes(applications[0].received) == b"good"
    assert peer.raw.calls == ["close"]
    with pytest.raises(ssl.SSLError, match="ALERT_BAD_RECORD_MAC"):
        peer.opened()
    peer.connection.connection_lost(None)
    assert isinstance(applications[0].lost, TlsSessionBroken)
    assert "decryption failed" in applications[0].lost.message


async def test_connection_lost_when_network_fails_tells_the_application_why(
    server_tls: ServerTls,
) -> None:
    applications = Applications()
    peer = MemoryPeer(applications, server_tls)
    peer.shake_hands()
    idle: list[bool] = []
    peer.environment.on_idle = lambda: idle.append(True)
    cause = ConnectionResetError("reset by peer")
    peer.connection.connection_lost(cause)
    assert applications[0].lost is cause
    assert idle == [True]
    assert peer.counters.open_connections == 0
    assert peer.connection.presented == ()


async def test_eof_when_connection_is_open_ends_it_without_error(server_tls: ServerTls) -> None:
    applications = Applications()
    peer = MemoryPeer(applications, server_tls)
    peer.shake_hands()
    assert not peer.connection.eof_received()
    assert peer.connection.is_closing
    peer.connection.connection_lost(None)
    assert applications[0].events == ["made", "lost"]
    assert applications[0].lost is None


@pytest.mark.parametrize("method", ["pause_writing", "resume_writing"])
async def test_write_flow_when_application_is_there_is_forwarded(
    method: str, server_tls: ServerTls, lose: Lose
) -> None:
    applications = Applications()
    peer = lose(MemoryPeer(applications, server_tls))
    peer.accept()
    getattr(peer.connection, method)()
    peer.shake_hands()
    getattr(peer.connection, method)()
    assert applications[0].events == ["made", method.partition("_")[0]]


async def test_write_when_session_is_broken_closes(server_tls: ServerTls) -> None:
    applications = Applications()
    peer = MemoryPeer(applications, server_tls)
    peer.shake_hands()
    session = peer.connection._tls
    assert session is not None
    session._connection.set_shutdown(1)  # as after our close_notify: no more writing
    peer.connection.write(b"x")
    assert peer.raw.calls == ["close"]
    peer.connection.connection_lost(None)
    assert isinstance(applications[0].lost, TlsSessionBroken)


async def test_close_when_session_is_broken_still_ends_tcp(
    server_tls: ServerTls, lose: Lose
) -> None:
    peer = lose(MemoryPeer(Applications(), server_tls))
    peer.shake_hands()
    session = peer.connection._tls
    assert session is not None
    bad = bytearray(peer.sealed(b"bad"))
    bad[-1] ^= 1
    session.feed(bytes(bad))
    with pytest.raises(TlsSessionBroken):
        session.decrypt()
    with pytest.raises(TlsSessionBroken):
        session.decrypt()
    peer.connection.close()
    assert peer.raw.calls == ["eof"]


async def test_close_when_peer_is_too_slow_for_the_goodbye_aborts(
    server_tls: ServerTls, lose: Lose
) -> None:
    limits = ListenerLimits(write_high_water_bytes=10, write_limit_bytes=100)
    peer = lose(MemoryPeer(Applications(), server_tls, limits=limits))
    peer.shake_hands()
    peer.raw.unsent = 101
    peer.connection.close()
    assert peer.raw.calls == ["abort"]


async def test_close_when_handshake_is_not_done_aborts(server_tls: ServerTls, lose: Lose) -> None:
    peer = lose(MemoryPeer(Applications(), server_tls))
    peer.accept()
    peer.connection.close()
    assert peer.raw.calls == ["abort"]


async def test_connection_when_listener_drains_is_turned_away(server_tls: ServerTls) -> None:
    peer = MemoryPeer(Applications(), server_tls)
    peer.environment.draining = True
    peer.accept()
    assert peer.raw.calls == ["abort"]
    peer.connection.connection_lost(None)
    assert peer.counters.accepted == 0
    assert peer.failures == []


async def test_connection_when_peer_has_gone_before_it_is_asked_has_no_address(
    server_tls: ServerTls, lose: Lose
) -> None:
    peer = lose(MemoryPeer(Applications(), server_tls, raw=RawTransport(peername=None)))
    peer.shake_hands()
    assert (peer.connection.peer_address, peer.connection.peer_port) == ("", 0)


async def test_connection_lost_when_handshake_is_under_way_is_reported(
    server_tls: ServerTls,
) -> None:
    peer = MemoryPeer(Applications(), server_tls)
    peer.accept()
    peer.connection.connection_lost(ConnectionResetError("reset by peer"))
    assert peer.failures == ["the connection broke: reset by peer"]
    assert peer.counters.handshakes_failed == 1


async def test_handshake_when_its_bytes_come_one_by_one_is_completed(
    server_tls: ServerTls, lose: Lose
) -> None:
    applications = Applications()
    peer = lose(MemoryPeer(applications, server_tls))
    peer.accept()
    while not applications:
        with suppress(ssl.SSLWantReadError):
            peer.client.do_handshake()
        for byte in peer.outgoing.read():
            peer.connection.data_received(bytes([byte]))
        peer.pass_on()
    for byte in peer.sealed(b"slow"):
        peer.connection.data_received(bytes([byte]))
    assert bytes(applications[0].received) == b"slow"


async def test_handshake_when_a_signature_is_broken_waits_for_the_rest(
    server_tls: ServerTls, lose: Lose, tmp_path: Path
) -> None:
    # OpenSSL before 4.0 takes the error that the signature left for its own: the certificate has
    # come, the rest of the handshake has not.
    root = certify("root", key_of("ec#root"), ca=True)
    leaf = certify("device7", key_of("ec#device"), root).broken()
    applications = Applications()
    context = client_context(leaf.write(tmp_path, root))
    peer = lose(MemoryPeer(applications, server_tls, context=context))
    peer.accept()
    for _ in range(4):
        with suppress(ssl.SSLWantReadError):
            peer.client.do_handshake()
        for byte in peer.outgoing.read():
            peer.connection.data_received(bytes([byte]))
        peer.pass_on()
    assert peer.failures == []
    assert len(applications[0].connection.presented) == 2


async def test_handshake_when_first_bytes_come_twice_before_its_turn_keeps_both(
    server_tls: ServerTls, lose: Lose
) -> None:
    applications = Applications()
    limits = ListenerLimits(max_handshakes_in_flight=1)
    peer = lose(MemoryPeer(applications, server_tls, limits=limits))
    admission = peer.environment.admission
    admission.begin_handshake(lambda: None, "192.0.2.9")
    peer.accept()
    with suppress(ssl.SSLWantReadError):
        peer.client.do_handshake()
    hello = peer.outgoing.read()
    peer.connection.data_received(hello[:50])
    peer.connection.data_received(hello[50:])
    assert peer.raw.calls == ["pause"]
    assert peer.raw.written == []
    admission.end_handshake("192.0.2.9")
    assert peer.raw.calls == ["pause", "resume"]
    peer.pass_on()
    peer.client.do_handshake()
    peer.pass_on()
    assert applications[0].events == ["made"]


async def test_handshake_when_peer_goes_before_its_turn_is_not_begun(
    server_tls: ServerTls,
) -> None:
    limits = ListenerLimits(max_handshakes_in_flight=1)
    peer = MemoryPeer(Applications(), server_tls, limits=limits)
    admission = peer.environment.admission
    admission.begin_handshake(lambda: None, "192.0.2.9")
    peer.accept()
    peer.connection.data_received(b"\x16\x03\x01")
    peer.connection.connection_lost(ConnectionResetError("reset by peer"))
    admission.end_handshake("192.0.2.9")
    assert peer.connection._tls is None
    assert admission.begin_handshake(lambda: None, "192.0.2.9") is Turn.NOW


async def test_handshake_when_certificate_cannot_be_parsed_is_refused(
    server_tls: ServerTls, lose: Lose, tmp_path: Path
) -> None:
    good = certify("device7", key_of("ec#device"))
    # Version 6: OpenSSL reads past it, `cryptography` does not.
    der = good.der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x05", 1)
    odd = Credential(good.certificate, good.key, der)
    context = client_context(odd.write(tmp_path))
    applications = Applications()
    peer = lose(MemoryPeer(applications, server_tls, context=context))
    peer.shake_hands()
    assert not applications
    assert "a certificate of the peer cannot be parsed" in peer.failures[0]
    assert peer.raw.calls == ["close"]


async def test_timer_when_handshake_is_done_or_failed_is_cancelled(
    server_tls: ServerTls, lose: Lose
) -> None:
    for garbage in (None, b"GET / HTTP/1.1\r\n\r\n"):
        peer = lose(MemoryPeer(Applications(), server_tls))
        peer.accept()
        assert peer.connection._timer is not None
        if garbage is None:
            peer.shake_hands()
        else:
            peer.connection.data_received(garbage)
        assert peer.connection._timer is None


async def test_server_name_when_client_sends_none_is_none(
    server_tls: ServerTls, lose: Lose
) -> None:
    peer = lose(MemoryPeer(Applications(), server_tls))
    peer.client = client_context().wrap_bio(peer.incoming, peer.outgoing)
    peer.shake_hands()
    assert peer.connection.server_name is None
    assert peer.connection.tls_version == "TLSv1.3"
