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

DOUBT_ASSIGNMENT_AFTER = 3
"""Failures in a row with a known assignment after which DPS is asked again: the hub may have
moved without a word, and an outage of minutes should not make a whole fleet register anew."""

TIME_MENDS = frozenset({"e_not_yet_valid"})
"""Rules of the lint whose breach ends by itself."""

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
        self._failures_with_known = 0
        self.last_attempt_id: str | None = None

    def forget_failures(self) -> None:
        """Trust a known assignment again, as after a change of configuration."""
        self._failures_with_known = 0

    async def run(self, transport: DataTransport) -> HubLink:
        """Return the live link; the state is still `CONNECTING`.

        Raises:
            AttemptFailed: With the stage and the reason; the state machine is left in the state
                in which it failed.
        """
        self._machine.move(_S.LINTING)
        known = await self._assignments.find(self._pid, transport.assignment_key)
        if known is not None and self._failures_with_known >= DOUBT_ASSIGNMENT_AFTER:
            await self._assignments.forget(self._pid)
            known = None
        if known is None:
            return await self._recorded(transport, None)
        try:
            link = await self._recorded(transport, known)
        except AttemptFailed as failed:
            if self._machine.state is not _S.CONNECTING:
                raise
            self._failures_with_known += 1
            if not failed.fault.assignment_suspect:
                raise
            await self._assignments.forget(self._pid)
            self._failures_with_known = 0
            _log.info("known assignment refused, registering anew", pid=self._pid)
            return await self._recorded(transport, None, after=failed.fault)
        self._failures_with_known = 0
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
