"""One TLS connection of a listener: between a raw asyncio transport and an application object.

The life of a connection is a line of states, never walked backwards:

    ACCEPTED -> (WAITING ->) HANDSHAKE -> OPEN -> (ENDING ->) CLOSING -> CLOSED

ENDING: the application has closed, and its last bytes are not encrypted yet. The application
exists from OPEN on. Everything runs on the event loop's thread and nothing
blocks: TLS works in memory (`tls_session`), and this file moves the bytes.
"""

from __future__ import annotations

import asyncio
import enum
import time
from collections.abc import Callable
from typing import cast

from mooring.runtime.ids import new_tracking_id
from mooring.runtime.logs import get_logger
from mooring.transport.admission import Turn
from mooring.transport.errors import PeerTooSlow, TlsSessionBroken
from mooring.transport.server_application import (
    Carrier,
    ConnectionEnvironment,
    ServerApplication,
)
from mooring.transport.tls_session import DELIVERY_BYTES, PeerCertificate, TlsSession

TURN_S = 0.01
"""Time that one connection may take of the event loop before it waits for the others: a quarter
of a megabyte, as one read may bring, is a hundred thousand PINGREQs and a second of work."""

FIRST_DELIVERY_BYTES = 8 * 1024
"""Delivered at one time until it is known how long the application takes over it."""

LEAST_DELIVERY_BYTES = 1024
"""Smaller deliveries are not timed, and none is made smaller."""

_log = get_logger("transport.server")


class _State(enum.Enum):
    ACCEPTED = enum.auto()
    WAITING = enum.auto()
    HANDSHAKE = enum.auto()
    OPEN = enum.auto()
    ENDING = enum.auto()
    CLOSING = enum.auto()
    CLOSED = enum.auto()


_SHAKING = (_State.ACCEPTED, _State.WAITING, _State.HANDSHAKE)
_OVER = (_State.ENDING, _State.CLOSING, _State.CLOSED)


class ServerConnection(asyncio.Protocol):
    """A connected peer, as its application sees it.

    Attributes:
        peer_address: The peer's IP address, ``""`` if it had gone before it was asked.
        peer_port: Its TCP port, 0 likewise.
        tls_version: ``"TLSv1.2"`` or ``"TLSv1.3"``.
        server_name: The name the peer asked for (SNI), None if it sent none.
        handshake_s: Seconds from the accept to the end of the handshake; 0 before that.
    """

    __slots__ = (
        "_accepted_at",
        "_admitted",
        "_application",
        "_corked",
        "_corked_bytes",
        "_delivery_bytes",
        "_early",
        "_environment",
        "_failure",
        "_loop",
        "_presented",
        "_raw",
        "_reading_paused",
        "_state",
        "_timer",
        "_tls",
        "_waits_its_turn",
        "handshake_s",
        "peer_address",
        "peer_port",
        "server_name",
        "tls_version",
    )

    def __init__(self, environment: ConnectionEnvironment, loop: asyncio.AbstractEventLoop) -> None:
        """Wait for `connection_made`."""
        self._environment = environment
        self._loop = loop
        self._state = _State.ACCEPTED
        self._raw: asyncio.Transport | None = None
        self._tls: TlsSession | None = None
        self._application: ServerApplication | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._presented: tuple[PeerCertificate, ...] = ()
        self._corked: list[bytes] | None = None
        self._corked_bytes = 0
        self._early = b""
        self._failure: Exception | None = None
        self._admitted = False
        self._reading_paused = False
        self._waits_its_turn = False
        self._delivery_bytes = FIRST_DELIVERY_BYTES
        self.peer_address = ""
        self.peer_port = 0
        self.tls_version = ""
        self.server_name: str | None = None
        self.handshake_s = 0.0
        self._accepted_at = time.monotonic()

    # -- for the application -------------------------------------------------------------------

    @property
    def carrier(self) -> Carrier:
        """Return what carries the application's bytes: TLS itself."""
        return Carrier.TLS

    @property
    def presented(self) -> tuple[PeerCertificate, ...]:
        """Return the peer's certificates, its own first, then the rest in the order sent.

        Nothing about them is verified but that the peer holds the first one's private key. Empty
        when it presented none, and after `forget_presented`.
        """
        return self._presented

    @property
    def is_closing(self) -> bool:
        """Tell whether the connection is closing or closed: what is written now is dropped."""
        return self._state in _OVER

    @property
    def write_buffer_bytes(self) -> int:
        """Return how many bytes wait to be taken by the peer's side of the network."""
        raw = self._raw
        return self._corked_bytes + (raw.get_write_buffer_size() if raw is not None else 0)

    def forget_presented(self) -> None:
        """Drop the peer's certificates: a third of an idle connection's memory."""
        self._presented = ()

    def set_application(self, application: ServerApplication) -> None:
        """Hand all that comes from now on to `application`, which is started already.

        For a protocol that turns into another: HTTP into WebSocket.
        """
        if self._application is not None:
            self._application = application

    def write(self, data: bytes) -> None:
        """Send `data`; what is written within one `data_received` leaves together, at its end.

        (Or as soon as it reaches the high-water mark, so that `pause_writing` comes in time.)
        """
        if self._state is not _State.OPEN or not data:
            return
        if self._corked is None:
            self._send(data)
            return
        self._corked.append(data)
        self._corked_bytes += len(data)
        if self._corked_bytes >= self._environment.limits.write_high_water_bytes:
            self._send_corked()

    def close(self) -> None:
        """Close in order: send what was written, say so in TLS, and let the peer read it."""
        if self._state is _State.OPEN:
            self._state = _State.ENDING
            if self._corked is None:
                self._say_goodbye()
        elif self._state in _SHAKING:
            self.abort()

    def abort(self) -> None:
        """Close at once; what is not sent yet is lost."""
        if self._state is _State.CLOSED:
            return
        self._leave_handshake()
        self._state = _State.CLOSING
        if self._raw is not None:
            self._raw.abort()

    def pause_reading(self) -> None:
        """Deliver nothing more until `resume_reading`; the peer is held up by TCP."""
        if self._state is _State.OPEN and not self._reading_paused:
            self._reading_paused = True
            self._raw_transport.pause_reading()

    def resume_reading(self) -> None:
        """Deliver again, first what was decrypted or received already."""
        if self._reading_paused and self._state is _State.OPEN:
            self._reading_paused = False
            if self._waits_its_turn:
                return
            self._raw_transport.resume_reading()
            # Not at once: the application may be in the middle of its own data_received.
            self._loop.call_soon(self._pump)

    def drain(self) -> None:
        """Ask the application to finish, or give up a handshake: the listener shuts down."""
        if self._application is None:
            self.abort()
        elif self._state is _State.OPEN:
            self._call(self._application.drain)

    # -- for the raw transport -----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the peer or turn it away."""
        self._raw = raw = cast("asyncio.Transport", transport)
        peer = raw.get_extra_info("peername")
        if peer:
            self.peer_address, self.peer_port = peer[0], peer[1]
        environment = self._environment
        if environment.draining:
            self._state = _State.CLOSING
            raw.abort()
            return
        refusal = environment.admission.admit(self.peer_address)
        if refusal is not None:
            self._state = _State.CLOSING
            raw.abort()
            environment.report_failure(self.peer_address, refusal)
            return
        self._admitted = True
        environment.connections.add(self)
        limits = environment.limits
        high = limits.write_high_water_bytes
        raw.set_write_buffer_limits(high=high, low=high // 4)
        self._timer = self._loop.call_later(limits.handshake_timeout_s, self._handshake_timed_out)

    def data_received(self, data: bytes) -> None:
        """Take encrypted bytes."""
        state = self._state
        if state is _State.OPEN:
            self._session.feed(data)
            self._pump()
        elif state is _State.HANDSHAKE:
            self._session.feed(data)
            self._shake_hands()
        elif state is _State.ACCEPTED:
            self._early = data
            turn = self._environment.admission.begin_handshake(
                self._start_handshake, self.peer_address
            )
            if turn is Turn.NOW:
                self._start_handshake()
            elif turn is Turn.WAIT:
                self._state = _State.WAITING
                self._raw_transport.pause_reading()
            else:
                self._handshake_failed("too many handshakes are in flight and waiting")
                self._raw_transport.abort()
        elif state is _State.WAITING:  # read before the pause took effect
            self._early += data

    def eof_received(self) -> None:
        """Take the end of the peer's stream; the raw transport closes itself on return."""
        if self._state in _SHAKING:
            if self._early or self._tls is not None:
                reason = (
                    "the peer closed the connection in the middle of the handshake, as clients do "
                    "that do not trust the server's certificate"
                )
            else:
                reason = "the peer closed the connection without a word"
            self._handshake_failed(reason)
        else:
            self._state = _State.CLOSING
        self._linger()

    def connection_lost(self, exc: Exception | None) -> None:
        """Release everything and tell the application."""
        if self._state in _SHAKING:
            self._handshake_failed(f"the connection broke: {exc}")
        self._state = _State.CLOSED
        self._cancel_timer()
        application, self._application = self._application, None
        self._raw = self._tls = None
        self._presented = ()
        environment = self._environment
        if self._admitted:
            environment.connections.discard(self)
            environment.admission.dismiss(self.peer_address)
        if application is not None:
            self._call(application.connection_lost, self._failure or exc)
        if not environment.connections:
            environment.on_idle()

    def pause_writing(self) -> None:
        """Forward the raw transport's wish."""
        if self._application is not None:
            self._call(self._application.pause_writing)

    def resume_writing(self) -> None:
        """Forward the raw transport's wish."""
        if self._application is not None:
            self._call(self._application.resume_writing)

    # -- handshake -----------------------------------------------------------------------------

    def _start_handshake(self) -> None:
        if self._state is _State.WAITING:
            self._raw_transport.resume_reading()
        self._state = _State.HANDSHAKE
        self._tls = TlsSession(self._environment.tls.context)
        self._tls.feed(self._early)
        self._early = b""
        self._shake_hands()

    def _shake_hands(self) -> None:
        session = self._session
        try:
            complete = session.shake_hands()
            if complete:
                self._presented = session.presented()
        except TlsSessionBroken as error:
            self._flush()  # the alert
            self._refuse_handshake(error.message)
            return
        if complete:
            self._open(session)
        else:
            self._flush()

    def _open(self, session: TlsSession) -> None:
        self._cancel_timer()
        self.tls_version = session.version
        self.server_name = session.server_name
        self.handshake_s = time.monotonic() - self._accepted_at
        self._environment.counters.handshakes_ok += 1
        self._leave_handshake()
        self._state = _State.OPEN
        self._corked = []
        self._call(self._make_application)
        self._uncork()
        # The last handshake bytes leave even if the application wrote nothing: a TLS 1.2 client
        # waits for them, one of TLS 1.3 does not.
        self._flush()
        self._pump()

    def _make_application(self) -> None:
        self._application = self._environment.application_factory()
        self._application.connection_made(self)

    def _handshake_timed_out(self) -> None:
        self._environment.counters.handshakes_timed_out += 1
        seconds = self._environment.limits.handshake_timeout_s
        self._handshake_failed(f"the handshake was not done within {seconds:g} s")
        self._raw_transport.abort()

    def _refuse_handshake(self, reason: str) -> None:
        self._handshake_failed(reason)
        self._close_raw()

    def _handshake_failed(self, reason: str) -> None:
        self._leave_handshake()
        self._cancel_timer()
        self._state = _State.CLOSING
        environment = self._environment
        environment.counters.handshakes_failed += 1
        environment.report_failure(self.peer_address, reason)

    def _leave_handshake(self) -> None:
        if self._state is _State.HANDSHAKE:
            # Soon, since it may begin a waiting handshake, and that one end at once, and so on.
            self._loop.call_soon(self._environment.admission.end_handshake, self.peer_address)
        elif self._state is _State.WAITING:
            self._environment.admission.give_up_waiting(self._start_handshake, self.peer_address)

    # -- moving bytes --------------------------------------------------------------------------

    @property
    def _session(self) -> TlsSession:
        assert self._tls is not None
        return self._tls

    @property
    def _raw_transport(self) -> asyncio.Transport:
        assert self._raw is not None
        return self._raw

    def _pump(self) -> None:
        """Hand decrypted bytes to the application until there are no more or it pauses.

        When it has had `TURN_S` of the event loop, the other connections come first.
        """
        if self.is_closing or self._waits_its_turn:
            return
        self._corked = []
        began = before = time.perf_counter()
        try:
            while self._may_deliver():
                data, more = self._session.decrypt(self._delivery_bytes)
                if data:
                    assert self._application is not None
                    self._call(self._application.data_received, data)
                if len(data) >= LEAST_DELIVERY_BYTES:
                    now = time.perf_counter()
                    self._fit_delivery(now - before)
                    before = now
                if not more:
                    break
                if before - began > TURN_S:
                    self._wait_for_turn()
                    break
        except TlsSessionBroken as error:
            self._break(error)
        self._uncork()
        if self._state is _State.OPEN and self._session.peer_closed:
            self._say_goodbye()

    def _fit_delivery(self, took_s: float) -> None:
        """Deliver less at a time when a delivery takes long, more when it does not."""
        if took_s > TURN_S:
            self._delivery_bytes = max(self._delivery_bytes // 4, LEAST_DELIVERY_BYTES)
        elif took_s < TURN_S / 4:
            self._delivery_bytes = min(self._delivery_bytes * 2, DELIVERY_BYTES)

    def _wait_for_turn(self) -> None:
        """Let the event loop serve the others; read nothing more meanwhile."""
        if self._state is _State.OPEN and not self._raw_transport.is_closing():
            self._waits_its_turn = True
            self._raw_transport.pause_reading()
            self._loop.call_soon(self._take_turn)

    def _take_turn(self) -> None:
        self._waits_its_turn = False
        if self._raw is None or self._raw.is_closing():
            return
        if not (self._reading_paused and self._state is _State.OPEN):
            self._raw.resume_reading()  # while it closes, what still comes is dropped
            self._pump()

    def _may_deliver(self) -> bool:
        return self._state is _State.OPEN and not self._reading_paused

    def _uncork(self) -> None:
        if self._corked and self._state is not _State.CLOSING:
            self._send_corked()
        self._corked = None
        self._corked_bytes = 0
        if self._state is _State.ENDING:
            self._say_goodbye()

    def _send_corked(self) -> None:
        corked, self._corked, self._corked_bytes = self._corked, [], 0
        assert corked is not None
        self._send(corked[0] if len(corked) == 1 else b"".join(corked))

    def _send(self, data: bytes) -> None:
        try:
            self._session.encrypt(data)
        except TlsSessionBroken as error:
            self._break(error)
        else:
            self._flush()

    def _break(self, error: TlsSessionBroken) -> None:
        self._failure = error
        self._flush()  # the alert
        self._state = _State.CLOSING
        self._close_raw()

    def _flush(self) -> None:
        """Pass on what TLS wants to send, and cut off a peer that takes too little of it."""
        raw = self._raw_transport
        if raw.is_closing():
            return
        for data in self._session.output():
            raw.write(data)
        unsent = raw.get_write_buffer_size()
        if unsent > self._environment.limits.write_limit_bytes:
            self._environment.counters.slow_readers_aborted += 1
            self._failure = PeerTooSlow(
                f"{unsent} bytes wait to be taken by {self.peer_address}",
                "The device, or its network, is slower than what it asked for.",
            )
            self.abort()

    def _say_goodbye(self) -> None:
        """Send close_notify and end our side; the peer's end, or the timer, does the rest.

        Closing the socket while bytes of the peer lie unread would reset the connection, and the
        peer might never see our last words (a CONNACK that says why). So only our direction is
        ended, and what still comes in is dropped.
        """
        raw = self._raw_transport
        self._state = _State.CLOSING
        self._session.say_goodbye()
        self._flush()
        if raw.is_closing():
            return
        if self._session.peer_closed:
            self._close_raw()
            return
        self._linger()
        if self._reading_paused:
            self._reading_paused = False
            raw.resume_reading()
        try:
            raw.write_eof()
        except OSError:  # the peer is gone, and has reset the connection at our last words
            raw.abort()

    def _close_raw(self) -> None:
        self._raw_transport.close()
        if self._raw_transport.get_write_buffer_size():
            self._linger()

    def _linger(self) -> None:
        """Abort after a while, unless the connection is over by then."""
        self._cancel_timer()
        self._timer = self._loop.call_later(
            self._environment.limits.close_linger_s, self._raw_transport.abort
        )

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _call(self, method: Callable[..., None], *args: object) -> None:
        """Call the application; its failure ends this connection, and no other."""
        try:
            method(*args)
        except Exception:  # noqa: BLE001 - whatever it is, it must not reach the event loop
            self._environment.counters.application_errors += 1
            _log.error(
                "connection aborted: the application failed",
                error_id=new_tracking_id(),
                peer_address=self.peer_address,
                exc_info=True,
            )
            self.abort()
