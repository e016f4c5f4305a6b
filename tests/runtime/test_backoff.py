"""Back-off: bounds, growth, hints."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.runtime.backoff import Backoff


def test_next_delay_when_failures_follow_doubles_up_to_the_cap() -> None:
    backoff = Backoff(base_s=2, cap_s=10, uniform=lambda _low, high: high)

    assert [backoff.next_delay_s() for _ in range(5)] == [2, 4, 8, 10, 10]


def test_next_delay_when_reset_starts_again() -> None:
    backoff = Backoff(base_s=2, cap_s=10, uniform=lambda _low, high: high)
    backoff.next_delay_s()
    backoff.next_delay_s()

    backoff.reset()

    assert backoff.next_delay_s() == 2


@given(st.floats(0.1, 600), st.integers(0, 100))
def test_next_delay_when_server_gives_a_hint_is_never_shorter(hint: float, failures: int) -> None:
    backoff = Backoff(base_s=1, cap_s=30)
    backoff.failures = failures

    assert backoff.next_delay_s(retry_after_s=hint) >= hint


@given(st.integers(0, 10_000))
def test_next_delay_whatever_the_failures_stays_within_half_base_and_cap(failures: int) -> None:
    backoff = Backoff(base_s=1, cap_s=30)
    backoff.failures = failures

    assert 0.5 <= backoff.next_delay_s() <= 30


@pytest.mark.parametrize(("base_s", "cap_s"), [(0, 1), (-1, 1), (2, 1)])
def test_backoff_when_bounds_contradict_is_refused(base_s: float, cap_s: float) -> None:
    with pytest.raises(ValueError, match="back-off needs"):
        Backoff(base_s=base_s, cap_s=cap_s)
