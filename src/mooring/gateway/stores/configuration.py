"""Connections and snapshots in SQLite."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime

from mooring.gateway.configuration.model import Snapshot, StoredConnection
from mooring.runtime.clock import Clock
from mooring.storage.database import Database

SNAPSHOTS_KEPT = 10
"""Kura's default, `kura.snapshots.count`."""


class SqliteConfigurationStore:
    """Implements `ConfigurationStore`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        """Use `database`; snapshots are dated by `clock`."""
        self._database = database
        self._clock = clock

    async def load(self) -> list[StoredConnection]:
        """Return all connections, ordered by PID."""
        return await self._database.read(_all)

    async def save(self, connection: StoredConnection) -> Snapshot:
        """Insert or replace `connection`; return the snapshot that this made."""

        def work(sql: sqlite3.Connection) -> Snapshot:
            sql.execute(
                "INSERT INTO connections (pid, factory_pid, created_at, entry_id, tabs) "
                "VALUES (?, ?, ?, ?, ?) ON CONFLICT (pid) DO UPDATE SET "
                "factory_pid = excluded.factory_pid, entry_id = excluded.entry_id, "
                "tabs = excluded.tabs",
                (
                    connection.pid,
                    connection.factory_pid,
                    connection.created_at.isoformat(),
                    connection.entry_id,
                    json.dumps({name: dict(values) for name, values in connection.tabs.items()}),
                ),
            )
            return self._take_snapshot(sql)

        return await self._database.write(work)

    async def remove(self, pid: str) -> Snapshot:
        """Delete the connection and all that is kept for it; return the snapshot made."""

        def work(sql: sqlite3.Connection) -> Snapshot:
            sql.execute("DELETE FROM connections WHERE pid = ?", (pid,))
            sql.execute("DELETE FROM assignments WHERE pid = ?", (pid,))
            sql.execute("DELETE FROM attempts WHERE pid = ?", (pid,))
            return self._take_snapshot(sql)

        return await self._database.write(work)

    async def latest_snapshot(self) -> Snapshot | None:
        """Return the newest snapshot, or None before the first change."""

        def query(sql: sqlite3.Connection) -> Snapshot | None:
            row = sql.execute(
                "SELECT snapshot_id, taken_at FROM snapshots ORDER BY snapshot_id DESC LIMIT 1"
            ).fetchone()
            return None if row is None else Snapshot(row[0], datetime.fromisoformat(row[1]))

        return await self._database.read(query)

    def _take_snapshot(self, sql: sqlite3.Connection) -> Snapshot:
        """Keep the whole configuration as it is inside this transaction, without secrets."""
        taken_at = self._clock.now()
        document = [
            {
                "pid": c.pid,
                "factory_pid": c.factory_pid,
                "tabs": {k: dict(v) for k, v in c.tabs.items()},
            }
            for c in _all(sql)
        ]
        cursor = sql.execute(
            "INSERT INTO snapshots (taken_at, document) VALUES (?, ?)",
            (taken_at.isoformat(), json.dumps(document)),
        )
        assert cursor.lastrowid is not None
        sql.execute(
            "DELETE FROM snapshots WHERE snapshot_id <= ?", (cursor.lastrowid - SNAPSHOTS_KEPT,)
        )
        return Snapshot(cursor.lastrowid, taken_at)


def _all(sql: sqlite3.Connection) -> list[StoredConnection]:
    rows = sql.execute(
        "SELECT pid, factory_pid, created_at, entry_id, tabs FROM connections ORDER BY pid"
    )
    return [
        StoredConnection(
            pid=pid,
            factory_pid=factory_pid,
            created_at=datetime.fromisoformat(created_at),
            tabs=json.loads(tabs),
            entry_id=entry_id,
        )
        for pid, factory_pid, created_at, entry_id, tabs in rows
    ]
