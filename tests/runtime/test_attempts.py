"""Attempt records: stages in order, one failure, the same after a round trip through JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from mooring.runtime.attempts import MAX_WIRE_IDS, Attempt, AttemptRecorder


class TickingClock:
    """Moves on by one second at each look."""

    def __init__(self) -> None:
        self.ticks = 0

    def now(self) -> datetime:
        self.ticks += 1
        return datetime(2030, 1, 1, tzinfo=UTC) + timedelta(seconds=self.ticks)

    def monotonic(self) -> float:
        self.ticks += 1
        return float(self.ticks)


def test_attempt_when_all_stages_pass_succeeds_with_the_time_of_each() -> None:
    recorder = AttemptRecorder("connect", clock=TickingClock(), endpoint="dps.example")
    recorder.begin("dns")
    recorder.passed("127.0.0.1")
    recorder.begin("tls")
    recorder.finish()

    attempt = recorder.snapshot()

    assert attempt.result == "succeeded"
    assert [(stage.name, stage.outcome) for stage in attempt.stages] == [
        ("dns", "passed"),
        ("tls", "passed"),
    ]
    assert all(stage.duration_ms == 1000 for stage in attempt.stages)
    assert attempt.context == {"endpoint": "dps.example"}


def test_attempt_when_a_stage_fails_names_stage_cause_and_remedy() -> None:
    recorder = AttemptRecorder("connect", clock=TickingClock())
    recorder.begin("dns")
    recorder.begin("tcp")
    failure = recorder.fail("connection-refused", "Nobody listens.", "Start the cloud.")

    attempt = recorder.snapshot()

    assert attempt.result == "failed"
    assert failure.stage == "tcp"
    assert attempt.failure == failure
    assert [stage.outcome for stage in attempt.stages] == ["passed", "failed"]
    assert attempt.finished_at is not None


def test_attempt_when_failed_at_another_stage_opens_it() -> None:
    recorder = AttemptRecorder("connect", clock=TickingClock())
    recorder.begin("mqtt")

    failure = recorder.fail("refused", "No.", "Ask.", stage="register")

    assert failure.stage == "register"
    assert [stage.name for stage in recorder.snapshot().stages] == ["mqtt", "register"]


def test_attempt_when_failed_before_any_stage_still_tells_where() -> None:
    recorder = AttemptRecorder("connect", clock=TickingClock())
    recorder.fail("no-certificate", "There is none.", "Paste one.")

    assert recorder.snapshot().stages[0].name == "start"


def test_attempt_after_a_round_trip_through_json_is_equal() -> None:
    recorder = AttemptRecorder("registration", clock=TickingClock(), registration_id="gw1")
    recorder.begin("register")
    recorder.saw("rid", "1")
    recorder.saw("rid", "1")
    recorder.saw("operation_id", "4.a.b")
    recorder.fail("x", "y", "z")
    attempt = recorder.snapshot()

    assert Attempt.from_json(json.loads(json.dumps(attempt.to_json()))) == attempt
    assert attempt.wire_ids == {"rid": ("1",), "operation_id": ("4.a.b",)}


def test_wire_ids_when_a_peer_sends_many_are_bounded() -> None:
    recorder = AttemptRecorder("registration")
    for number in range(MAX_WIRE_IDS * 2):
        recorder.saw("rid", str(number))

    assert len(recorder.snapshot().wire_ids["rid"]) == MAX_WIRE_IDS


def test_attempt_while_it_runs_says_so() -> None:
    recorder = AttemptRecorder("connect")
    recorder.begin("dns")

    assert recorder.snapshot().result == "running"
    assert recorder.current_stage == "dns"


def test_stage_heard_of_at_its_end_has_the_time_it_took_and_the_attempt_began_with_it() -> None:
    recorder = AttemptRecorder("connect", clock=TickingClock())

    recorder.begin("tls", ago_s=5.0)
    recorder.passed()

    attempt = recorder.snapshot()
    (stage,) = attempt.stages
    assert stage.duration_ms == 6000  # the clock ticks once more until it passes
    assert attempt.started_at == stage.started_at


def test_attempt_that_quotes_a_peer_at_length_is_cut() -> None:
    recorder = AttemptRecorder("connect", clock=TickingClock())
    recorder.begin("tls")
    recorder.passed("x" * 65_535)
    recorder.saw("$rid", "x" * 65_535)
    recorder.fail("malformed", "x" * 65_535, "y" * 65_535, stage="connect")

    attempt = recorder.snapshot()

    assert len(json.dumps(attempt.to_json())) < 6_000
    assert attempt.failure is not None
    assert attempt.failure.cause.startswith("xxx")
    assert attempt.wire_ids["$rid"] == ("x" * 256,)
