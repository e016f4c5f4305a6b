"""The HTTPS door alone, on a thread, before an application that tests can script."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

from tests.support.certificates import Credential, certify, certify_server, key_of
from tests.support.cloud import ShiftedClock
from tests.support.rawhttp import RawHttp

from mooring.cloud.frontdoor.door import FrontDoor
from mooring.cloud.frontdoor.http_limits import DEFAULT_HTTP_LIMITS, HttpLimits
from mooring.cloud.frontdoor.https import HttpsDoor
from mooring.cloud.frontdoor.peer import tls_peer
from mooring.pki.certificates import sha256_thumbprint
from mooring.transport.limits import ListenerLimits
from mooring.transport.listener import TlsListener
from mooring.transport.server_tls import ServerTls

WAIT_S = 20.0
"""Patience with a busy machine."""

ADDRESS = "127.0.0.1"


class ScriptedApp:
    """An ASGI application with a path for each thing that applications do."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.started = threading.Semaphore(0)
        self.notes: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await getattr(self, scope["path"].strip("/").replace("-", "_"))(scope, receive, send)

    async def echo(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer with what came."""
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.notes.append("disconnect")
                return
            body += message["body"]
            if not message["more_body"]:
                break
        peer = tls_peer(scope)
        await answer(
            send,
            {
                "method": scope["method"],
                "scheme": scope["scheme"],
                "http_version": scope["http_version"],
                "query": scope["query_string"].decode(),
                "client": scope["client"],
                "headers": [[name.decode(), value.decode()] for name, value in scope["headers"]],
                "bytes": len(body),
                "digest": hashlib.sha256(body).hexdigest(),
                "thumbprints": [sha256_thumbprint(shown) for shown in peer.presented],
                "peer_address": peer.peer_address,
                "tls_version": peer.tls_version,
                "handshake_s": peer.handshake_s,
            },
        )

    async def slow(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer once the test says so."""
        self.started.release()
        await self.release.wait()
        await answer(send, {"query": scope["query_string"].decode()})

    async def unread(self, scope: Any, receive: Any, send: Any) -> None:
        """Refuse without a look at the body."""
        await answer(send, {}, status=403)

    async def stream(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer in chunks, without a length."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(int(scope["query_string"])):
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        self.notes.append("streamed")

    async def until_gone(self, scope: Any, receive: Any, send: Any) -> None:
        """Note that the client went away."""
        self.started.release()
        while (await receive())["type"] != "http.disconnect":
            pass
        self.notes.append("disconnect")

    async def fail(self, scope: Any, receive: Any, send: Any) -> None:
        """Fail before the answer."""
        raise RuntimeError("as the test wants it")

    async def fail_late(self, scope: Any, receive: Any, send: Any) -> None:
        """Fail in the middle of the answer."""
        headers = [(b"content-length", b"100")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError("as the test wants it")


async def answer(send: Any, document: Any, *, status: int = 200) -> None:
    """Send a JSON answer."""
    body = json.dumps(document).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@dataclass
class _Attempts:
    records: list[Any]

    def record(self, attempt: Any) -> None:
        self.records.append(attempt)


class DoorThread:
    """An HTTPS door that serves a `ScriptedApp`."""

    def __init__(
        self,
        folder: Path,
        new_loop: Callable[[], asyncio.AbstractEventLoop],
        limits: HttpLimits = DEFAULT_HTTP_LIMITS,
        listener_limits: ListenerLimits | None = None,
    ) -> None:
        """Keep certificates in `folder` and run on the loop that `new_loop` makes."""
        self.clock = ShiftedClock()
        self._limits = limits
        self._listener_limits = listener_limits
        self._loop = new_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        ca = certify("server CA", key_of("ec#serverca"), ca=True)
        self.ca_file = folder / "ca.pem"
        self.ca_file.write_bytes(ca.pem)
        self._tls = ServerTls(*certify_server([ADDRESS], ca).write(folder))
        self._closed = False

    def __enter__(self) -> Self:
        """Start."""
        self._thread.start()
        self.run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_S)
        self._loop.close()

    async def _start(self) -> None:
        self.app = ScriptedApp()
        nobody = cast("Any", None)
        front = FrontDoor(nobody, nobody, cast("Any", _Attempts([])), clock=self.clock)
        self.door = HttpsDoor(front, self.app, limits=self._limits)
        self.door.start()
        self.listener = await TlsListener.start(
            self.door.application,
            host=ADDRESS,
            port=0,
            tls=self._tls,
            limits=self._listener_limits,
        )

    def close(self, drain_s: float = 0.2) -> None:
        """Drain and close; a second call does nothing."""
        if not self._closed:
            self._closed = True
            self.run(self._close(drain_s))

    async def _close(self, drain_s: float) -> None:
        await self.listener.close(drain_s)
        await self.door.close()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run `work` on the door's loop and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WAIT_S)

    def start(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Start `work` on the door's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a plain function on the door's loop and return its result."""

        async def work() -> Any:
            return function(*arguments)

        return self.run(work())

    def pass_time(self, seconds: float) -> None:
        """Let `seconds` pass for deadlines, at once."""
        self.clock.shift_s += seconds
        self.call(self.door.wheel.turn)

    @contextmanager
    def dial(
        self, credential: Credential | None = None, *above: Credential, **options: Any
    ) -> Iterator[RawHttp]:
        """Connect, with a client certificate if one is given."""
        files: tuple[Path | None, Path | None] = (None, None)
        if credential is not None:
            files = credential.write(self.ca_file.parent, *above)
        with RawHttp(
            ADDRESS,
            self.listener.port,
            ca_file=self.ca_file,
            cert_file=files[0],
            key_file=files[1],
            **options,
        ) as raw:
            yield raw

    @property
    def open_connections(self) -> int:
        """Return how many connections are open."""
        return self.listener.counters.open_connections
