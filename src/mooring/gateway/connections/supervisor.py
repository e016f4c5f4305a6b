"""One task per connection: it attempts, stays, comes back, and obeys.

Commands only change what is wanted and wake the task; the task alone moves the state machine and
owns the link. So, whatever comes in whichever order, there is never more than one live client.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from mooring.gateway.connections.assignments import AssignmentStore
from mooring.gateway.connections.attempt import AttemptRunner
from mooring.gateway.connections.closures import ClosureHistory
from mooring.gateway.connections.machine import StateMachine
from mooring.gateway.connections.model import ConnectionStatus, Fault, LinkFacts, Transition
from mooring.gateway.connections.ports import (
    AttemptFailed,
    AttemptSink,
    DataTransport,
    HubLink,
    LinkUser,
)
from mooring.gateway.connections.states import ATTEMPTING, ConnectionState
from mooring.runtime.attempts import AttemptRecorder
from mooring.runtime.backoff import Backoff
from mooring.runtime.clock import Clock
from mooring.runtime.logs import get_logger

STABLE_AFTER_S = 30.0
"""A connection that lasted this long was a good one: the failures before it no longer count."""

_log = get_logger("gateway.connections")

_S = ConnectionState


@dataclass(frozen=True, slots=True)
class Plan:
    """How to connect: the transport, set up, and the times of the DataService tab, seconds."""

    transport: DataTransport
    retry_interval_s: float
    retry_interval_max_s: float
    quiesce_timeout_s: float


class Supervisor:
    """Keeps one cloud connection in the state that is wanted."""

    def __init__(
        self,
        pid: str,
        *,
        user: LinkUser,
        assignments: AssignmentStore,
        attempts: AttemptSink,
        clock: Clock,
        on_change: Callable[[Transition], None] = lambda _: None,
    ) -> None:
        """Prepare for the connection `pid`; nothing happens before `start`.

        Args:
            pid: The connection's PID.
            user: Who sends over the link.
            assignments: Where known assignments are kept.
            attempts: Where attempt records go.
            clock: Source of time.
            on_change: Told of every transition, in the task's own turn.
        """
        self.pid = pid
        self._user = user
        self._attempts = attempts
        self._clock = clock
        self._on_change = on_change
        self._machine = StateMachine(clock, self._changed)
        self._runner = AttemptRunner(pid, self._machine, assignments, attempts, clock)
        self._closures = ClosureHistory()
        self._plan: Plan | None = None
        self._wanted = False
        self._paused = False
        self._closing = False
        self._interrupt = asyncio.Event()
        self._news = asyncio.Event()
        self._backoff: Backoff | None = None
        self._link: HubLink | None = None
        self._fault: Fault | None = None
        self._next_attempt_at: datetime | None = None
        self._task: asyncio.Task[None] | None = None

    # -- commands ---------------------------------------------------------------------------

    def start(self, plan: Plan | None, *, connect: bool, fault: Fault | None = None) -> None:
        """Start the task.

        Args:
            plan: How to connect; None where it is not configured yet, or not usable.
            connect: Want the connection up from the beginning.
            fault: Why it is not usable.
        """
        self._plan = plan
        self._fault = fault
        self._wanted = connect
        self._renew_backoff()
        self._task = asyncio.get_running_loop().create_task(
            self._run(), name=f"connection {self.pid}"
        )

    def connect(self) -> None:
        """Want the connection up, now and after every loss, until `disconnect` or `close`."""
        self._wanted = True
        self._paused = False
        if self._machine.state not in ATTEMPTING | {_S.CONNECTED, _S.DRAINING}:
            self._interrupt.set()
        self._tell()

    async def disconnect(self) -> None:
        """Want the connection down, and wait until it is; it stays so until `connect`."""
        self._wanted = False
        self._paused = True
        self._interrupt.set()
        self._tell()
        await self.wait_until(
            lambda status: status.state in (_S.IDLE, _S.DISABLED) or not status.paused
        )

    def reconfigure(self, plan: Plan, *, connect: bool) -> None:
        """Go on with `plan`.

        Args:
            plan: What holds from now on. With another transport than before, the link or the
                attempt under way is replaced; with the same one it is left alone.
            connect: Begin to want the connection, as when auto-connect is switched on.
        """
        transport_changed = self._plan is None or plan.transport is not self._plan.transport
        self._plan = plan
        if transport_changed:
            self._backoff = None
        self._renew_backoff()
        if connect:
            self._wanted = True
            self._paused = False
        if transport_changed:
            self._fault = None
            self._runner.forget_failures()
        if transport_changed or self._machine.state not in ATTEMPTING | {_S.CONNECTED, _S.DRAINING}:
            self._interrupt.set()
        self._tell()

    def retry_now(self) -> None:
        """Cut a wait short, because something that attempts depend on has changed."""
        if self._machine.state in (_S.BACKOFF, _S.FAILED_PERMANENT):
            self._interrupt.set()

    async def close(self) -> None:
        """Disconnect in order and end the task."""
        self._closing = True
        self._wanted = False
        self._interrupt.set()
        if self._task is not None:
            await asyncio.wait({self._task})
        self._tell()

    # -- what others see --------------------------------------------------------------------

    def status(self) -> ConnectionStatus:
        """Return how the connection stands."""
        machine = self._machine
        return ConnectionStatus(
            state=machine.state,
            stage=machine.stage,
            since=machine.since,
            detail=machine.detail,
            fault=self._fault,
            attempt_number=(self._backoff.failures if self._backoff else 0) + 1,
            next_attempt_at=self._next_attempt_at,
            will_reconnect=self._wanted and machine.state is not _S.FAILED_PERMANENT,
            paused=self._paused,
            link=self._link_facts(),
            last_attempt_id=self._runner.last_attempt_id,
            revision=machine.revision,
            history=machine.history,
        )

    @property
    def closed(self) -> bool:
        """Return whether the connection has been told to end."""
        return self._closing

    async def wait_until(
        self, done: Callable[[ConnectionStatus], bool], *, timeout_s: float | None = None
    ) -> ConnectionStatus:
        """Return the first status for which `done` holds, or the one at the end of the time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not done(self.status()) and not (self._task is None or self._task.done()):
                    await self._news.wait()
        return self.status()

    # -- the task ---------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            self._interrupt.clear()
            plan = self._plan
            if self._closing:
                if self._machine.state is not _S.DISABLED:
                    self._rest(_S.IDLE)
                return
            if plan is None:
                await self._interrupt.wait()
            elif not self._wanted:
                self._rest(_S.IDLE)
                await self._interrupt.wait()
            else:
                await self._pursue(plan)

    async def _pursue(self, plan: Plan) -> None:
        """Attempt once; stay connected, or wait as the failure asks for."""
        if self._machine.state is _S.DISABLED:
            self._rest(_S.IDLE)
        self._next_attempt_at = None
        try:
            link = await self._unless_interrupted(self._runner.run(plan.transport))
            if link is None:
                # The attempt was cancelled and joined; what is wanted now is looked at anew.
                self._rest(_S.IDLE)
                return
            await self._stay(link, plan)
        except AttemptFailed as failed:
            await self._wait_after(failed.fault)

    async def _stay(self, link: HubLink, plan: Plan) -> None:
        """Be connected until the link is lost or no longer right.

        Raises:
            AttemptFailed: The link was lost.
        """
        connected_at = self._clock.monotonic()
        self._link = link
        self._fault = None
        self._user.attach(link)
        # Last, so that whoever waits for this state finds the link in place.
        self._machine.move(_S.CONNECTED, detail=f"{link.facts.device_id} at {link.facts.hub}")
        try:
            while not link.lost.done():
                steady = self._clock.monotonic() - connected_at >= STABLE_AFTER_S
                if steady and self._backoff is not None:
                    self._backoff.reset()
                await self._first_of(link.lost, timeout_s=None if steady else STABLE_AFTER_S)
                if self._interrupt.is_set():
                    latest = self._plan
                    if self._wanted and latest and latest.transport is plan.transport:
                        self._interrupt.clear()
                        plan = latest
                        continue
                    # Left set: if the link was lost meanwhile, no wait may follow.
                    if not link.lost.done():
                        await self._leave(link, plan)
                        return
        finally:
            self._user.detach()
            self._link = None
            await link.disconnect()
        fault = self._closures.judge(
            link.lost.result(),
            connected_s=self._clock.monotonic() - connected_at,
            now_s=self._clock.monotonic(),
        )
        recorder = AttemptRecorder("connection", clock=self._clock, **plan.transport.context)
        recorder.context |= {"hub": link.facts.hub, "device_id": link.facts.device_id}
        recorder.begin("connected")
        recorder.fail(fault.code, fault.cause, fault.remedy)
        self._attempts.add(self.pid, recorder.snapshot())
        raise AttemptFailed(fault)

    async def _leave(self, link: HubLink, plan: Plan) -> None:
        self._machine.move(_S.DRAINING, detail="waiting for messages under way")
        left = await self._user.drain(plan.quiesce_timeout_s)
        self._user.detach()
        await link.disconnect()
        self._link = None
        self._machine.move(
            _S.IDLE, detail=f"{left} messages were not acknowledged in time" if left else ""
        )

    async def _wait_after(self, fault: Fault) -> None:
        self._fault = fault
        assert self._backoff is not None
        if fault.permanent:
            self._backoff.next_delay_s()
            self._machine.move(_S.FAILED_PERMANENT, fault=fault)
            _log.error("connection failed for good", pid=self.pid, **_log_facts(fault))
            await self._interrupt.wait()
            return
        delay_s = self._backoff.next_delay_s(retry_after_s=fault.retry_after_s)
        self._next_attempt_at = self._clock.now() + timedelta(seconds=delay_s)
        self._machine.move(_S.BACKOFF, detail=f"next attempt in {delay_s:.1f} s", fault=fault)
        _log.warning(
            "connection attempt failed",
            pid=self.pid,
            retry_in_s=round(delay_s, 1),
            **_log_facts(fault),
        )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._interrupt.wait()
        self._next_attempt_at = None

    def _rest(self, state: ConnectionState) -> None:
        """Move to a state in which nothing is under way, unless it is the present one."""
        self._next_attempt_at = None
        if self._machine.state is not state:
            self._machine.move(state, detail="paused by Disconnect" if self._paused else "")

    async def _unless_interrupted(self, coroutine: Coroutine[Any, Any, HubLink]) -> HubLink | None:
        """Return what `coroutine` returns, or None once it has been cancelled and has ended."""
        task = asyncio.get_running_loop().create_task(coroutine)
        try:
            await self._first_of(task, timeout_s=None)
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
        if task.cancelled():
            return None
        return task.result()

    async def _first_of(self, future: asyncio.Future[Any], *, timeout_s: float | None) -> None:
        """Wait for `future`, an interrupt, or the end of the time."""
        interrupted = asyncio.ensure_future(self._interrupt.wait())
        try:
            await asyncio.wait(
                {future, interrupted}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            interrupted.cancel()

    # -- small things -----------------------------------------------------------------------

    def _renew_backoff(self) -> None:
        if self._plan is None:
            return
        failures = self._backoff.failures if self._backoff else 0
        base_s = self._plan.retry_interval_s
        self._backoff = Backoff(base_s=base_s, cap_s=max(base_s, self._plan.retry_interval_max_s))
        self._backoff.failures = failures

    def _link_facts(self) -> LinkFacts | None:
        return None if self._link is None else self._link.facts

    def _changed(self, transition: Transition) -> None:
        _log.info(
            "connection state",
            pid=self.pid,
            state=transition.state.value,
            stage=None if transition.stage is None else transition.stage.value,
            detail=transition.detail,
        )
        self._on_change(transition)
        self._tell()

    def _tell(self) -> None:
        """Wake everyone in `wait_until`."""
        news, self._news = self._news, asyncio.Event()
        news.set()


def _log_facts(fault: Fault) -> dict[str, str]:
    return {
        "failed_stage": fault.stage,
        "code": fault.code,
        "cause": fault.cause,
        "remedy": fault.remedy,
    }
