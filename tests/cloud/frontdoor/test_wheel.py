"""The wheel: nothing early, nothing forgotten, no timer per connection."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mooring.cloud.frontdoor.wheel import SLOTS, DeadlineWheel


class SettableClock:
    """Monotonic time set by the test."""

    def __init__(self) -> None:
        self.seconds = 1000.5

    def now(self) -> datetime:
        return datetime(2030, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.seconds


class Item:
    """Notes when it was called; asks for `again` seconds more each time, if given."""

    def __init__(self, again: float | None = None, *, fails: bool = False) -> None:
        self.wheel_slot = -1
        self.again = again
        self.fails = fails
        self.calls: list[float] = []

    def due(self, now: float) -> float | None:
        self.calls.append(now)
        if self.fails:
            raise RuntimeError("broken")
        return None if self.again is None else now + self.again


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def wheel(clock: SettableClock) -> DeadlineWheel:
    return DeadlineWheel(clock=clock)


def run(wheel: DeadlineWheel, clock: SettableClock, seconds: float, step: float = 1.0) -> None:
    """Let time pass in steps."""
    end = clock.seconds + seconds
    while clock.seconds < end:
        clock.seconds += step
        wheel.turn()


@pytest.mark.parametrize("after", [0.0, 0.3, 0.6, 1.0, 59.9, 60.0])
def test_turn_calls_an_item_once_after_its_deadline_and_never_before(
    wheel: DeadlineWheel, clock: SettableClock, after: float
) -> None:
    item = Item()
    deadline = clock.seconds + after
    wheel.add(item, deadline)

    run(wheel, clock, 70, step=0.25)

    (called,) = item.calls
    assert deadline <= called <= deadline + 2


def test_turn_when_an_item_asks_for_more_calls_it_again(
    wheel: DeadlineWheel, clock: SettableClock
) -> None:
    item = Item(again=10)
    wheel.add(item, clock.seconds + 10)

    run(wheel, clock, 46)

    assert len(item.calls) == 4


def test_remove_makes_the_wheel_forget(wheel: DeadlineWheel, clock: SettableClock) -> None:
    item = Item()
    wheel.add(item, clock.seconds + 5)
    wheel.remove(item)
    wheel.remove(item)

    run(wheel, clock, 10)

    assert item.calls == []


def test_move_changes_the_deadline(wheel: DeadlineWheel, clock: SettableClock) -> None:
    item = Item()
    wheel.add(item, clock.seconds + 5)
    wheel.move(item, clock.seconds + 20)

    run(wheel, clock, 15)
    assert item.calls == []
    run(wheel, clock, 10)
    assert len(item.calls) == 1


def test_turn_when_the_deadline_lies_beyond_a_turn_looks_early_and_goes_on(
    wheel: DeadlineWheel, clock: SettableClock
) -> None:
    deadline = clock.seconds + SLOTS * 2

    class Patient(Item):
        def due(self, now: float) -> float | None:
            self.calls.append(now)
            return deadline if now < deadline else None

    item = Patient()
    wheel.add(item, deadline)

    run(wheel, clock, SLOTS * 2 + 5)

    assert 2 <= len(item.calls) <= 4
    assert item.calls[-1] >= deadline


def test_turn_after_a_long_stall_calls_everything_due_once(
    wheel: DeadlineWheel, clock: SettableClock
) -> None:
    items = [Item() for _ in range(50)]
    for number, item in enumerate(items):
        wheel.add(item, clock.seconds + number * 30)

    clock.seconds += SLOTS * 3
    wheel.turn()

    assert all(len(item.calls) == 1 for item in items)


def test_turn_when_one_item_fails_calls_the_others(
    wheel: DeadlineWheel, clock: SettableClock
) -> None:
    broken, sound = Item(fails=True), Item()
    wheel.add(broken, clock.seconds + 1)
    wheel.add(sound, clock.seconds + 1)

    run(wheel, clock, 5)

    assert (len(broken.calls), len(sound.calls)) == (1, 1)


def test_turn_when_the_handler_removes_another_item_of_the_slot_skips_nothing_else(
    wheel: DeadlineWheel, clock: SettableClock
) -> None:
    victims = [Item() for _ in range(3)]

    class Remover(Item):
        def due(self, now: float) -> float | None:
            for victim in victims:
                wheel.remove(victim)
            return super().due(now)

    remover = Remover()
    for item in (remover, *victims):
        wheel.add(item, clock.seconds + 1)

    run(wheel, clock, 10)

    assert all(item.wheel_slot == -1 for item in victims)
    assert len(remover.calls) == 1
