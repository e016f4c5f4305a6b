"""Feedback on cloud-to-device messages in SQLite.

A feedback message is the records of one ``batch_key``, which is the key of its first record.
"""

# ruff: noqa: S608 - only column lists of this file are put into statements

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from mooring.cloud.hub.devicebound.model import FeedbackRecord, FeedbackStatus
from mooring.cloud.hub.devicebound.store import FeedbackRow
from mooring.cloud.stores.sqlite.rows import SqliteCommitter, from_us, to_us

_ROW = "batch_key, delivery_count, message_id, status, device_id, generation_id, settled_at"
_BATCH = "hub_id = ? AND batch_key = ?"


class FeedbackTables(SqliteCommitter):
    """The table ``hub_feedback``; `hub_devicebound` writes its rows."""

    async def feedback_batch(
        self,
        hub_id: int,
        *,
        now: datetime,
        ttl: timedelta,
        gathered_before: datetime,
        max_records: int,
        locked: Collection[int],
    ) -> Sequence[FeedbackRow]:
        """Return the oldest feedback message whose key is not `locked`, empty for none."""
        since_us, gathered_us = to_us(now - ttl), to_us(gathered_before)
        keys = json.dumps(list(locked))

        def find(connection: sqlite3.Connection) -> int | None:
            row = connection.execute(
                "SELECT min(batch_key) FROM hub_feedback WHERE hub_id = ? AND settled_at > ?"
                " AND batch_key NOT IN (SELECT value FROM json_each(?))",
                (hub_id, since_us, keys),
            ).fetchone()
            return None if row[0] is None else int(row[0])

        def gathered(connection: sqlite3.Connection) -> list[int]:
            """Return the records that may become a message now."""
            rows = connection.execute(
                "SELECT feedback_key, settled_at FROM hub_feedback WHERE hub_id = ?"
                " AND batch_key IS NULL AND settled_at > ? ORDER BY feedback_key LIMIT ?",
                (hub_id, since_us, max_records),
            ).fetchall()
            is_due = len(rows) == max_records or (rows and rows[0][1] <= gathered_us)
            return [row[0] for row in rows] if is_due else []

        def make(connection: sqlite3.Connection) -> None:
            records = gathered(connection)
            if records:
                connection.execute(
                    "UPDATE hub_feedback SET batch_key = ?"
                    " WHERE feedback_key IN (SELECT value FROM json_each(?))",
                    (records[0], json.dumps(records)),
                )

        batch_key = await self._database.read(find)
        if batch_key is None:
            # A back end that polls costs no write while there is nothing for it.
            if not await self._database.read(gathered):
                return ()
            await self._database.write(make)
            batch_key = await self._database.read(find)
        rows = await self._database.read(
            lambda connection: connection.execute(
                f"SELECT {_ROW} FROM hub_feedback WHERE {_BATCH} AND settled_at > ?"
                " ORDER BY feedback_key",
                (hub_id, batch_key, since_us),
            ).fetchall()
        )
        return [_to_row(row) for row in rows]

    async def settle_feedback(self, hub_id: int, batch_key: int) -> bool:
        """Delete the records of a feedback message; return whether there were any."""

        def run(connection: sqlite3.Connection) -> bool:
            return (
                connection.execute(
                    f"DELETE FROM hub_feedback WHERE {_BATCH}", (hub_id, batch_key)
                ).rowcount
                > 0
            )

        return await self._database.write(run)

    async def give_back_feedback(
        self, hub_id: int, batch_key: int, *, max_delivery_count: int
    ) -> bool:
        """Count one delivery more; at `max_delivery_count` drop it. Return whether it was there."""

        def run(connection: sqlite3.Connection) -> bool:
            batch = (hub_id, batch_key)
            counted = connection.execute(
                f"UPDATE hub_feedback SET delivery_count = delivery_count + 1 WHERE {_BATCH}", batch
            )
            connection.execute(
                f"DELETE FROM hub_feedback WHERE {_BATCH} AND delivery_count >= ?",
                (*batch, max_delivery_count),
            )
            return counted.rowcount > 0

        return await self._database.write(run)

    async def list_feedback(
        self, hub_id: int, *, since: datetime, limit: int
    ) -> Sequence[FeedbackRow]:
        """Return records settled after `since`, oldest first, without changing anything."""
        rows = await self._database.read(
            lambda connection: connection.execute(
                f"SELECT {_ROW} FROM hub_feedback WHERE hub_id = ? AND settled_at > ?"
                " ORDER BY feedback_key LIMIT ?",
                (hub_id, to_us(since), limit),
            ).fetchall()
        )
        return [_to_row(row) for row in rows]

    async def trim_feedback(self, hub_id: int, *, before: datetime, limit: int) -> int:
        """Drop up to `limit` records of `before` or earlier; return how many."""

        def stale(connection: sqlite3.Connection) -> list[int]:
            rows = connection.execute(
                "SELECT feedback_key, settled_at FROM hub_feedback WHERE hub_id = ?"
                " ORDER BY feedback_key LIMIT ?",
                (hub_id, limit),
            )
            return [row[0] for row in rows if row[1] <= to_us(before)]

        keys = await self._database.read(stale)
        if keys:
            await self._database.write(
                lambda connection: connection.execute(
                    "DELETE FROM hub_feedback"
                    " WHERE feedback_key IN (SELECT value FROM json_each(?))",
                    (json.dumps(keys),),
                )
            )
        return len(keys)


def _to_row(row: tuple[Any, ...]) -> FeedbackRow:
    return FeedbackRow(
        batch_key=row[0],
        delivery_count=row[1],
        record=FeedbackRecord(
            original_message_id=row[2],
            status=FeedbackStatus(row[3]),
            device_id=row[4],
            device_generation_id=row[5],
            enqueued_at=from_us(row[6]),
        ),
    )
