"""Durations on Azure's wire: ISO 8601, without years and months, which have no fixed length."""

from __future__ import annotations

import re
from datetime import timedelta

from mooring.protocol.azure.errors import DurationMalformed, quoted

_DURATION = re.compile(
    r"P(?:(?P<days>\d{1,6})D)?(?:T(?=\d)(?:(?P<hours>\d{1,6})H)?(?:(?P<minutes>\d{1,6})M)?"
    r"(?:(?P<seconds>\d{1,9}(?:\.\d{1,6})?)S)?)?",
    re.ASCII,
)


def format_duration(duration: timedelta) -> str:
    """Return `duration`, not negative, e.g. ``"PT1H"`` or ``"P1DT30S"``."""
    hours, rest = divmod(duration.seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    fraction = f".{duration.microseconds:06d}".rstrip("0") if duration.microseconds else ""
    time = (
        (f"{hours}H" if hours else "")
        + (f"{minutes}M" if minutes else "")
        + (f"{seconds}{fraction}S" if seconds or fraction else "")
    )
    days = f"{duration.days}D" if duration.days else ""
    if not days and not time:
        return "PT0S"
    return f"P{days}{'T' if time else ''}{time}"


def parse_duration(text: str, *, field: str = "duration") -> timedelta:
    """Return the duration that `text` names.

    Raises:
        DurationMalformed: It is not ISO 8601, or has years or months; names `field`.
    """
    match = _DURATION.fullmatch(text)
    if match is None or text in {"P", "PT"}:
        raise DurationMalformed(
            f"{field} {quoted(text)} is not a duration",
            remedy="Write it like PT1H, PT90S or P1DT12H.",
            field=field,
        )
    parts = {name: float(value) for name, value in match.groupdict().items() if value}
    return timedelta(**parts)
