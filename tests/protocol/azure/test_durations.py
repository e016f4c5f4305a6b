"""ISO 8601 durations."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.protocol.azure.durations import format_duration, parse_duration
from mooring.protocol.azure.errors import DurationMalformed

DURATIONS = st.timedeltas(timedelta(0), timedelta(days=99_999))


@given(DURATIONS)
def test_duration_is_read_back_as_it_was_written(duration: timedelta) -> None:
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("PT1H", timedelta(hours=1)),
        ("PT60S", timedelta(minutes=1)),
        ("P2D", timedelta(days=2)),
        ("P1DT2H3M4.5S", timedelta(days=1, hours=2, minutes=3, seconds=4.5)),
        ("PT0S", timedelta(0)),
    ],
)
def test_duration_means_what_iso_8601_says(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    "text", ["", "P", "PT", "1H", "PT1", "P1DT", "P1Y", "P1M", "-PT1H", "PT1H1H"]
)
def test_text_that_is_no_duration_is_refused_by_name(text: str) -> None:
    with pytest.raises(DurationMalformed, match="ttl"):
        parse_duration(text, field="ttl")
