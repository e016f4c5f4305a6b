"""Token buckets, by a clock that stands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.cloud.hub.throttling.buckets import TokenBucket


def test_a_full_window_passes_at_once_and_then_the_rate() -> None:
    bucket = TokenBucket(100, 60, 0.0)
    assert [bucket.take(1, 0.0) for _ in range(100)] == [0.0] * 100
    assert bucket.take(1, 0.0) == pytest.approx(0.6)
    assert bucket.take(1, 0.5) == pytest.approx(0.1)
    assert bucket.take(1, 0.6) == 0.0
    assert bucket.take(1, 0.6) > 0


def test_an_idle_bucket_holds_no_more_than_a_window() -> None:
    bucket = TokenBucket(5, 1, 0.0)
    assert bucket.available(1000.0) == 5


def test_more_than_the_bucket_holds_passes_when_it_is_full_and_is_made_up_for() -> None:
    bucket = TokenBucket(5, 1, 0.0)
    assert bucket.take(12, 0.0) == 0.0
    assert bucket.take(1, 0.0) == pytest.approx(8 / 5)  # 7 are owed, 1 is wanted
    assert bucket.take(12, 1.4) > 0  # not full again
    assert bucket.take(12, 2.4) == 0.0


def test_what_is_booked_waits_behind_what_was_booked_before() -> None:
    bucket = TokenBucket(5, 1, 0.0)
    waits = [bucket.book(1, 0.0, longest_s=0.6) for _ in range(9)]
    assert waits[:5] == [0.0] * 5
    assert waits[5:8] == pytest.approx([0.2, 0.4, 0.6])
    assert waits[8] is None  # and takes nothing
    assert bucket.book(1, 0.2, longest_s=0.6) == pytest.approx(0.6)


@given(
    limit=st.integers(1, 50),
    window_s=st.sampled_from([1, 60]),
    steps=st.lists(st.tuples(st.floats(0, 30), st.integers(1, 20)), max_size=60),
)
def test_never_more_than_a_window_beyond_the_rate_passes(
    limit: int, window_s: int, steps: list[tuple[float, int]]
) -> None:
    bucket, now, passed, largest = TokenBucket(limit, window_s, 0.0), 0.0, 0, 0
    for pause_s, count in steps:
        now += pause_s
        largest = max(largest, count)
        if not bucket.take(count, now):
            passed += count
        # A request larger than the bucket passes when it is full.
        assert passed <= limit + now * limit / window_s + max(0, largest - limit) + 1e-6
