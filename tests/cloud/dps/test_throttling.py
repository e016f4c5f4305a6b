"""Azure's limits on rates, by a clock that the test turns."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.support.clocks import StandingClock

from mooring.cloud.dps.errors import Throttled
from mooring.cloud.dps.throttling import (
    POLLS,
    REGISTRATIONS,
    SERVICE_OPERATIONS,
    Throttling,
    ThrottlingMode,
)


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
def throttling(clock: StandingClock) -> Throttling:
    return Throttling(ThrottlingMode.AZURE, clock=clock)


def retry_after(error: pytest.ExceptionInfo[Throttled]) -> int:
    return error.value.retry_after_s


def test_figures_are_azures() -> None:
    assert (REGISTRATIONS.limit, REGISTRATIONS.window_s) == (1000, 60)
    assert (SERVICE_OPERATIONS.limit, SERVICE_OPERATIONS.window_s) == (1000, 60)
    assert (POLLS.limit, POLLS.window_s) == (5, 10)


def test_off_lets_everything_through(clock: StandingClock) -> None:
    throttling = Throttling(clock=clock)
    for _ in range(2000):
        throttling.admit_registration()
        throttling.admit_service_operation()
        throttling.admit_poll("gw")
    assert throttling.polling_devices == 0


def test_sixth_poll_of_a_device_in_ten_seconds_waits_for_the_first_to_be_past(
    throttling: Throttling, clock: StandingClock
) -> None:
    for _ in range(5):
        throttling.admit_poll("gw")
        clock.move(timedelta(seconds=1))
    with pytest.raises(Throttled) as error:
        throttling.admit_poll("GW")  # ids ignore case

    assert retry_after(error) == 5
    assert error.value.error_code == 429001
    assert error.value.wire_message == "Throttled."
    clock.move(timedelta(seconds=4.9))
    with pytest.raises(Throttled) as error:
        throttling.admit_poll("gw")
    assert retry_after(error) == 2  # less would be raised to 2 by .NET and Java
    clock.move(timedelta(seconds=0.1))
    throttling.admit_poll("gw")


def test_poll_that_was_refused_is_not_counted(throttling: Throttling, clock: StandingClock) -> None:
    for _ in range(5):
        throttling.admit_poll("gw")
    clock.move(timedelta(seconds=9))
    for _ in range(10):
        with pytest.raises(Throttled):
            throttling.admit_poll("gw")
    clock.move(timedelta(seconds=1))
    for _ in range(5):
        throttling.admit_poll("gw")


def test_polls_of_one_device_leave_others_alone(throttling: Throttling) -> None:
    for _ in range(5):
        throttling.admit_poll("gw")
    throttling.admit_poll("gw2")


@pytest.mark.parametrize("kind", ["admit_registration", "admit_service_operation"])
def test_thousand_in_any_minute_and_no_more(
    throttling: Throttling, clock: StandingClock, kind: str
) -> None:
    admit = getattr(throttling, kind)
    for _ in range(500):
        admit()
    clock.move(timedelta(seconds=30))
    for _ in range(500):
        admit()
    with pytest.raises(Throttled) as error:
        admit()
    assert retry_after(error) == 5
    clock.move(timedelta(seconds=30))
    for _ in range(500):  # those of the first half minute are past
        admit()
    with pytest.raises(Throttled):
        admit()


def test_registrations_and_service_operations_are_counted_apart(throttling: Throttling) -> None:
    for _ in range(1000):
        throttling.admit_registration()
    throttling.admit_service_operation()


def test_devices_that_poll_no_more_are_forgotten(
    throttling: Throttling, clock: StandingClock
) -> None:
    for number in range(100):
        throttling.admit_poll(f"gw{number}")
    assert throttling.polling_devices == 100
    clock.move(timedelta(seconds=10))
    throttling.admit_poll("another")

    assert throttling.polling_devices == 1


def test_devices_beyond_the_bound_push_the_oldest_out(clock: StandingClock) -> None:
    throttling = Throttling(ThrottlingMode.AZURE, clock=clock, max_polling_devices=10)
    for _ in range(5):
        throttling.admit_poll("first")
    for number in range(10):
        throttling.admit_poll(f"gw{number}")

    assert throttling.polling_devices == 10
    throttling.admit_poll("first")
