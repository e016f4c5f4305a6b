"""Keep-alive arithmetic."""

from __future__ import annotations

import pytest

from mooring.protocol.mqtt import KeepAlive, silence_limit_s


@pytest.mark.parametrize(
    ("keep_alive_s", "cap_s", "limit_s"),
    [(60, None, 90.0), (1177, 1767, 1765.5), (1740, 1767, 1767), (0, None, None), (0, 1767, 1767)],
)
def test_silence_limit_is_one_and_a_half_intervals_below_the_cap(
    keep_alive_s: int, cap_s: float | None, limit_s: float | None
) -> None:
    assert silence_limit_s(keep_alive_s, cap_s=cap_s) == limit_s


def test_ping_is_due_one_interval_after_the_last_sent_or_received() -> None:
    keep_alive = KeepAlive(60, now=100.0)
    assert keep_alive.next_ping_due() == 160.0
    keep_alive.sent(120.0)
    assert keep_alive.next_ping_due() == 160.0
    keep_alive.received(130.0)
    assert keep_alive.next_ping_due() == 180.0


def test_open_ping_waits_for_any_bytes_of_the_server() -> None:
    keep_alive = KeepAlive(60, now=100.0)
    assert keep_alive.answer_due() is None
    keep_alive.ping_sent(160.0)
    assert keep_alive.next_ping_due() is None
    assert keep_alive.answer_due() == 190.0
    keep_alive.sent(170.0)
    assert keep_alive.answer_due() == 190.0
    keep_alive.received(171.0)
    assert keep_alive.answer_due() is None
    assert keep_alive.next_ping_due() == 230.0


def test_answer_time_given_is_used() -> None:
    keep_alive = KeepAlive(60, now=0.0, answer_s=5)
    keep_alive.ping_sent(60.0)
    assert keep_alive.answer_due() == 65.0


def test_keep_alive_0_never_pings() -> None:
    keep_alive = KeepAlive(0, now=0.0)
    assert keep_alive.next_ping_due() is None
    assert keep_alive.answer_due() is None


@pytest.mark.parametrize("interval_s", [-1, 65536])
def test_interval_out_of_range_is_refused(interval_s: int) -> None:
    with pytest.raises(ValueError, match="keep-alive"):
        KeepAlive(interval_s, now=0.0)
