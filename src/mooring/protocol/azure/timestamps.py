"""Times on Azure's wire: ISO 8601, UTC, seven digits of fraction (100 ns ticks)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from mooring.protocol.azure.errors import TimestampMalformed, quoted

UNSET_TIMESTAMP = "0001-01-01T00:00:00Z"
"""How IoT Hub spells "never": .NET's smallest date, not null."""

# Ten or more digits of fraction carry no meaning anywhere; the bound keeps the match small.
_TIMESTAMP = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?"
    r"(?:([Zz])|([+-])(\d{2}):(\d{2}))",
    re.ASCII,
)


def format_timestamp(at: datetime) -> str:
    """Return `at` as Azure writes it, e.g. ``"2030-02-03T04:05:06.1234560Z"``.

    One dot, seven digits, ``Z``: the Java SDK splits on the dot and reads at most three digits
    after it, .NET reads all seven.

    Raises:
        ValueError: `at` is naive.
    """
    if at.tzinfo is None:
        raise ValueError("a timestamp needs a time zone")
    text = at.astimezone(UTC).isoformat(timespec="microseconds")
    return f"{text.removesuffix('+00:00')}0Z"


def parse_timestamp(text: str, *, field: str = "timestamp") -> datetime:
    """Return the aware UTC time that `text` names; digits beyond microseconds are cut off.

    Raises:
        TimestampMalformed: Not ISO 8601 with a zone, or no such date; names `field`.
    """
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        raise _malformed(text, field)
    year, month, day, hour, minute, second, fraction, _, sign, zone_h, zone_min = match.groups()
    microsecond = int((fraction or "").ljust(6, "0")[:6])
    try:
        at = datetime(
            int(year), int(month), int(day), int(hour), int(minute), int(second), microsecond, UTC
        )
        if sign is not None:
            offset = timedelta(hours=int(zone_h), minutes=int(zone_min))
            at = at - offset if sign == "+" else at + offset
    except (ValueError, OverflowError) as error:
        raise _malformed(text, field) from error
    return at


def _malformed(text: str, field: str) -> TimestampMalformed:
    return TimestampMalformed(
        f"{field} {quoted(text)} is not a time with a zone",
        remedy="Write it like 2030-02-03T04:05:06.1234567Z.",
        field=field,
    )
