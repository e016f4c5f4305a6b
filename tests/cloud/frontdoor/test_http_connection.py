"""HTTP/1.1 on the HTTPS listener as bytes on a real TLS socket: what is served, and the bounds."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import select
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import uvloop
from tests.support.certificates import certify, key_of
from tests.support.httpsdoor import ADDRESS, WAIT_S, DoorThread
from tests.support.rawhttp import RawHttp, Reply

from mooring.cloud.frontdoor.http_limits import DEFAULT_HTTP_LIMITS
from mooring.pki.certificates import sha256_thumbprint
from mooring.transport.limits import ListenerLimits

LIMITS = DEFAULT_HTTP_LIMITS


@pytest.fixture(
    params=[asyncio.SelectorEventLoop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)
def door(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DoorThread]:
    """Run a door on each event loop in turn."""
    with DoorThread(tmp_path, request.param) as running:
        yield running


@pytest.fixture
def raw(door: DoorThread) -> Iterator[RawHttp]:
    """Return a connection without a client certificate."""
    with door.dial() as raw:
        yield raw


def get(path: str, *headers: str) -> bytes:
    """Return a GET request."""
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


def wait_for(condition: Callable[[], Any]) -> None:
    """Wait until `condition` is true."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def assert_refused(reply: Reply, status: int) -> str:
    """Check a refusal of the listener itself and return its message."""
    assert reply.status == status, reply
    body = reply.json()
    assert body.keys() == {"errorCode", "trackingId", "message", "timestampUtc"}
    assert body["errorCode"] // 1000 == status
    assert reply["x-ms-error-code"] == str(body["errorCode"])
    assert reply["x-ms-request-id"] == body["trackingId"]
    assert reply["content-type"] == "application/json; charset=utf-8"
    assert reply["connection"] == "close"
    assert "Traceback" not in body["message"]
    return str(body["message"])


# -- what the application sees ------------------------------------------------------------------


@pytest.mark.parametrize("tls", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_request_with_a_client_certificate_shows_its_chain(
    door: DoorThread, tls: ssl.TLSVersion
) -> None:
    root = certify("root", key_of("ec#root"), ca=True)
    leaf = certify("gw1", key_of("ec#leaf"), root)
    with door.dial(leaf, root, tls=tls) as raw:
        seen = raw.request("GET", "/echo?api-version=2021-06-01&x=%20").json()

    assert seen["thumbprints"] == [
        sha256_thumbprint(leaf.certificate),
        sha256_thumbprint(root.certificate),
    ]
    assert seen["tls_version"] == tls.name.replace("_", ".")
    assert seen["peer_address"] == seen["client"][0] == ADDRESS
    assert seen["client"][1] > 0
    assert 0 < seen["handshake_s"] < WAIT_S
    assert seen["scheme"] == "https"
    assert seen["query"] == "api-version=2021-06-01&x=%20"


def test_request_without_a_certificate_shows_none(raw: RawHttp) -> None:
    assert raw.request("GET", "/echo").json()["thumbprints"] == []


def test_connections_of_two_devices_are_not_mixed_up(door: DoorThread) -> None:
    one, other = certify("one", key_of("ec#one")), certify("other", key_of("ec#other"))
    with door.dial(one) as first, door.dial(other) as second, door.dial() as third:
        shown = [
            raw.request("GET", "/echo").json()["thumbprints"] for raw in (third, second, first)
        ]

    assert shown == [
        [],
        [sha256_thumbprint(other.certificate)],
        [sha256_thumbprint(one.certificate)],
    ]


# -- requests one after the other ---------------------------------------------------------------


def test_requests_share_a_connection(door: DoorThread, raw: RawHttp) -> None:
    for number in range(20):
        reply = raw.request("GET", f"/echo?{number}")
        assert reply.json()["query"] == str(number)
        assert "connection" not in reply

    assert door.door.requests == 20
    assert door.listener.counters.handshakes_ok == 1


def test_request_in_single_bytes_is_understood(raw: RawHttp) -> None:
    for byte in get("/echo?slowly", "Content-Length: 3") + b"abc":
        raw.send(bytes([byte]))

    assert raw.read().json()["digest"] == hashlib.sha256(b"abc").hexdigest()


@pytest.mark.parametrize(
    "request_bytes",
    [get("/echo", "Connection: close"), b"GET /echo HTTP/1.0\r\n\r\n"],
    ids=["close", "http-1.0"],
)
def test_request_that_wants_no_more_is_answered_and_closed(
    raw: RawHttp, request_bytes: bytes
) -> None:
    raw.send(request_bytes)

    assert raw.read()["connection"] == "close"
    assert raw.is_closed_by_server()


def test_answer_has_the_date_of_now(door: DoorThread, raw: RawHttp) -> None:
    reply = raw.request("GET", "/echo")
    assert reply["date"].endswith(" GMT")

    door.clock.now = lambda: datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)  # type: ignore[method-assign]
    door.pass_time(2)

    assert raw.request("GET", "/echo")["date"] == "Mon, 03 Feb 2031 04:05:06 GMT"


# -- bodies -------------------------------------------------------------------------------------


def test_chunked_body_is_put_together(raw: RawHttp) -> None:
    raw.send(get("/echo", "Transfer-Encoding: chunked"))
    raw.send(b"3\r\nabc\r\n")
    raw.send(b"4;name=value\r\nde")
    raw.send(b"fg\r\n0\r\n\r\n")

    assert raw.read().json()["digest"] == hashlib.sha256(b"abcdefg").hexdigest()


def test_trailers_do_not_reach_the_headers(raw: RawHttp) -> None:
    raw.send(get("/slow-echo", "Transfer-Encoding: chunked").replace(b"slow-", b""))
    raw.send(b"1\r\na\r\n0\r\nAuthorization: Bearer x\r\n\r\n")

    names = [name for name, _ in raw.read().json()["headers"]]
    assert names == ["host", "transfer-encoding"]
    assert raw.request("GET", "/echo").status == 200


def test_body_of_the_largest_size_is_taken_whole(raw: RawHttp) -> None:
    body = bytes(range(256)) * (LIMITS.max_body_bytes // 256)

    reply = raw.request("PUT", "/echo", body)

    assert reply.json()["digest"] == hashlib.sha256(body).hexdigest()
    assert raw.request("GET", "/echo").status == 200


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("path", ["/echo", "/unread"])
def test_body_beyond_the_largest_size_is_cut_off(raw: RawHttp, path: str, chunked: bool) -> None:
    piece = b"x" * 65536
    count = LIMITS.max_body_bytes // len(piece) + 1
    header = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {count * len(piece)}"
    raw.send(get(path, header))
    for _ in range(count):
        raw.send(b"10000\r\n" + piece + b"\r\n" if chunked else piece)

    reply = raw.read()
    if path == "/echo":
        assert "larger" in assert_refused(reply, 413)
    else:
        assert reply.status == 403
    assert raw.is_closed_by_server()


def test_application_that_does_not_read_holds_its_client_up(door: DoorThread) -> None:
    with door.dial() as raw:
        raw.send(get("/slow", f"Content-Length: {LIMITS.max_body_bytes}"))
        assert door.app.started.acquire(timeout=WAIT_S)
        raw.socket.settimeout(0.5)
        with pytest.raises(TimeoutError):
            raw.send(b"x" * 20 * 1024 * 1024)


def test_body_is_asked_for_by_100_continue(raw: RawHttp) -> None:
    raw.send(get("/echo", "Expect: 100-continue", "Content-Length: 3"))
    assert raw.read().status == 100

    raw.send(b"abc")

    assert raw.read().json()["bytes"] == 3
    assert raw.request("GET", "/echo").status == 200


def test_body_that_is_not_wanted_is_not_asked_for(raw: RawHttp) -> None:
    raw.send(get("/unread", "Expect: 100-continue", "Content-Length: 3"))

    reply = raw.read()
    assert (reply.status, reply["connection"]) == (403, "close")
    assert raw.is_closed_by_server()


def test_answer_without_a_length_comes_in_chunks(raw: RawHttp) -> None:
    reply = raw.request("GET", "/stream?3")

    assert reply["transfer-encoding"] == "chunked"
    assert len(reply.body) == 3 * 65536
    assert raw.request("GET", "/echo").status == 200


# -- pipelining ---------------------------------------------------------------------------------


def test_requests_in_one_packet_are_answered_in_order(door: DoorThread, raw: RawHttp) -> None:
    raw.send(
        get("/slow?1")
        + get("/echo?2", "Content-Length: 3")
        + b"abc"
        + get("/slow?3")
        + get("/echo?4")
    )
    assert door.app.started.acquire(timeout=WAIT_S)
    door.call(door.app.release.set)

    replies = [raw.read().json() for _ in range(4)]
    assert [reply["query"] for reply in replies] == ["1", "2", "3", "4"]
    assert replies[1]["bytes"] == 3


def test_requests_beyond_those_that_may_wait_are_not_taken(door: DoorThread, raw: RawHttp) -> None:
    sent = LIMITS.max_pipelined + 20
    raw.send(get("/slow?0") + b"".join(get(f"/echo?{n}") for n in range(1, sent)))
    assert door.app.started.acquire(timeout=WAIT_S)
    door.call(door.app.release.set)

    replies = [raw.read() for _ in range(LIMITS.max_pipelined + 1)]
    assert [reply.json()["query"] for reply in replies] == [str(n) for n in range(len(replies))]
    assert ["connection" in reply for reply in replies] == [False] * LIMITS.max_pipelined + [True]
    assert raw.is_closed_by_server()


def test_nonsense_behind_a_request_is_refused_after_its_answer(
    door: DoorThread, raw: RawHttp
) -> None:
    raw.send(get("/slow?1") + get("/echo?2") + b"nonsense\r\n\r\n" + get("/echo?4"))
    assert door.app.started.acquire(timeout=WAIT_S)
    door.call(door.app.release.set)

    assert [raw.read().json()["query"] for _ in range(2)] == ["1", "2"]
    assert_refused(raw.read(), 400)
    assert raw.is_closed_by_server()


def test_broken_body_of_a_request_that_waits_is_refused_after_the_answers_ahead(
    door: DoorThread, raw: RawHttp
) -> None:
    raw.send(get("/slow?1") + get("/echo?2", "Transfer-Encoding: chunked") + b"nonsense\r\n")
    assert door.app.started.acquire(timeout=WAIT_S)
    door.call(door.app.release.set)

    assert raw.read().json()["query"] == "1"
    assert_refused(raw.read(), 400)
    assert raw.is_closed_by_server()


# -- what is not HTTP ---------------------------------------------------------------------------

MALFORMED = {
    "noise": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n\r\n",
    "no-version": b"GET /echo\r\n\r\n",
    "version-2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "version-9": b"GET /echo HTTP/9.9\r\nHost: x\r\n\r\n",
    "unknown-method": b"FETCH /echo HTTP/1.1\r\nHost: x\r\n\r\n",
    "lower-case-method": b"get /echo HTTP/1.1\r\nHost: x\r\n\r\n",
    "no-target": b"GET HTTP/1.1\r\nHost: x\r\n\r\n",
    "connect": b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "no-host": b"GET /echo HTTP/1.1\r\n\r\n",
    "two-hosts": b"GET /echo HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "no-colon": b"GET /echo HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n",
    "space-before-colon": b"GET /echo HTTP/1.1\r\nHost : x\r\n\r\n",
    "null-in-header": b"GET /echo HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n",
    "bare-cr": b"GET /echo HTTP/1.1\r\nHost: x\r\nA: b\rC: d\r\n\r\n",
    "length-in-words": get("/echo", "Content-Length: many"),
    "length-below-zero": get("/echo", "Content-Length: -1"),
    "two-lengths": get("/echo", "Content-Length: 1", "Content-Length: 2") + b"ab",
    "length-and-chunks": get("/echo", "Content-Length: 3", "Transfer-Encoding: chunked"),
    "chunks-not-last": get("/echo", "Transfer-Encoding: chunked, gzip"),
    "huge-length": get("/echo", f"Content-Length: {2**70}"),
    "chunk-size-in-words": get("/echo", "Transfer-Encoding: chunked") + b"many\r\n",
    "chunk-longer-than-said": get("/echo", "Transfer-Encoding: chunked") + b"1\r\nabc\r\n0\r\n\r\n",
    "target-not-ascii": b"GET /ech\xc3\xb6 HTTP/1.1\r\nHost: x\r\n\r\n",
    "upgrade-with-a-body": get("/echo", "Connection: upgrade", "Upgrade: h2c", "Content-Length: 3"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_what_is_not_http_is_answered_400_and_closed(
    raw: RawHttp, case: str, capfd: pytest.CaptureFixture[str]
) -> None:
    raw.send(MALFORMED[case])

    assert assert_refused(raw.read(), 400)
    assert raw.is_closed_by_server()
    said = capfd.readouterr()
    assert said.out + said.err == ""


def test_damaged_requests_never_fail_the_server(door: DoorThread) -> None:
    chance = random.Random(7)
    sound = get("/echo?x", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n0\r\n\r\n" + get("/echo")
    for _ in range(80):
        damaged = bytearray(sound)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.choice(b"\r\n :;,\0\xff09aZ/")
        cuts = sorted(chance.sample(range(len(damaged)), chance.randint(0, 3)))
        with door.dial() as raw, contextlib.suppress(OSError):
            for start, end in zip([0, *cuts], [*cuts, len(damaged)], strict=True):
                raw.send(bytes(damaged[start:end]))
            raw.socket.settimeout(0.01)
            raw.read()

    wait_for(lambda: door.open_connections == 0)
    assert door.listener.counters.application_errors == 0
    assert not door.door.server_state.connections
    assert door.door.large_bodies == 0


def test_broken_body_ends_the_application_that_waits_for_it(tmp_path: Path) -> None:
    lingering = ListenerLimits(close_linger_s=600.0)
    with (
        DoorThread(tmp_path, uvloop.new_event_loop, listener_limits=lingering) as door,
        door.dial() as raw,
    ):
        raw.send(get("/echo", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n")
        raw.send(b"nonsense\r\n")

        assert_refused(raw.read(), 400)
        assert raw.is_closed_by_server()
        wait_for(lambda: door.app.notes == ["disconnect"])
        assert door.open_connections == 1


def test_websocket_asked_for_behind_a_request_that_is_not_answered_yet_is_refused(
    door: DoorThread, raw: RawHttp
) -> None:
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
    raw.send(get("/slow?1") + get("/mqtt", *upgrade, key, "Sec-WebSocket-Protocol: mqtt"))
    assert door.app.started.acquire(timeout=WAIT_S)
    door.call(door.app.release.set)

    assert raw.read().json()["query"] == "1"
    assert "WebSocket" in assert_refused(raw.read(), 400)
    assert raw.is_closed_by_server()


def test_upgrade_to_something_else_than_websocket_is_ignored(raw: RawHttp) -> None:
    raw.send(get("/echo?1", "Connection: upgrade", "Upgrade: h2c") + get("/echo?2"))

    assert [raw.read().json()["query"] for _ in range(2)] == ["1", "2"]


# -- sizes --------------------------------------------------------------------------------------


def test_head_of_the_largest_size_is_taken(raw: RawHttp) -> None:
    room = LIMITS.max_head_bytes - len("/echo") - len("Host: x\r\n") - len("A: \r\n")
    raw.send(get("/echo", "A: " + "x" * room))

    assert raw.read().status == 200


@pytest.mark.parametrize("pieces", [1, 64])
def test_header_beyond_the_largest_size_is_refused(raw: RawHttp, pieces: int) -> None:
    sent = get("/echo", "A: " + "x" * LIMITS.max_head_bytes)
    step = len(sent) // pieces
    for start in range(0, len(sent), step):
        raw.send(sent[start : start + step])

    assert str(LIMITS.max_head_bytes) in assert_refused(raw.read(), 431)
    assert raw.is_closed_by_server()


def send_until_answered(raw: RawHttp, piece: bytes) -> int:
    """Send `piece` again and again; return how many bytes it took until there was an answer."""
    sent = 0
    while not select.select([raw.socket], [], [], 0.001)[0]:
        raw.send(piece)
        sent += len(piece)
    return sent


SOON_BYTES = 1024 * 1024
"""More than what waits in buffers on the way, and far less than for ever."""


@pytest.mark.parametrize("endless", [b"x", b"x: y\r\n", b"x: " + b"y" * 997 + b"\r\n"])
def test_head_without_an_end_is_refused_soon(raw: RawHttp, endless: bytes) -> None:
    raw.request("GET", "/echo")  # reads TLS's own messages too, for which `select` would wake
    raw.send(b"GET /echo HTTP/1.1\r\nHost: x\r\nA: ")

    assert send_until_answered(raw, endless * (4096 // len(endless))) < SOON_BYTES

    assert_refused(raw.read(), 431)
    assert raw.is_closed_by_server()


def test_more_headers_than_allowed_are_refused(raw: RawHttp) -> None:
    taken = get("/echo", *["A: b"] * (LIMITS.max_headers - 1))
    raw.send(taken)
    assert raw.read().status == 200

    raw.send(get("/echo", *["A: b"] * LIMITS.max_headers))

    assert str(LIMITS.max_headers) in assert_refused(raw.read(), 431)


@pytest.mark.parametrize("pieces", [1, 16])
def test_url_beyond_the_largest_size_is_refused(raw: RawHttp, pieces: int) -> None:
    raw.send(get("/echo?" + "x" * (LIMITS.max_url_bytes - len("/echo?"))))
    assert raw.read().status == 200

    sent = get("/echo?" + "x" * LIMITS.max_url_bytes)
    step = len(sent) // pieces
    for start in range(0, len(sent), step):
        raw.send(sent[start : start + step])

    assert str(LIMITS.max_url_bytes) in assert_refused(raw.read(), 414)


def test_trailers_beyond_the_largest_size_are_refused(raw: RawHttp) -> None:
    raw.request("GET", "/echo")
    raw.send(get("/echo", "Transfer-Encoding: chunked") + b"1\r\na\r\n0\r\n")

    assert send_until_answered(raw, b"A: " + b"x" * 1000 + b"\r\n") < SOON_BYTES

    assert_refused(raw.read(), 431)
    assert raw.is_closed_by_server()


def test_large_bodies_of_all_connections_together_are_bounded(tmp_path: Path) -> None:
    limits = replace(LIMITS, max_large_bodies=2)
    small = b"x" * LIMITS.spared_body_bytes
    large = small + b"y"
    with (
        DoorThread(tmp_path, uvloop.new_event_loop, limits) as door,
        contextlib.ExitStack() as open_,
    ):
        first, second, third, fourth = (open_.enter_context(door.dial()) for _ in range(4))
        for raw in (first, second):
            raw.send(get("/echo", f"Content-Length: {2 * len(large)}") + large)
        wait_for(lambda: door.door.large_bodies == 2)

        refused = third.request("PUT", "/echo", large)
        assert "large" in assert_refused(refused, 503)
        assert refused["retry-after"] == "5"
        assert third.is_closed_by_server()
        assert fourth.request("PUT", "/echo", small).status == 200
        first.send(large)
        assert first.read().status == 200
        assert first.request("PUT", "/echo", large).status == 200
        second.socket.close()
        wait_for(lambda: door.door.large_bodies == 0)


def test_large_bodies_that_are_over_are_not_counted(door: DoorThread, raw: RawHttp) -> None:
    large = b"x" * (LIMITS.spared_body_bytes + 1)
    for path in ("/echo", "/unread", "/fail"):
        with door.dial() as other:
            other.request("PUT", path, large)
    raw.send(get("/slow") + get("/echo", f"Content-Length: {len(large)}") + large)
    assert door.app.started.acquire(timeout=WAIT_S)
    door.call(door.app.release.set)
    assert [raw.read().status for _ in range(2)] == [200, 200]

    wait_for(lambda: door.door.large_bodies == 0)


# -- times --------------------------------------------------------------------------------------


def test_connection_without_a_request_is_closed_in_time(door: DoorThread, raw: RawHttp) -> None:
    door.pass_time(LIMITS.head_s - 2)
    assert door.open_connections == 1
    door.pass_time(3)

    assert raw.is_closed_by_server()


def test_request_whose_head_comes_too_slowly_is_answered_408(
    door: DoorThread, raw: RawHttp
) -> None:
    raw.request("GET", "/echo")
    door.pass_time(LIMITS.head_s + 5)  # now the wheel would look again when it is idle for long
    raw.send(b"GET /echo HTTP/1.1\r\nHo")
    wait_for(lambda: door.call(_states, door) == [(True, False)])
    door.pass_time(LIMITS.head_s - 2)
    raw.send(b"st: x\r\nA: b")  # progress does not put it off
    door.pass_time(3)

    assert f"{LIMITS.head_s:.0f} s" in assert_refused(raw.read(), 408)
    assert raw.is_closed_by_server()


@pytest.mark.parametrize("path", ["/echo", "/unread"])
def test_request_whose_body_comes_too_slowly_is_ended(
    door: DoorThread, raw: RawHttp, path: str
) -> None:
    raw.send(get(path, "Content-Length: 3") + b"a")
    wait_for(lambda: door.call(_states, door) == [(False, True)])
    if path == "/unread":
        assert raw.read().status == 403
    door.pass_time(LIMITS.request_s - 2)
    assert door.open_connections == 1
    door.pass_time(3)

    if path == "/echo":
        assert f"{LIMITS.request_s:.0f} s" in assert_refused(raw.read(), 408)
        wait_for(lambda: door.app.notes == ["disconnect"])
    assert raw.is_closed_by_server()


def test_idle_connection_is_closed_in_time(door: DoorThread, raw: RawHttp) -> None:
    raw.request("GET", "/echo")
    (connection,) = door.door.server_state.connections
    assert connection.timeout_keep_alive_task is None  # type: ignore[union-attr]  # uvicorn's own
    door.pass_time(LIMITS.idle_s - 2)
    raw.request("GET", "/echo")  # puts it off
    door.pass_time(LIMITS.idle_s - 2)
    assert door.open_connections == 1
    door.pass_time(3)

    assert raw.is_closed_by_server()


def test_application_may_take_longer_than_any_deadline(door: DoorThread, raw: RawHttp) -> None:
    raw.send(get("/slow?1"))
    assert door.app.started.acquire(timeout=WAIT_S)
    for _ in range(5):
        door.pass_time(LIMITS.idle_s)
    door.call(door.app.release.set)

    assert raw.read().status == 200
    assert raw.request("GET", "/echo").status == 200


def test_client_that_does_not_read_its_answer_holds_the_application_up_and_is_cut_off(
    door: DoorThread, raw: RawHttp
) -> None:
    raw.send(get("/stream?10000"))
    wait_for(lambda: door.call(_stalled, door))
    assert door.app.notes == []
    door.pass_time(LIMITS.write_s - 2)
    assert door.open_connections == 1
    door.pass_time(3)

    wait_for(lambda: door.open_connections == 0)


def _states(door: DoorThread) -> list[tuple[bool, bool]]:
    """Return of each connection whether it is in a head, and whether in a body."""
    return [(c._in_head, c._receiving) for c in door.door.server_state.connections]  # type: ignore[union-attr]


def _ends_after_its_answer(door: DoorThread) -> bool:
    return all(not c.cycle.keep_alive for c in door.door.server_state.connections)  # type: ignore[union-attr]


def _stalled(door: DoorThread) -> bool:
    return any(c._stalled_at is not None for c in door.door.server_state.connections)  # type: ignore[union-attr]


# -- endings ------------------------------------------------------------------------------------


def test_client_that_goes_away_is_told_to_every_application(door: DoorThread) -> None:
    with door.dial() as raw:
        raw.send(get("/until-gone") + get("/echo"))
        assert door.app.started.acquire(timeout=WAIT_S)

    wait_for(lambda: door.app.notes == ["disconnect"])
    wait_for(lambda: door.open_connections == 0)
    wait_for(lambda: not door.door.server_state.tasks)
    assert not door.door.server_state.connections


def test_application_that_fails_is_answered_500(raw: RawHttp) -> None:
    reply = raw.request("GET", "/fail")

    assert reply.status == 500
    assert b"Traceback" not in reply.body
    assert raw.is_closed_by_server()


def test_application_that_fails_in_the_middle_cuts_its_answer_off(raw: RawHttp) -> None:
    raw.send(get("/fail-late"))

    with pytest.raises(ConnectionError, match="half"):
        raw.read()


def test_drain_finishes_what_runs_and_takes_nothing_new(door: DoorThread) -> None:
    with door.dial() as busy, door.dial() as idle, door.dial() as half, door.dial() as full:
        idle.request("GET", "/echo")
        half.send(b"GET /echo HTTP/1.1\r\n")
        full.send(get("/slow?1") + get("/echo?2"))
        busy.send(get("/slow?3"))
        for _ in range(2):
            assert door.app.started.acquire(timeout=WAIT_S)
        closing = threading.Thread(target=door.close, args=(WAIT_S,))
        closing.start()

        for raw in (idle, half):
            assert raw.is_closed_by_server()
            raw.socket.close()
        busy.send(get("/echo?late"))
        door.call(door.app.release.set)
        reply = busy.read()
        assert reply.json()["query"] == "3"
        assert reply["connection"] == "close"
        assert [full.read().json()["query"] for _ in range(2)] == ["1", "2"]
        for raw in (busy, full):
            assert raw.is_closed_by_server()
    closing.join(WAIT_S)
    assert not closing.is_alive()


def test_drain_ends_what_does_not_end_by_itself(door: DoorThread) -> None:
    with door.dial() as raw:
        raw.send(get("/slow"))
        assert door.app.started.acquire(timeout=WAIT_S)

        door.close(drain_s=0.1)

        assert raw.is_closed_by_server()
    assert not door.door.server_state.tasks


def test_body_that_is_under_way_at_the_drain_is_still_taken(door: DoorThread, raw: RawHttp) -> None:
    raw.send(get("/echo", "Content-Length: 3") + b"a")
    wait_for(lambda: door.call(_states, door) == [(False, True)])
    closing = threading.Thread(target=door.close, args=(WAIT_S,))
    closing.start()
    wait_for(lambda: door.call(_ends_after_its_answer, door))
    raw.send(b"bc")

    reply = raw.read()
    assert (reply.json()["bytes"], reply["connection"]) == (3, "close")
    raw.socket.close()
    closing.join(WAIT_S)
