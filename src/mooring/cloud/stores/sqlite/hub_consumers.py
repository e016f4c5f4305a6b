"""Consumer groups in SQLite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from mooring.cloud.hub.consumers.model import DEFAULT_GROUP, ConsumerGroup
from mooring.cloud.preconditions import RecordExists, RecordsFull
from mooring.cloud.stores.sqlite.rows import SqliteCommitter, from_us, to_us


class ConsumerTables(SqliteCommitter):
    """The table ``hub_consumer_group``."""

    async def add_group(
        self,
        hub_id: int,
        name: str,
        positions: Mapping[int, int],
        created_at: datetime,
        *,
        limit: int,
    ) -> None:
        """Create a group."""

        def run(connection: sqlite3.Connection) -> None:
            (count,) = connection.execute(
                "SELECT count(*) FROM hub_consumer_group WHERE hub_id = ? AND name != ?",
                (hub_id, DEFAULT_GROUP),
            ).fetchone()
            if _find(connection, hub_id, name) is not None:
                raise RecordExists
            if count >= limit:
                raise RecordsFull
            connection.execute(
                "INSERT INTO hub_consumer_group (hub_id, name_key, name, positions, created_at)"
                " VALUES (?, ?, ?, ?, ?)",
                (hub_id, name.lower(), name, _dump(positions), to_us(created_at)),
            )

        await self._database.write(run)

    async def find_group(self, hub_id: int, name: str) -> ConsumerGroup | None:
        """Return one, by its name in any case."""
        return await self._database.read(lambda connection: _find(connection, hub_id, name))

    async def list_groups(self, hub_id: int) -> Sequence[ConsumerGroup]:
        """Return all of a hub, by name."""
        rows = await self._database.read(
            lambda connection: connection.execute(
                "SELECT name, positions, created_at FROM hub_consumer_group"
                " WHERE hub_id = ? ORDER BY name_key",
                (hub_id,),
            ).fetchall()
        )
        return [_to_group(row) for row in rows]

    async def delete_group(self, hub_id: int, name: str) -> bool:
        """Delete one; return whether it was there."""
        return await self._database.write(
            lambda connection: bool(
                connection.execute(
                    "DELETE FROM hub_consumer_group WHERE hub_id = ? AND name_key = ?",
                    (hub_id, name.lower()),
                ).rowcount
            )
        )

    async def save_positions(self, hub_id: int, name: str, positions: Mapping[int, int]) -> bool:
        """Set positions, those of other partitions stay; return whether the group is there."""

        def run(connection: sqlite3.Connection) -> bool:
            former = _find(connection, hub_id, name)
            if former is None:
                return False
            connection.execute(
                "UPDATE hub_consumer_group SET positions = ? WHERE hub_id = ? AND name_key = ?",
                (_dump({**former.positions, **positions}), hub_id, name.lower()),
            )
            return True

        return await self._database.write(run)


def _find(connection: sqlite3.Connection, hub_id: int, name: str) -> ConsumerGroup | None:
    row = connection.execute(
        "SELECT name, positions, created_at FROM hub_consumer_group"
        " WHERE hub_id = ? AND name_key = ?",
        (hub_id, name.lower()),
    ).fetchone()
    return None if row is None else _to_group(row)


def _to_group(row: tuple[Any, ...]) -> ConsumerGroup:
    positions = {int(partition): position for partition, position in json.loads(row[1]).items()}
    return ConsumerGroup(row[0], positions, from_us(row[2]))


def _dump(positions: Mapping[int, int]) -> str:
    return json.dumps({str(partition): position for partition, position in positions.items()})
