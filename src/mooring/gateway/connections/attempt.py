"""One attempt: check, provision unless the assignment is known, connect; all of it recorded."""

from __future__ import annotations

import asyncio

from mooring.gateway.connections.assignments import Assignment, AssignmentStore
from mooring.gateway.connections.machine import StateMachine
from mooring.gateway.connections.model import Fault
from mooring.gateway.connections.ports import AttemptFailed, AttemptSink, DataTransport, HubLink
from mooring.gateway.connections.states import ConnectionStage, ConnectionState
from mooring.pki.lint import Severity
from mooring.runtime.attempts import AttemptRecorder
from mooring.runtime.clock import Clock
from mooring.runtime.logs import get_logger

DOUBT_ASSIGNMENT_AFTER_S = 300.0
"""How long a known assignment may fail before DPS is asked again: the hub may have moved without
a word, and a shorter outage should not make a whole fleet register anew."""

DPS_VERDICTS = frozenset({"provisioning.register", "provisioning.polling"})
"""Stages in which a failure is DPS's own word, and not that of the network before it."""

TIME_MENDS = frozenset({"e_not_yet_valid", "e_clock_not_sane"})
"""Rules of the lint whose breach ends by itself. A board without a battery for its clock starts in
1970, and network time sets it some seconds later."""

_log = get_logger("gateway.connections")

_S = ConnectionState


class RecordedProgress:
    """Tells state machine and attempt record of each stage."""

    def __init__(self, machine: StateMachine, recorder: AttemptRecorder) -> None:
        """Report to `machine` and `recorder`."""
        self._machine = machine
        self._recorder = recorder

    def enter(self, stage: ConnectionStage, detail: str = "") -> None:
        """Say that `stage` begins."""
        self._machine.enter(stage, detail=detail)
        self._recorder.begin(f"{self._machine.state.value.lower()}.{stage.value}")

    def note(self, detail: str) -> None:
        """Say what came of the stage that runs; it has passed."""
        self._recorder.passed(detail)

    def saw(self, kind: str, wire_id: str) -> None:
        """Keep an identifier seen on the wire."""
        self._recorder.saw(kind, wire_id)


class AttemptRunner:
    """Runs the attempts of one connection, one at a time."""

    def __init__(
        self,
        pid: str,
        machine: StateMachine,
        assignments: AssignmentStore,
        attempts: AttemptSink,
        clock: Clock,
    ) -> None:
        """Move `machine`, keep assignments and attempt records under `pid`."""
        self._pid = pid
        self._machine = machine
        self._assignments = assignments
        self._attempts = attempts
        self._clock = clock
        # Since when a known assignment has failed, on the monotonic clock.
        self._failing_since: float | None = None
        self.last_attempt_id: str | None = None

    def forget_failures(self) -> None:
        """Trust a known assignment again, as after a change of configuration."""
        self._failing_since = None

    async def run(self, transport: DataTransport) -> HubLink:
        """Return the live link; the state is still `CONNECTING`.

        Raises:
            AttemptFailed: With the stage and the reason; the state machine is left in the state
                in which it failed.
        """
        self._machine.move(_S.LINTING)
        known = await self._assignments.find(self._pid, transport.assignment_key)
        now_s = self._clock.monotonic()
        if known is None:
            return await self._recorded(transport, None)
        since_s = now_s if self._failing_since is None else self._failing_since
        if now_s - since_s >= DOUBT_ASSIGNMENT_AFTER_S:
            # Once in a while, in turn with the hub: DPS may be what is out of reach.
            self._failing_since = now_s
            return await self._register_anew(transport)
        try:
            link = await self._recorded(transport, known)
        except AttemptFailed as failed:
            # Only what came from the hub, or from the way to it, speaks against the assignment.
            if self._machine.state is not _S.CONNECTING:
                raise
            if self._failing_since is None:
                self._failing_since = now_s
            if not failed.fault.assignment_suspect:
                raise
            _log.info("known assignment in doubt, registering anew", pid=self._pid)
            return await self._register_anew(transport, after=failed.fault)
        self._failing_since = None
        return link

    async def _register_anew(self, transport: DataTransport, after: Fault | None = None) -> HubLink:
        """Register although an assignment is known; it goes when DPS says so, not before."""
        try:
            link = await self._recorded(transport, None, after=after)
        except AttemptFailed as failed:
            if failed.fault.stage in DPS_VERDICTS:
                await self._assignments.forget(self._pid)
            raise
        self._failing_since = None
        return link

    async def _recorded(
        self, transport: DataTransport, known: Assignment | None, after: Fault | None = None
    ) -> HubLink:
        recorder = AttemptRecorder("connect", clock=self._clock, **transport.context)
        recorder.context["pid"] = self._pid
        self.last_attempt_id = recorder.attempt_id
        try:
            return await self._steps(transport, known, recorder, after)
        except AttemptFailed as failed:
            fault = failed.fault
            recorder.fail(fault.code, fault.cause, fault.remedy, stage=fault.stage)
            raise
        except asyncio.CancelledError:
            recorder.fail(
                "interrupted",
                "The attempt was ended by Disconnect, a new configuration or the end of the "
                "gateway.",
                "Press Connect to try again.",
            )
            raise
        except Exception as error:
            _log.exception("attempt ended by a defect", pid=self._pid)
            fault = Fault(
                stage=recorder.current_stage,
                code="internal-error",
                cause=f"The gateway failed on its own account ({type(error).__name__}).",
                remedy="Look at the gateway's log at this time, and report it.",
            )
            recorder.fail(fault.code, fault.cause, fault.remedy)
            raise AttemptFailed(fault) from error
        finally:
            recorder.finish()
            # Not awaited: a cancellation here would lose a link that is up already.
            self._attempts.add(self._pid, recorder.snapshot())

    async def _steps(
        self,
        transport: DataTransport,
        known: Assignment | None,
        recorder: AttemptRecorder,
        after: Fault | None,
    ) -> HubLink:
        progress = RecordedProgress(self._machine, recorder)
        if after is None:
            recorder.begin("linting")
            await self._lint(transport)
            recorder.passed()
        assignment = known
        if assignment is None:
            self._machine.move(_S.PROVISIONING, fault=after)
            assignment = await transport.provision(progress)
            recorder.context |= {"hub": assignment.assigned_hub, "device_id": assignment.device_id}
            await self._assignments.keep(self._pid, transport.assignment_key, assignment)
            self._machine.move(_S.ASSIGNED, detail=_where(assignment))
            recorder.begin("assigned")
            recorder.passed(_where(assignment))
        else:
            recorder.context |= {"hub": assignment.assigned_hub, "device_id": assignment.device_id}
        self._machine.move(_S.CONNECTING, detail=_where(assignment) + (", known" if known else ""))
        return await transport.connect(assignment, progress)

    async def _lint(self, transport: DataTransport) -> None:
        errors = [f for f in await transport.check() if f.severity is Severity.ERROR]
        if not errors:
            return
        first = errors[0]
        more = f" ({len(errors) - 1} more errors)" if len(errors) > 1 else ""
        raise AttemptFailed(
            Fault(
                stage="linting",
                code=first.rule_id,
                cause=first.message + more,
                remedy=first.remedy,
                permanent=not all(error.rule_id in TIME_MENDS for error in errors),
            )
        )


def _where(assignment: Assignment) -> str:
    return f"{assignment.device_id} at {assignment.assigned_hub}"
