"""Times on the wire."""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.protocol.azure.errors import TimestampMalformed
from mooring.protocol.azure.timestamps import UNSET_TIMESTAMP, format_timestamp, parse_timestamp

AT = datetime(2030, 2, 3, 4, 5, 6, 123456, UTC)


def test_format_gives_seven_digits_and_z() -> None:
    assert format_timestamp(AT) == "2030-02-03T04:05:06.1234560Z"
    assert format_timestamp(AT.replace(microsecond=0)) == "2030-02-03T04:05:06.0000000Z"
    assert format_timestamp(datetime(1, 1, 1, tzinfo=UTC)) == "0001-01-01T00:00:00.0000000Z"


def test_format_when_zone_is_another_converts_to_utc() -> None:
    east = AT.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert format_timestamp(east) == format_timestamp(AT)


def test_format_when_naive_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        format_timestamp(AT.replace(tzinfo=None))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2030-02-03T04:05:06.1234567Z", AT),
        ("2030-02-03T04:05:06.123456Z", AT),
        ("2030-02-03T04:05:06Z", AT.replace(microsecond=0)),
        ("2030-02-03T04:05:06.1Z", AT.replace(microsecond=100000)),
        ("2030-02-03t05:05:06.1234567+01:00", AT),
        ("2030-02-02T22:35:06.123456789-05:30", AT),
        (UNSET_TIMESTAMP, datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_parse_when_azure_writes_it_reads_it(text: str, expected: datetime) -> None:
    assert parse_timestamp(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2030-02-03",
        "2030-02-03T04:05:06",
        "2030-02-03 04:05:06Z",
        "2030-02-30T04:05:06Z",
        "2030-02-03T25:05:06Z",
        "2030-02-03T04:05:06.Z",
        "2030-02-03T04:05:06.1234567890Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "٢٠٣٠-02-03T04:05:06Z",
        "2030-02-03T04:05:06Z\n",
    ],
)
def test_parse_when_not_a_time_names_the_field(text: str) -> None:
    with pytest.raises(TimestampMalformed, match="createdDateTimeUtc") as refusal:
        parse_timestamp(text, field="createdDateTimeUtc")
    assert refusal.value.field == "createdDateTimeUtc"


@given(st.datetimes(timezones=st.just(UTC)))
def test_time_when_formatted_parses_back(at: datetime) -> None:
    text = format_timestamp(at)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z", text)
    assert parse_timestamp(text) == at


@given(st.text(max_size=40) | st.text("0123456789-:.TZ+", max_size=40))
def test_parse_when_text_is_arbitrary_raises_nothing_else(text: str) -> None:
    with contextlib.suppress(TimestampMalformed):
        parse_timestamp(text)
