"""Known assignments in SQLite."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from mooring.gateway.connections.assignments import Assignment
from mooring.storage.database import Database


class SqliteAssignmentStore:
    """Implements `AssignmentStore`."""

    def __init__(self, database: Database) -> None:
        """Use `database`."""
        self._database = database

    async def find(self, pid: str, key: str) -> Assignment | None:
        """Return what is kept for the connection under `key`, or None."""

        def query(sql: sqlite3.Connection) -> Assignment | None:
            row = sql.execute(
                "SELECT assigned_hub, device_id, registered_at, operation_id FROM assignments "
                "WHERE pid = ? AND key = ?",
                (pid, key),
            ).fetchone()
            if row is None:
                return None
            return Assignment(row[0], row[1], datetime.fromisoformat(row[2]), row[3])

        return self._database.read_now(query)

    async def keep(self, pid: str, key: str, assignment: Assignment) -> None:
        """Keep `assignment`, instead of any other of the connection."""

        def work(sql: sqlite3.Connection) -> None:
            sql.execute(
                "INSERT OR REPLACE INTO assignments "
                "(pid, key, assigned_hub, device_id, registered_at, operation_id) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (
                    pid,
                    key,
                    assignment.assigned_hub,
                    assignment.device_id,
                    assignment.registered_at.isoformat(),
                    assignment.operation_id,
                ),
            )

        await self._database.write(work)

    async def forget(self, pid: str) -> None:
        """Drop what is kept for the connection."""

        def work(sql: sqlite3.Connection) -> None:
            sql.execute("DELETE FROM assignments WHERE pid = ?", (pid,))

        await self._database.write(work)
