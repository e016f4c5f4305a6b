"""One HTTPS connection: uvicorn's protocol class between our TLS and an ASGI application.

uvicorn parses (with httptools, that is llhttp), makes the ASGI scope, runs the application and
writes its answer. This file adds what a server open to strangers needs beside that: a bound on
every size and time, an answer to what is not HTTP, TLS facts in the scope, WebSocket handed to
the MQTT front door, and an orderly end. The class is uvicorn's internal API: its version is
pinned, and ``tests/cloud/frontdoor/test_uvicorn_contract.py`` names what is relied upon.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, cast
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from mooring.cloud.frontdoor.http_refusals import MALFORMED, HttpRefusal, encode_refusal
from mooring.cloud.frontdoor.http_transport import HttpTransport
from mooring.cloud.frontdoor.peer import TLS_EXTENSION, TlsPeer
from mooring.cloud.frontdoor.websocket_upgrade import UpgradeRefused, judge_upgrade
from mooring.pki.certificates import Certificate
from mooring.protocol.azure.error_codes import DpsErrorCode
from mooring.transport.server_connection import ServerConnection

if TYPE_CHECKING:
    from mooring.cloud.frontdoor.https import HttpsDoor


RETRY_AFTER_S = 5
"""What a client is told to wait while the server holds as much as it may."""


class _Stop(Exception):
    """Ends the parsing from inside one of the parser's callbacks."""


class HttpConnection(HttpToolsProtocol):
    """The application behind one connection of the HTTPS listener.

    A connection is, by what it waits for: for a request; for the rest of a head (`_in_head`);
    for the rest of a body (`_receiving`); for the application. Each but the last has a deadline.
    """

    transport: HttpTransport

    def __init__(self, door: HttpsDoor) -> None:
        """Belong to `door`."""
        super().__init__(door.config, door.server_state, {}, _loop=door.loop)
        self.logger = door.uvicorn_log
        self.access_log = False  # paths name devices
        self._door = door
        self._connection: ServerConnection | None = None
        self._peer: TlsPeer | None = None
        self._running: RequestResponseCycle | None = None
        self._opening: bytes | None = None  # the answer that opens a WebSocket
        self._fault: HttpRefusal | None = MALFORMED  # what to say when the parser stops
        self._last_word: HttpRefusal | None = None
        self._deaf = False
        self._in_head = False
        self._receiving = False
        self._timed = False
        self._head_bytes = 0
        self._loose_bytes = 0
        self._body_bytes = 0
        self._large_bodies = 0
        self._begun_at = self._idle_since = door.wheel.now
        self._stalled_at: float | None = None
        self._served_any = False
        self.wheel_slot = -1

    # -- the transport's side ------------------------------------------------------------------

    def connection_made(self, connection: ServerConnection) -> None:  # type: ignore[override]
        """Begin: TLS has passed."""
        self._connection = connection
        self._peer = TlsPeer(
            # Transport knows certificates by the look only; these are pki's.
            cast("tuple[Certificate, ...]", connection.presented),
            connection.peer_address,
            connection.tls_version,
            connection.handshake_s,
        )
        super().connection_made(HttpTransport(connection, self.loop))
        self._door.wheel.add(self, self._idle_since + self._door.limits.head_s)

    def data_received(self, data: bytes) -> None:
        """Take bytes of requests."""
        if self._deaf:
            return
        self._loose_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgraded(data[upgrade.args[0] :])
            return
        except httptools.HttpParserError:
            self._refuse(self._fault)
            return
        if (
            self._in_head
            and self._head_bytes + self._loose_bytes > self._door.limits.max_head_bytes
        ):
            self._refuse(self._head_too_large())
        elif (self._in_head or self._receiving) and not self._timed:
            self._timed = True
            self._door.wheel.move(self, self._deadline())

    def connection_lost(self, exc: Exception | None) -> None:
        """End: nothing can be sent any more."""
        self._leave()
        super().connection_lost(exc)
        self.pipeline.clear()
        if self._running is not None:  # uvicorn tells only the newest request
            self._abandon(self._running)
            self._running = None

    def pause_writing(self) -> None:
        """Let the application wait until the peer takes what was sent."""
        super().pause_writing()
        self._stalled_at = self._door.wheel.now
        self._door.wheel.move(self, self._deadline())

    def resume_writing(self) -> None:
        """Let it write again."""
        super().resume_writing()
        self._stalled_at = None

    def drain(self) -> None:
        """Answer what was begun, then close."""
        if self._busy or self.pipeline:
            self.cycle.keep_alive = False
        else:
            self.transport.close()

    # -- the wheel's side ----------------------------------------------------------------------

    def due(self, now: float) -> float | None:
        """Close if the deadline has come, else return it."""
        if self._connection is None or self._connection.is_closing:
            return None
        deadline = self._deadline()
        if now < deadline:
            return deadline
        if self._stalled_at is not None:
            self.transport.abort()
        elif self._in_head or self._receiving:
            limits = self._door.limits
            what, seconds = ("head", limits.head_s) if self._in_head else ("body", limits.request_s)
            self._refuse(
                HttpRefusal(
                    DpsErrorCode.REQUEST_TIMEOUT,
                    f"The {what} of the request did not come within {seconds:.0f} s; "
                    "send it in one go.",
                )
            )
        else:
            self.transport.close()
        return None

    def _deadline(self) -> float:
        limits = self._door.limits
        if self._stalled_at is not None:
            return self._stalled_at + limits.write_s
        if self._in_head:
            return self._begun_at + limits.head_s
        if self._receiving:
            return self._begun_at + limits.request_s
        if self._busy:  # the application takes the time it needs; look again later
            return self._door.wheel.now + limits.idle_s
        return self._idle_since + (limits.idle_s if self._served_any else limits.head_s)

    # -- the parser's side ---------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Begin a request, unless too many wait already."""
        if len(self.pipeline) >= self._door.limits.max_pipelined:
            self.cycle.keep_alive = False  # the last that is answered
            self._stop(None)
        super().on_message_begin()
        # ASGI knows this member; uvicorn's types do not.
        cast("dict[str, Any]", self.scope)["extensions"] = {TLS_EXTENSION: self._peer}
        self._begun_at = self._door.wheel.now
        self._in_head = True
        self._receiving = self._timed = False
        self._head_bytes = self._loose_bytes = self._body_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request target."""
        super().on_url(url)
        self._count_head(len(url))
        longest = self._door.limits.max_url_bytes
        if len(self.url) > longest:
            self._stop(
                HttpRefusal(
                    DpsErrorCode.URL_TOO_LONG,
                    f"The URL is longer than {longest} bytes; shorten it.",
                )
            )

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or drop a trailer: nothing here reads them."""
        self._count_head(len(name) + len(value) + len(b": \r\n"))
        if self._in_head:
            super().on_header(name, value)
            if len(self.headers) > self._door.limits.max_headers:
                self._stop(self._head_too_large())

    def on_headers_complete(self) -> None:
        """Begin the application's work."""
        self._check_head()
        super().on_headers_complete()
        self._in_head = False
        self._receiving = True

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        before = self._body_bytes
        self._body_bytes += len(body)
        largest = self._door.limits.max_body_bytes
        if self._body_bytes > largest:
            self._stop(
                HttpRefusal(
                    DpsErrorCode.BODY_TOO_LARGE,
                    f"The body is larger than {largest} bytes; send a smaller one.",
                )
            )
        spared = self._door.limits.spared_body_bytes
        # A body whose request is answered already is dropped as it comes.
        if before <= spared < self._body_bytes and not self.cycle.response_complete:
            self._count_large_body()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Tell the application that the request is whole."""
        self._receiving = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request, or wait for one."""
        self._served_any = True
        self._idle_since = self._door.wheel.now
        self._running = None
        super().on_response_complete()  # may begin the next one
        self._unset_keepalive_if_required()  # the wheel does that
        if not self._busy:
            self._forget_large_bodies()
            if self._deaf:
                self._say_last_word()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        if cycle.waiting_for_100_continue:
            app = _closing_unless_continued(cycle, app)
        super()._start_asgi_task(cycle, app)

    # -- inside --------------------------------------------------------------------------------

    @property
    def _busy(self) -> bool:
        return self._running is not None

    def _check_head(self) -> None:
        """Refuse what uvicorn would let pass, and see whether WebSocket is asked for."""
        hosts = sum(name == b"host" for name, _ in self.headers)
        # RFC 9112 §3.2
        if hosts > 1 or (not hosts and self.parser.get_http_version() != "1.0"):
            self._stop(
                HttpRefusal(DpsErrorCode.BAD_REQUEST, "A request needs exactly one Host header.")
            )
        if self.parser.should_upgrade():
            self._check_upgrade()

    def _check_upgrade(self) -> None:
        if any(
            name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
            for name, value in self.headers
        ):
            # llhttp takes what follows such a head for the other protocol.
            self._stop(
                HttpRefusal(DpsErrorCode.BAD_REQUEST, "A request that asks to upgrade has no body.")
            )
        if self._get_upgrade() != b"websocket":
            return  # h2c and the like are ignored, which a server may (RFC 9110 §7.8)
        path = unquote((httptools.parse_url(self.url).path or b"").decode("ascii"))
        method = self.parser.get_method().decode("ascii")
        judged = judge_upgrade(method, path, self.parser.get_http_version(), self.headers)
        if isinstance(judged, UpgradeRefused):
            assert self._peer is not None
            self._door.front_door.upgrade_refused(self._peer, judged)
            self._stop(judged.answer)
        elif self._busy:
            self._stop(
                HttpRefusal(
                    DpsErrorCode.BAD_REQUEST,
                    "WebSocket was asked for before the request ahead was answered; wait for it.",
                )
            )
        else:
            self._opening = judged

    def _count_large_body(self) -> None:
        if self._door.large_bodies >= self._door.limits.max_large_bodies:
            self._stop(
                HttpRefusal(
                    DpsErrorCode.SERVICE_UNAVAILABLE,
                    "Too many large bodies are under way; try again in a moment.",
                    {"retry-after": str(RETRY_AFTER_S)},
                )
            )
        self._door.large_bodies += 1
        self._large_bodies += 1

    def _forget_large_bodies(self) -> None:
        self._door.large_bodies -= self._large_bodies
        self._large_bodies = 0

    def _count_head(self, count: int) -> None:
        self._head_bytes += count
        self._loose_bytes = 0
        if self._head_bytes > self._door.limits.max_head_bytes:
            self._stop(self._head_too_large())

    def _head_too_large(self) -> HttpRefusal:
        limits = self._door.limits
        return HttpRefusal(
            DpsErrorCode.HEADERS_TOO_LARGE,
            f"The headers are more than {limits.max_headers}, or larger than "
            f"{limits.max_head_bytes} bytes together; send fewer or smaller ones.",
        )

    def _stop(self, refusal: HttpRefusal | None) -> NoReturn:
        """Leave the parser, and the connection after `refusal`."""
        self._fault = refusal
        raise _Stop

    def _should_upgrade(self) -> bool:
        return self._opening is not None

    def _upgraded(self, rest: bytes) -> None:
        """Go on with what came behind a head that asked for another protocol."""
        connection = self._connection
        if self._opening is None or connection is None:
            if rest:
                self.data_received(rest)
            return
        self.transport.write(self._opening)
        self.transport.flush()
        self._leave()
        self.parser = None  # type: ignore[assignment]  # it and this object hold each other
        self._door.open_websocket(connection, rest)

    def _refuse(self, refusal: HttpRefusal | None) -> None:
        """Read no more, say why once the answers under way are out, and close."""
        self._deaf = True
        self._last_word = refusal
        broken = self.cycle if self._receiving else None
        self._in_head = self._receiving = False
        if broken is not None and broken is not self._running:
            if self.pipeline and self.pipeline[0][0] is broken:
                self.pipeline.popleft()  # never begun: uvicorn appends to the left
            else:
                self._last_word = None  # answered before it was whole
        elif broken is not None:
            self._running = None
            if broken.response_started:
                self._last_word = None
            self._abandon(broken)
        if self._running is None:
            self._say_last_word()

    def _leave(self) -> None:
        """Be no longer the application of this connection."""
        self._connection = None
        self._deaf = True
        self._forget_large_bodies()
        self.connections.discard(self)
        self._door.wheel.remove(self)

    def _say_last_word(self) -> None:
        if self._last_word is not None and not self.transport.is_closing():
            self.transport.write(encode_refusal(self._last_word, self._door.clock.now()))
        self.transport.close()

    @staticmethod
    def _abandon(cycle: RequestResponseCycle) -> None:
        """Let the application of `cycle` know that nobody listens any more."""
        cycle.disconnected = True
        cycle.message_event.set()


def _closing_unless_continued(cycle: RequestResponseCycle, app: Any) -> Any:
    """Return `app` that closes after an answer which came instead of 100 (RFC 9110 §10.1.1).

    Whether the client then sends its body or another request, nobody can tell.
    """

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        async def noted(message: Any) -> None:
            if cycle.waiting_for_100_continue:
                cycle.keep_alive = False
            await send(message)

        await app(scope, receive, noted)

    return guarded
