"""One device connection: bytes to packets, the one task, the clock, the attempt record."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from mooring.cloud.attempts.model import KIND_UNKNOWN
from mooring.cloud.frontdoor.link import DeviceSession, Ending
from mooring.pki.certificates import Certificate, sha256_thumbprint
from mooring.protocol.azure.errors import UserNameMalformed
from mooring.protocol.azure.usernames import DpsUserName, HubUserName, parse_user_name
from mooring.protocol.mqtt.codes import ConnectReturnCode
from mooring.protocol.mqtt.errors import (
    ClientIdMissing,
    PeerError,
    ProtocolLevelUnsupported,
)
from mooring.protocol.mqtt.packets import Connect, Disconnect, Packet
from mooring.protocol.mqtt.server import ServerMachine, ServerState
from mooring.runtime.attempts import Attempt, AttemptRecorder
from mooring.runtime.eager import Waiting, start_eagerly
from mooring.runtime.logs import get_logger
from mooring.transport.errors import WebSocketBroken
from mooring.transport.server_application import Carrier, PeerConnection

if TYPE_CHECKING:
    from mooring.cloud.frontdoor.door import FrontDoor

_BUSY = 1
_SESSION = 2
_WRITING = 4

_log = get_logger("cloud.frontdoor")


class MqttConnection:
    """The application behind one connection; see `DeviceLink` for what sessions use.

    The connection is TLS, or WebSocket in TLS: nothing here depends on which.
    """

    __slots__ = (
        "_connection",
        "_door",
        "_draining",
        "_held",
        "_held_bytes",
        "_orderly",
        "_over_websocket",
        "_paused",
        "_presented",
        "_recorder",
        "_releasing",
        "_session",
        "_task",
        "last_seen",
        "machine",
        "opened_at",
        "wheel_slot",
    )

    def __init__(self, door: FrontDoor) -> None:
        """Belong to `door`."""
        self._door = door
        self._connection: PeerConnection | None = None
        self._over_websocket = False
        self._presented: tuple[Certificate, ...] = ()
        self._session: DeviceSession | None = None
        self._recorder: AttemptRecorder | None = None
        self._task: object | None = None
        self._held: list[bytes | Sequence[Packet]] | None = None
        self._held_bytes = 0
        self._paused = 0
        self._draining = False
        self._orderly = False
        self._releasing = False
        self.machine = ServerMachine(
            max_packet_bytes=door.limits.max_packet_bytes,
            max_topic_bytes=door.limits.max_topic_bytes,
            # '+' and '#' are legal in a hub's device ids; sessions refuse them elsewhere.
            literal_wildcards=True,
        )
        self.opened_at = self.last_seen = door.wheel.now
        self.wheel_slot = -1

    # -- the transport's side ------------------------------------------------------------------

    def connection_made(self, connection: PeerConnection) -> None:
        """Begin: TLS has passed."""
        self._connection = connection
        self._over_websocket = connection.carrier is Carrier.WEBSOCKET
        # Transport knows certificates by the look only; these are pki's.
        self._presented = cast("tuple[Certificate, ...]", connection.presented)
        recorder = AttemptRecorder(
            KIND_UNKNOWN, clock=self._door.clock, source_address=connection.peer_address
        )
        recorder.begin("tls", ago_s=connection.handshake_s)
        recorder.passed(connection.tls_version)
        recorder.begin("connect")
        self._recorder = recorder
        self._door.opened(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes; while the connection's task runs they wait."""
        if self._task is not None:
            self._hold(data)
            return
        self.last_seen = self._door.wheel.now
        self._feed(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        """End: nothing can be sent any more."""
        self._connection = None
        self._held = None
        self._door.closed(self)
        session = self._session
        broken = _ending_of(exc, "connect" if session is None else "session")
        if session is not None:
            self._session = None
            if broken is not None:
                session.broken(broken)
            session.lost(orderly=self._orderly)
            self._presented = ()
        elif self._recorder is not None and self._task is None:
            self._fail_before_connect(
                broken
                or Ending(
                    "connect",
                    "closed-before-connect",
                    "the client closed the connection without sending CONNECT"
                    + ("" if exc is None else f" ({exc})"),
                    "if this was a device, see its log for why it gave up, e.g. a server "
                    "certificate that it does not trust",
                )
            )

    def pause_writing(self) -> None:
        """Read no more from a peer that does not read."""
        self._set_pause(_WRITING)

    def resume_writing(self) -> None:
        """Read again."""
        self._clear_pause(_WRITING)

    def drain(self) -> None:
        """Finish what was begun, then close."""
        self._draining = True
        if self._session is not None:
            self._session.drain()
        elif self._task is None:
            self.close()

    # -- the wheel's side ----------------------------------------------------------------------

    def due(self, now: float) -> float | None:
        """Close if the deadline has come, else return it."""
        if self._connection is None:
            return None
        if self._task is not None:
            return now + self._door.limits.connect_timeout_s
        session = self._session
        if session is None:
            moment = self.opened_at + self._door.limits.connect_timeout_s
            ending = Ending(
                "connect",
                "connect-timeout",
                f"no CONNECT came within {self._door.limits.connect_timeout_s:.0f} s",
                "send CONNECT as soon as TLS is established",
            )
        else:
            moment, ending = session.deadline(self.last_seen)
        if now < moment:
            return moment
        self.end(ending)
        return None

    # -- the sessions' side: DeviceLink ---------------------------------------------------------

    @property
    def source_address(self) -> str:
        """Return the peer's IP address."""
        return "" if self._connection is None else self._connection.peer_address

    @property
    def presented(self) -> tuple[Certificate, ...]:
        """Return the certificates that the peer showed, leaf first; empty after `forget`."""
        return self._presented

    @property
    def is_open(self) -> bool:
        """Return whether something can still be sent."""
        connection = self._connection
        return (
            connection is not None
            and not connection.is_closing
            and self.machine.state is not ServerState.CLOSED
        )

    @property
    def recorder(self) -> AttemptRecorder:
        """Return the recorder of the connection's first attempt, opened with the TLS stage."""
        if self._recorder is None:
            raise RuntimeError("the connection's first attempt is over")
        return self._recorder

    def forget_presented(self) -> None:
        """Drop the certificates: they are the largest part of an idle connection."""
        self._presented = ()
        if self._connection is not None:
            self._connection.forget_presented()

    def write(self, data: bytes) -> None:
        """Send `data`; nothing happens once the connection is closing."""
        connection = self._connection
        if connection is not None and not connection.is_closing:
            connection.write(data)

    def close(self) -> None:
        """Send what is written, then close."""
        if self._connection is not None:
            self._connection.close()

    def end(self, ending: Ending) -> None:
        """Close because of `ending`, which is recorded."""
        connection = self._connection
        if connection is None or connection.is_closing:
            return
        if self._session is not None:
            self._session.broken(ending)
        else:
            self._fail_before_connect(ending)
        self.close()

    def run(self, work: Coroutine[Any, Any, None], rest: Sequence[Packet]) -> None:
        """Run `work` as the connection's only task; `rest` and what comes later waits for it.

        Work that never waits is done when this returns, without a task.
        """
        if self._task is not None:
            raise RuntimeError("the connection has a task already")
        self._task = work
        if rest:
            self._held = [rest, *(self._held or ())]
        waiting: Waiting[None] | None = None
        try:
            started = start_eagerly(work)
            if isinstance(started, Waiting):
                waiting = started
        except Exception as error:  # noqa: BLE001 - see `_fail`
            self._fail(error)
        if waiting is None:
            self._task = None
            self._release()
            return
        self._set_pause(_BUSY)
        self._task = self._door.tasks.spawn(self._finish(waiting), name="device-connection")

    def pause(self) -> None:
        """Read no more from the peer until `resume`."""
        self._set_pause(_SESSION)

    def resume(self) -> None:
        """Read again."""
        self._clear_pause(_SESSION)

    def record(self, attempt: Attempt) -> None:
        """Keep a finished attempt; the connection's first one is over with it."""
        if self._recorder is not None and attempt.attempt_id == self._recorder.attempt_id:
            self._recorder = None
            # Whoever judged the certificate has noted its thumbprint; it is missing where nobody
            # came to that.
            if self._presented and "thumbprint" not in attempt.context:
                thumbprint = sha256_thumbprint(self._presented[0])
                attempt = replace(attempt, context={**attempt.context, "thumbprint": thumbprint})
        if self._over_websocket:
            attempt = replace(attempt, context={**attempt.context, "transport": "websocket"})
        self._door.attempts.record(attempt)

    # -- inside --------------------------------------------------------------------------------

    def _feed(self, data: bytes) -> None:
        try:
            packets = self.machine.receive(data)
        except PeerError as error:
            if error.preceding:
                self._dispatch(error.preceding)
            self._breach(error)
            return
        if packets:
            self._dispatch(packets)

    def _dispatch(self, packets: Sequence[Packet]) -> None:
        session = self._session
        if session is not None:
            if type(packets[-1]) is Disconnect:
                self._orderly = True
            session.receive(packets)
            return
        # The machine reports nothing else before CONNECT, and CONNECT alone.
        (connect,) = packets
        assert isinstance(connect, Connect)
        self._connect(connect)

    def _connect(self, connect: Connect) -> None:
        recorder = self.recorder
        recorder.context["client_id"] = connect.client_id
        if self._draining:
            recorder.fail(
                "shutting-down", "the server is shutting down", "connect again in a moment"
            )
            self._refuse(ConnectReturnCode.SERVER_UNAVAILABLE)
            return
        try:
            user_name = parse_user_name(connect.user_name or "")
        except UserNameMalformed as error:
            recorder.fail(error.code, error.message, error.remedy)
            self._refuse(_code_for_user_name(connect.user_name or ""))
            return
        if isinstance(user_name, DpsUserName):
            outcome = self._door.dps.open(self, connect, user_name)
            self._opened(outcome)
            if self.is_open:
                self._feed(b"")  # what came in one read with CONNECT
        else:
            self.run(self._open_hub(connect, user_name), ())

    async def _open_hub(self, connect: Connect, user_name: HubUserName) -> None:
        self._opened(await self._door.hub.open(self, connect, user_name))

    def _opened(self, outcome: DeviceSession | ConnectReturnCode) -> None:
        if isinstance(outcome, ConnectReturnCode):
            self._refuse(outcome)
            return
        if self._connection is None:
            outcome.lost(orderly=False)
            return
        self._session = outcome
        self._door.wheel.move(self, outcome.deadline(self.last_seen)[0])
        if self._draining:
            outcome.drain()

    def _refuse(self, code: ConnectReturnCode) -> None:
        if self.is_open:
            self.write(self.machine.refuse(code))
        if self._recorder is not None:
            self.record(self._recorder.snapshot())
        self._held = None
        self.close()

    def _breach(self, error: PeerError) -> None:
        if self._connection is None or self._connection.is_closing:
            return
        if self._session is None and self._recorder is not None:
            self._recorder.context.setdefault("detail", str(error))
        if error.reply:
            self.write(error.reply)
        stage = "connect" if self._session is None else "session"
        code = (
            error.code
            if not isinstance(error, ProtocolLevelUnsupported | ClientIdMissing)
            else error.code.removeprefix("mqtt-")
        )
        self.end(Ending(stage, code, str(error), error.remedy))

    def _fail_before_connect(self, ending: Ending) -> None:
        if self._recorder is None:
            return
        recorder = self._recorder
        recorder.fail(ending.code, ending.cause, ending.remedy, stage=ending.stage)
        self.record(recorder.snapshot())

    async def _finish(self, waiting: Waiting[None]) -> None:
        try:
            await waiting
        except Exception as error:  # noqa: BLE001 - see `_fail`
            self._fail(error)
        finally:
            self._task = None
        self._release()

    def _fail(self, error: Exception) -> None:
        """End this connection, and no other, for a fault of ours."""
        _log.error("device connection failed", exc_info=error)
        self.end(
            Ending(
                "server",
                "internal-error",
                "the server failed while it worked on this connection",
                "try again; the server's log has the cause",
            )
        )

    def _release(self) -> None:
        """Go on with what waited, until a packet starts the next task."""
        if self._releasing:  # work without a wait, started by what is released below
            return
        self._releasing = True
        try:
            if self._session is not None:
                self._feed(b"")  # what came in one read with CONNECT
            self._release_held()
        finally:
            self._releasing = False
        if self._task is None:
            self._clear_pause(_BUSY)
            if self._draining and self._session is None:
                self.close()

    def _release_held(self) -> None:
        while self._task is None and self._held and self.is_open:
            item = self._held.pop(0)
            if isinstance(item, bytes):
                self._held_bytes -= len(item)
                self.data_received(item)
            else:
                self._dispatch(item)

    def _hold(self, data: bytes) -> None:
        self._held_bytes += len(data)
        if self._held_bytes > self._door.limits.max_held_bytes:
            self.end(
                Ending(
                    "connect" if self._session is None else "session",
                    "sent-too-much",
                    "the client sent on without waiting for an answer",
                    "wait for CONNACK, and for the acknowledgement of a registration",
                )
            )
            return
        if self._held is None:
            self._held = []
        self._held.append(bytes(data))

    def _set_pause(self, why: int) -> None:
        if not self._paused and self._connection is not None:
            self._connection.pause_reading()
        self._paused |= why

    def _clear_pause(self, why: int) -> None:
        if self._paused & why:
            self._paused &= ~why
            if not self._paused and self._connection is not None:
                self.last_seen = self._door.wheel.now
                with suppress(RuntimeError):
                    self._connection.resume_reading()


def _ending_of(error: BaseException | None, stage: str) -> Ending | None:
    """Return why the peer's breach of WebSocket ended the connection, None if it did not."""
    if not isinstance(error, WebSocketBroken):
        return None
    return Ending(stage, error.code, error.message, error.remedy)


def _code_for_user_name(user_name: str) -> ConnectReturnCode:
    """Return how a user name that fits no form is refused: DPS and hub differ (code 4, code 5)."""
    if "/registrations" in user_name:
        return ConnectReturnCode.BAD_USER_NAME_OR_PASSWORD
    # Code 4 makes the C device SDK stop for good; 5 is retried.
    return ConnectReturnCode.NOT_AUTHORIZED
