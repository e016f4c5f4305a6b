"""Attempt records in SQLite, bounded per connection."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from mooring.gateway.connections.attempt_records import (
    MAX_RECORDS_PER_CONNECTION,
    AttemptRecord,
    identity_of,
    record_of,
)
from mooring.runtime.attempts import Attempt
from mooring.runtime.logs import get_logger
from mooring.storage.database import Database
from mooring.storage.errors import StorageUnavailable

_log = get_logger("gateway.stores")

_COLUMNS = "document, count, first_at, last_at"


class SqliteAttemptStore:
    """Implements `AttemptStore`."""

    def __init__(self, database: Database) -> None:
        """Use `database`."""
        self._database = database
        self._unwritten: set[asyncio.Future[None]] = set()

    def add(self, pid: str, attempt: Attempt) -> None:
        """Keep `attempt` of the connection `pid`; written soon, not awaited."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._unwritten.add(written)

        def done(_: None, error: BaseException | None) -> None:
            self._unwritten.discard(written)
            if not written.done():
                written.set_result(None)
            if error is not None:
                # A record is a help, not a promise: the connection goes on without it.
                _log.warning("attempt record lost", reason=str(error))

        try:
            self._database.submit(lambda sql: _add(sql, pid, attempt), done)
        except StorageUnavailable as error:
            done(None, error)

    async def list(
        self, pid: str | None, *, limit: int, wire_id: str | None = None
    ) -> list[AttemptRecord]:
        """Return records, newest first; of every connection where `pid` is None."""
        conditions, arguments = ["TRUE"], []
        if pid is not None:
            conditions.append("pid = ?")
            arguments.append(pid)
        if wire_id is not None:
            conditions.append("instr(document, ?) > 0")
            arguments.append(json.dumps(wire_id))

        def query(sql: sqlite3.Connection) -> list[AttemptRecord]:
            return _records(
                sql.execute(
                    f"SELECT {_COLUMNS} FROM attempts WHERE {' AND '.join(conditions)} "  # noqa: S608 - fixed texts
                    "ORDER BY seq DESC LIMIT ?",
                    (*arguments, limit),
                )
            )

        await self._settle()
        return await self._database.read(query)

    async def find(self, attempt_id: str) -> AttemptRecord | None:
        """Return the record whose latest attempt has this id, or None."""

        def query(sql: sqlite3.Connection) -> list[AttemptRecord]:
            return _records(
                sql.execute(f"SELECT {_COLUMNS} FROM attempts WHERE attempt_id = ?", (attempt_id,))  # noqa: S608 - fixed texts
            )

        await self._settle()
        found = await self._database.read(query)
        return found[0] if found else None

    async def _settle(self) -> None:
        """Wait for what was added before, so that a reader sees the attempt that just ended."""
        if self._unwritten:
            await asyncio.wait(set(self._unwritten))


def _add(sql: sqlite3.Connection, pid: str, attempt: Attempt) -> None:
    identity = identity_of(attempt)
    alike = _records(
        sql.execute(
            f"SELECT {_COLUMNS} FROM attempts WHERE pid = ? AND identity = ?",  # noqa: S608 - fixed texts
            (pid, identity),
        )
    )
    record = alike[0].joined(attempt) if alike else record_of(attempt)
    sql.execute("DELETE FROM attempts WHERE pid = ? AND identity = ?", (pid, identity))
    sql.execute(
        "INSERT INTO attempts (attempt_id, pid, identity, count, first_at, last_at, document) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            attempt.attempt_id,
            pid,
            identity,
            record.count,
            record.first_at.isoformat(),
            record.last_at.isoformat(),
            json.dumps(record.latest.to_json()),
        ),
    )
    sql.execute(
        "DELETE FROM attempts WHERE pid = ? AND seq <= (SELECT seq FROM attempts WHERE pid = ? "
        "ORDER BY seq DESC LIMIT 1 OFFSET ?)",
        (pid, pid, MAX_RECORDS_PER_CONNECTION),
    )


def _records(rows: Iterable[tuple[Any, ...]]) -> list[AttemptRecord]:
    return [
        AttemptRecord(
            latest=Attempt.from_json(json.loads(document)),
            count=count,
            first_at=datetime.fromisoformat(first_at),
            last_at=datetime.fromisoformat(last_at),
        )
        for document, count, first_at, last_at in rows
    ]
