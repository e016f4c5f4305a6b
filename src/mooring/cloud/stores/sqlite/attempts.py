"""Attempt records in SQLite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from mooring.cloud.attempts.model import (
    MAX_RECORDS,
    MAX_RECORDS_PER_ADDRESS,
    AttemptFilter,
    AttemptRecord,
    joined_wire_ids,
)
from mooring.cloud.stores.sqlite.rows import (
    MICROSECOND,
    from_us,
    from_us_or_none,
    to_us,
    to_us_or_none,
)
from mooring.protocol.azure.identifiers import fold_registration_id as fold
from mooring.runtime.attempts import Attempt, Failure, Stage
from mooring.storage.database import Database

_SELECT = "SELECT identity, position, count, first_at, last_at, document, wire_ids FROM attempt"
_UPSERT = (
    "INSERT INTO attempt (identity, position, kind, registration_key, device_id, thumbprint,"
    " source_address, result, count, first_at, last_at, document, wire_ids)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (identity) DO UPDATE SET position = excluded.position,"
    " count = count + excluded.count, last_at = excluded.last_at,"
    " document = excluded.document,"
    " wire_ids = CASE excluded.wire_ids WHEN '{}' THEN wire_ids ELSE excluded.wire_ids END"
)
_NO_IDS = "{}"
IDENTITIES_AT_ONCE = 500
"""Looked up by one statement; SQLite takes 32,766 values."""

_dump = json.JSONEncoder(separators=(",", ":")).encode
# The newest rows stay: of one address, and of all.
_TRIM_ADDRESS = (
    "DELETE FROM attempt WHERE source_address = ? AND position <="
    " (SELECT position FROM attempt WHERE source_address = ?"
    " ORDER BY position DESC LIMIT 1 OFFSET ?)"
)
_TRIM_ALL = (
    "DELETE FROM attempt WHERE position <="
    " (SELECT position FROM attempt ORDER BY position DESC LIMIT 1 OFFSET ?)"
)


class SqliteAttemptStore:
    """The table ``attempt``."""

    def __init__(
        self,
        database: Database,
        *,
        max_records: int = MAX_RECORDS,
        max_records_per_address: int = MAX_RECORDS_PER_ADDRESS,
    ) -> None:
        """Keep at most so many records in all and per source address."""
        self._database = database
        self._max_records = max_records
        self._max_records_per_address = max_records_per_address

    async def add(self, records: Sequence[AttemptRecord]) -> None:
        """Count `records` in with what is kept, then drop the oldest beyond the bounds."""
        size_bytes = 2048 * len(records)
        await self._database.write(
            lambda connection: self._add(connection, records), size_bytes=size_bytes
        )

    async def list(
        self, wanted: AttemptFilter, *, limit: int, before: int | None
    ) -> tuple[list[AttemptRecord], int | None]:
        """Return up to `limit` records, newest first, and where the next page starts."""
        conditions, values = _conditions(wanted)
        if before is not None:
            conditions.append("position < ?")
            values.append(before)
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        rows = await self._database.read(
            lambda connection: connection.execute(
                f"{_SELECT}{where} ORDER BY position DESC LIMIT ?", (*values, limit + 1)
            ).fetchall()
        )
        records = [_to_record(row) for row in rows[:limit]]
        return records, rows[limit - 1][1] if len(rows) > limit else None

    def _add(self, connection: sqlite3.Connection, records: Sequence[AttemptRecord]) -> None:
        (position,) = connection.execute("SELECT MAX(position) FROM attempt").fetchone()
        kept = _kept_ids(connection, records)
        rows = [
            _to_row(record, (position or 0) + number, _joined_ids(record, kept))
            for number, record in enumerate(records, 1)
        ]
        connection.executemany(_UPSERT, rows)
        for address in {record.source_address for record in records}:
            connection.execute(_TRIM_ADDRESS, (address, address, self._max_records_per_address))
        connection.execute(_TRIM_ALL, (self._max_records,))


def _conditions(wanted: AttemptFilter) -> tuple[list[str], list[Any]]:
    conditions: list[str] = []
    values: list[Any] = []
    for condition, value in (
        ("registration_key = ?", wanted.registration_id and fold(wanted.registration_id)),
        ("device_id = ?", wanted.device_id),
        ("thumbprint = ?", wanted.thumbprint and wanted.thumbprint.upper()),
        ("kind = ?", wanted.kind),
        ("result = ?", wanted.result),
        ("source_address = ?", wanted.source_address),
        # Ids on the wire are many and rarely looked for: their text is searched.
        ("instr(wire_ids, ?)", wanted.wire_id and json.dumps(wanted.wire_id)),
    ):
        if value is not None:
            conditions.append(condition)
            values.append(value)
    return conditions, values


def _kept_ids(connection: sqlite3.Connection, records: Sequence[AttemptRecord]) -> dict[bytes, str]:
    """Return the wire ids (JSON) that are kept of `records`, by identity."""
    identities = [record.identity for record in records if record.latest.wire_ids]
    kept: dict[bytes, str] = {}
    for start in range(0, len(identities), IDENTITIES_AT_ONCE):
        some = identities[start : start + IDENTITIES_AT_ONCE]
        marks = ", ".join("?" * len(some))
        query = f"SELECT identity, wire_ids FROM attempt WHERE identity IN ({marks})"  # noqa: S608 - marks
        kept.update(connection.execute(query, some).fetchall())
    return kept


def _joined_ids(record: AttemptRecord, kept: Mapping[bytes, str]) -> str:
    """Return the wire ids of `record` behind those that are kept of it, as JSON."""
    newer = record.latest.wire_ids
    if not newer:
        return _NO_IDS  # the statement leaves those that are kept
    older = kept.get(record.identity, _NO_IDS)
    return _dump(joined_wire_ids(json.loads(older), newer) if older != _NO_IDS else newer)


def _to_row(record: AttemptRecord, position: int, wire_ids: str) -> tuple[Any, ...]:
    latest = record.latest
    context = latest.context
    registration_id = context.get("registration_id")
    return (
        record.identity,
        position,
        latest.kind,
        None if registration_id is None else fold(registration_id),
        context.get("device_id"),
        context.get("thumbprint"),
        record.source_address,
        latest.result,
        record.count,
        to_us(record.first_at),
        to_us(record.last_at),
        _dump_attempt(latest),
        wire_ids,
    )


def _to_record(row: Sequence[Any]) -> AttemptRecord:
    identity, _, count, first_at, last_at, document, wire_ids = row
    return AttemptRecord(
        identity=identity,
        latest=_load_attempt(document, wire_ids),
        count=count,
        first_at=from_us(first_at),
        last_at=from_us(last_at),
    )


def _dump_attempt(attempt: Attempt) -> str:
    """Return `attempt` without its wire ids as JSON; times are microseconds, stages lists.

    There is one for each device that comes, so that its size and what it costs count.
    """
    began, failure = attempt.started_at, attempt.failure
    return _dump(
        {
            "attempt_id": attempt.attempt_id,
            "kind": attempt.kind,
            "started_at": to_us(began),
            "finished_at": to_us_or_none(attempt.finished_at),
            "stages": [
                (
                    stage.name,
                    (stage.started_at - began) // MICROSECOND,
                    round(stage.duration_ms * 1000),
                    stage.outcome,
                    stage.detail,
                )
                for stage in attempt.stages
            ],
            "failure": None
            if failure is None
            else (failure.stage, failure.code, failure.cause, failure.remedy),
            "context": dict(attempt.context),
        }
    )


def _load_attempt(document: str, wire_ids: str) -> Attempt:
    """Return what `_dump_attempt` wrote, or the JSON of an attempt, which was kept formerly."""
    kept = json.loads(document)
    ids = json.loads(wire_ids)
    if isinstance(kept["started_at"], str):
        return Attempt.from_json(kept | {"wire_ids": ids})
    began = from_us(kept["started_at"])
    return Attempt(
        attempt_id=kept["attempt_id"],
        kind=kept["kind"],
        started_at=began,
        finished_at=from_us_or_none(kept["finished_at"]),
        stages=tuple(
            Stage(name, began + offset * MICROSECOND, us / 1000, outcome, detail)
            for name, offset, us, outcome, detail in kept["stages"]
        ),
        failure=None if kept["failure"] is None else Failure(*kept["failure"]),
        context=kept["context"],
        wire_ids={kind: tuple(some) for kind, some in ids.items()},
    )
