"""Attempts between two requests of one registration over HTTPS."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.support.clocks import StandingClock

from mooring.cloud.dps.device_api.begun_attempts import PATIENCE_S, BegunAttempts
from mooring.runtime.attempts import Attempt, AttemptRecorder


class Stand:
    def __init__(self, max_begun: int = 3) -> None:
        self.clock = StandingClock()
        self.kept: list[Attempt] = []
        self.begun = BegunAttempts(self.kept.append, clock=self.clock, max_begun=max_begun)

    def begin(self, operation_id: str) -> AttemptRecorder:
        recorder = AttemptRecorder("registration", clock=self.clock)
        recorder.begin("poll")
        self.begun.keep(operation_id, recorder)
        return recorder

    @property
    def codes(self) -> list[str | None]:
        return [None if each.failure is None else each.failure.code for each in self.kept]


@pytest.fixture
def stand() -> Stand:
    return Stand()


def test_attempt_is_recorded_once_when_it_is_over(stand: Stand) -> None:
    recorder = stand.begin("a")
    assert stand.begun.find("a") is recorder
    stand.begun.settle("a")
    assert stand.kept == []

    recorder.finish()
    stand.begun.settle("a")
    stand.begun.settle("a")

    assert stand.codes == [None]
    assert stand.begun.find("a") is None
    assert len(stand.begun) == 0


def test_settle_of_an_unknown_operation_does_nothing(stand: Stand) -> None:
    stand.begun.settle("b")
    assert stand.kept == []


def test_attempt_that_is_not_polled_is_given_up(stand: Stand) -> None:
    stand.begin("a")
    stand.clock.move(timedelta(seconds=PATIENCE_S - 1))
    stand.begin("b")
    stand.begun.expire()
    assert stand.kept == []
    stand.clock.move(timedelta(seconds=1))
    stand.begun.expire()

    assert stand.codes == ["gone-before-result"]
    assert stand.begun.find("a") is None
    assert stand.begun.find("b") is not None


def test_attempt_that_is_polled_waits_on(stand: Stand) -> None:
    recorder = stand.begin("a")
    for _ in range(5):
        stand.clock.move(timedelta(seconds=PATIENCE_S - 1))
        assert stand.begun.find("a") is recorder
        stand.begun.expire()

    assert stand.kept == []


def test_attempt_beyond_the_bound_pushes_out_the_one_not_seen_for_longest(stand: Stand) -> None:
    for name in "abc":
        stand.begin(name)
    stand.begun.find("a")
    stand.begin("d")

    assert len(stand.begun) == 3
    assert stand.codes == [None]  # nothing failed
    assert "too many" in stand.kept[0].context["detail"]
    assert stand.begun.find("b") is None
    assert stand.begun.find("a") is not None


def test_close_records_what_waits(stand: Stand) -> None:
    stand.begin("a")
    stand.begin("b")
    stand.begun.close()

    assert stand.codes == ["shutting-down"] * 2
    assert len(stand.begun) == 0
