"""Another client with the same identity, recognised from how connections end."""

from __future__ import annotations

import pytest

from mooring.gateway.connections.closures import (
    CLOSED_BY_SERVER,
    CONNECTION_LOST,
    SHORT_LIFE_S,
    TAKEN_OVER,
    WINDOW_S,
    ClosureHistory,
)
from mooring.gateway.connections.model import Fault


def lost(code: str) -> Fault:
    return Fault("connected", code, "It ended.", "Wait.")


@pytest.mark.parametrize("code", [CLOSED_BY_SERVER, CONNECTION_LOST])
def test_second_short_connection_when_closed_by_the_hub_is_a_take_over(code: str) -> None:
    history = ClosureHistory()
    assert history.judge(lost(code), connected_s=2, now_s=10).code == code
    fault = history.judge(lost(code), connected_s=3, now_s=20)
    assert (fault.code, fault.stage, fault.permanent) == (TAKEN_OVER, "connected", False)
    assert "3 s" in fault.cause


@pytest.mark.parametrize(
    ("code", "connected_s", "now_s"),
    [
        ("server-silent", 2, 20),
        (CLOSED_BY_SERVER, SHORT_LIFE_S, 80),
        (CLOSED_BY_SERVER, 2, 10 + WINDOW_S + 1),
    ],
)
def test_second_loss_when_of_another_kind_long_lived_or_late_is_what_it_is(
    code: str, connected_s: float, now_s: float
) -> None:
    history = ClosureHistory()
    history.judge(lost(CLOSED_BY_SERVER), connected_s=2, now_s=10)
    assert history.judge(lost(code), connected_s=connected_s, now_s=now_s).code == code


def test_long_connection_when_between_two_short_ones_clears_the_suspicion() -> None:
    history = ClosureHistory()
    history.judge(lost(CLOSED_BY_SERVER), connected_s=2, now_s=10)
    history.judge(lost(CLOSED_BY_SERVER), connected_s=SHORT_LIFE_S * 2, now_s=100)
    fault = history.judge(lost(CLOSED_BY_SERVER), connected_s=2, now_s=110)
    assert fault.code == CLOSED_BY_SERVER
