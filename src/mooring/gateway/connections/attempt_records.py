"""Attempt records as they are kept: identical failures counted, not repeated."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from mooring.runtime.attempts import MAX_WIRE_IDS, Attempt

MAX_RECORDS_PER_CONNECTION = 200
"""Records kept: failures that repeat are one each, so this is weeks of trouble."""

MAX_LISTED = 200
"""Records given in one answer."""


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One attempt, or several that failed alike: `latest` whole, and how many since when."""

    latest: Attempt
    count: int
    first_at: datetime
    last_at: datetime

    def joined(self, attempt: Attempt) -> AttemptRecord:
        """Return this record with `attempt`, which failed alike, counted in."""
        return AttemptRecord(
            latest=replace(attempt, wire_ids=_joined(self.latest.wire_ids, attempt.wire_ids)),
            count=self.count + 1,
            first_at=self.first_at,
            last_at=attempt.finished_at or attempt.started_at,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON-ready values: the newest attempt and how many there were."""
        return {
            **self.latest.to_json(),
            "count": self.count,
            "first_at": self.first_at.isoformat(),
            "last_at": self.last_at.isoformat(),
        }


def record_of(attempt: Attempt) -> AttemptRecord:
    """Return the record of one attempt."""
    return AttemptRecord(attempt, 1, attempt.started_at, attempt.finished_at or attempt.started_at)


def identity_of(attempt: Attempt) -> str:
    """Return what attempts that failed alike share; for any other, what it shares with none."""
    failure = attempt.failure
    if failure is None:
        return attempt.attempt_id
    context = attempt.context
    parts = (
        attempt.kind,
        failure.stage,
        failure.code,
        *(context.get(key, "") for key in ("endpoint", "id_scope", "thumbprint", "hub")),
    )
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()


class AttemptStore(Protocol):
    """Where attempt records outlive the process, within bounds."""

    def add(self, pid: str, attempt: Attempt) -> None:
        """Keep `attempt` of the connection `pid`; written soon, not awaited."""
        ...

    async def list(
        self, pid: str | None, *, limit: int, wire_id: str | None = None
    ) -> list[AttemptRecord]:
        """Return records, newest first; of every connection where `pid` is None."""
        ...

    async def find(self, attempt_id: str) -> AttemptRecord | None:
        """Return the record whose latest attempt has this id, or None."""
        ...


def _joined(
    older: Mapping[str, tuple[str, ...]], newer: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    return {
        kind: tuple(dict.fromkeys((*older.get(kind, ()), *newer.get(kind, ()))))[-MAX_WIRE_IDS:]
        for kind in {**older, **newer}
    }
