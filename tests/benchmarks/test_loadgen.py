"""The load generator before servers that answer wrongly: none may be measured as if it were right.

The servers are scripted: they say what a hub says, but for one thing.
"""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import create_server, socket

import pytest
from tests.support.certificates import certify_server

Serve = Callable[[ssl.SSLSocket], None]
Publish = Callable[[str, bytes], None]
OnPublish = Callable[[str, bytes, Publish], None]
WAIT_S = 30


@contextmanager
def serving(folder: Path, serve: Serve) -> Iterator[int]:
    """Run `serve` in a thread for each connection; yield the port."""
    certificate_file, key_file = certify_server(["127.0.0.1"], None).write(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_file, key_file)

    def handle(raw: socket) -> None:
        with suppress(OSError), context.wrap_socket(raw, server_side=True) as connection:
            serve(connection)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=handle, args=(listener.accept()[0],), daemon=True).start()

    with create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]


def hub(on_publish: OnPublish, *, session_present: bool = False) -> Serve:
    """Return an MQTT server that accepts all and has `on_publish` answer."""

    def serve(connection: ssl.SSLSocket) -> None:
        def publish(topic: str, body: bytes) -> None:
            name = topic.encode()
            rest = len(name).to_bytes(2, "big") + name + body
            connection.sendall(b"\x30" + _length(len(rest)) + rest)

        stream = connection.makefile("rb")
        while head := stream.read(1):
            body = stream.read(_read_length(stream.read))
            kind = head[0] >> 4
            if kind == 1:
                connection.sendall(bytes((0x20, 2, session_present, 0)))
            elif kind == 8:
                connection.sendall(b"\x90\x03" + body[:2] + b"\x00")
            elif kind == 3:
                size = int.from_bytes(body[:2], "big")
                topic, rest = body[2 : 2 + size].decode(), body[2 + size :]
                if head[0] & 0x06:
                    connection.sendall(b"\x40\x02" + rest[:2])
                    rest = rest[2:]
                on_publish(topic, rest, publish)

    return serve


def service_api(answer: Callable[[bytes], tuple[int, bytes]]) -> Serve:
    """Return an HTTP server whose `answer` makes status and body of a request's body."""

    def serve(connection: ssl.SSLSocket) -> None:
        stream = connection.makefile("rb")
        while stream.readline():
            length = 0
            while (line := stream.readline()).strip():
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            status, body = answer(stream.read(length))
            head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)

    return serve


def run(loadgen: Path, mode: str, port: int, **options: object) -> subprocess.CompletedProcess[str]:
    """Let the generator run for a moment."""
    command = [str(loadgen), mode, "--port", str(port), "--seconds", "0.2"]
    for name, value in options.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    return subprocess.run(command, input="\n\n", capture_output=True, text=True, timeout=WAIT_S)


def twins_that(change: Callable[[str, int], str]) -> OnPublish:
    """Answer patches; `change` makes the topic of the answer from request id and number."""
    versions: dict[int, int] = {}

    def on_publish(topic: str, _: bytes, publish: Publish) -> None:
        key = threading.get_ident()  # a thread is a connection
        versions[key] = versions.get(key, 1) + 1
        publish(change(topic.partition("$rid=")[2], versions[key]), b"")

    return on_publish


def methods_that(change: Callable[[bytes], tuple[int, bytes]]) -> Serve:
    """Answer calls of methods without asking a device; `change` makes the answer of the payload."""
    return service_api(lambda body: change(json.dumps(json.loads(body)["payload"]).encode()))


def right_answer(payload: bytes) -> tuple[int, bytes]:
    """Return what a hub answers when the device has sent the payload back."""
    return 200, b'{"status":200,"payload":' + payload.replace(b" ", b"") + b"}"


def test_twins_when_every_answer_is_right_counts_them(loadgen: Path, tmp_path: Path) -> None:
    right = twins_that(lambda rid, version: f"$iothub/twin/res/204/?$rid={rid}&$version={version}")
    with serving(tmp_path, hub(right)) as port:
        done = run(loadgen, "twins", port, clients=2, window=3)

    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["count"] > 0
    assert 0 < result["p50_ms"] <= result["p99_ms"]


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        ("$iothub/twin/res/400/?$rid={rid}&$version={version}", "expected 204"),
        ("$iothub/twin/res/204/?$rid=f{rid}&$version={version}", "expected 204"),
        ("$iothub/twin/res/204/?$rid={rid}&$version=7", "version 7 after 7"),
        ("$iothub/twin/res/204/?$rid={rid}", "expected 204"),
    ],
)
def test_twins_when_an_answer_is_wrong_fails(
    loadgen: Path, tmp_path: Path, answer: str, complaint: str
) -> None:
    wrong = twins_that(lambda rid, version: answer.format(rid=rid, version=version))
    with serving(tmp_path, hub(wrong)) as port:
        done = run(loadgen, "twins", port)

    assert done.returncode == 1
    assert complaint in done.stderr


def ignore(_topic: str, _body: bytes, _publish: Publish) -> None:
    """Say nothing."""


def test_methods_when_every_answer_is_right_counts_them(loadgen: Path, tmp_path: Path) -> None:
    with (
        serving(tmp_path, hub(ignore)) as port,
        serving(tmp_path, methods_that(right_answer)) as http_port,
    ):
        done = run(loadgen, "methods", port, http_port=http_port, clients=4, window=2)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["count"] > 0


def another_call(payload: bytes) -> tuple[int, bytes]:
    """Return the answer to another call."""
    return right_answer(re.sub(rb"(\d)(\d),", rb"\g<2>\g<2>0,", payload))


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (another_call, "has a wrong answer"),
        (lambda payload: (404, payload), "refused"),
        (lambda payload: (200, b'{"status":500,"payload":' + payload + b"}"), "device's status"),
    ],
)
def test_methods_when_an_answer_is_wrong_fails(
    loadgen: Path, tmp_path: Path, answer: Callable[[bytes], tuple[int, bytes]], complaint: str
) -> None:
    with (
        serving(tmp_path, hub(ignore)) as port,
        serving(tmp_path, methods_that(answer)) as http_port,
    ):
        done = run(loadgen, "methods", port, http_port=http_port)

    assert done.returncode == 1
    assert complaint in done.stderr


def test_desired_when_a_device_is_told_of_another_patch_fails(
    loadgen: Path, tmp_path: Path
) -> None:
    told: list[Publish] = []

    def serve(connection: ssl.SSLSocket) -> None:
        def send(topic: str, body: bytes) -> None:
            name = topic.encode()
            rest = len(name).to_bytes(2, "big") + name + body
            connection.sendall(b"\x30" + _length(len(rest)) + rest)

        told.append(send)
        hub(ignore)(connection)

    def answer(body: bytes) -> tuple[int, bytes]:
        told[0]("$iothub/twin/PATCH/properties/desired/?$version=2", b'{"n":1,"$version":2}')
        return 200, body

    with serving(tmp_path, serve) as port, serving(tmp_path, service_api(answer)) as http_port:
        done = run(loadgen, "desired", port, http_port=http_port)

    assert done.returncode == 1
    assert "a notification that nobody waits for" in done.stderr


@pytest.mark.parametrize("session_present", [True, False])
def test_fleet_when_a_session_is_lost_fails(
    loadgen: Path, tmp_path: Path, session_present: bool
) -> None:
    connections: list[ssl.SSLSocket] = []
    again = threading.Event()

    def serve(connection: ssl.SSLSocket) -> None:
        connections.append(connection)
        hub(ignore, session_present=again.is_set() and session_present)(connection)

    with serving(tmp_path, serve) as port:
        command = [str(loadgen), "fleet", "--port", str(port), "--clients", "3", "--window", "3"]
        process = subprocess.Popen(
            [*command, "--filters", "a/{n}", "--keep-session", "--storm"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["ready"] == 3
        again.set()
        for connection in connections:
            connection.shutdown(2)
        output, complaint = process.communicate("\n\n", timeout=WAIT_S)

    if session_present:
        assert process.returncode == 0, complaint
        assert json.loads(output.splitlines()[0])["count"] == 3
    else:
        assert process.returncode == 1
        assert "its session is lost" in complaint


def test_publish_when_topic_counts_makes_each_message_differ(loadgen: Path, tmp_path: Path) -> None:
    topics: list[str] = []

    def note(topic: str, _body: bytes, _publish: Publish) -> None:
        topics.append(topic)

    with serving(tmp_path, hub(note)) as port:
        done = run(
            loadgen,
            "publish",
            port,
            clients=2,
            messages=50,
            window=5,
            topic="d/{n}/mid={i}&seq={i}",
        )

    assert done.returncode == 0, done.stderr
    assert len(set(topics)) == len(topics) == 100
    assert all(re.fullmatch(r"d/[01]/mid=(\d{12})&seq=\1", topic) for topic in topics)


def _length(size: int) -> bytes:
    out = bytearray()
    while True:
        size, digit = divmod(size, 128)
        out.append(digit | (0x80 if size else 0))
        if not size:
            return bytes(out)


def _read_length(read: Callable[[int], bytes]) -> int:
    size = shift = 0
    while True:
        (digit,) = read(1)
        size |= (digit & 0x7F) << shift
        shift += 7
        if not digit & 0x80:
            return size
