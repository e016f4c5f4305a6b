"""A clock that stands until it is told to move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class StandingClock:
    """Implements `mooring.runtime.clock.Clock`."""

    def __init__(self, now: datetime | None = None) -> None:
        self._now = now or datetime.now(UTC).replace(microsecond=0)
        self._monotonic = 1000.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def move(self, by: timedelta) -> None:
        self._now += by
        self._monotonic += by.total_seconds()
