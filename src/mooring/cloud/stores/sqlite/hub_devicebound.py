"""Cloud-to-device messages in SQLite.

A queue is the rows of its device in the order of their keys. What is settled is deleted, and in
the same statement's transaction its feedback is written.
"""

# ruff: noqa: S608 - only column lists and conditions of this file are put into statements

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from mooring.cloud.hub.devicebound.model import Ack, FeedbackStatus, QueuedMessage, is_told
from mooring.cloud.hub.devicebound.store import (
    ExpiredMessage,
    GivenBack,
    NewMessage,
    Redelivery,
    Settled,
)
from mooring.cloud.preconditions import RecordsFull
from mooring.cloud.stores.sqlite.rows import SqliteCommitter, from_us, to_us

_MESSAGE = (
    "message_key, sequence_number, enqueued_at, expires_at, delivery_count, ack, properties, body"
)
_QUEUE = "hub_id = ? AND device_id = ?"
_KEYS = "message_key IN (SELECT value FROM json_each(?))"
_GONE = "message_key, hub_id, device_id, generation_id, message_id, ack"


class DeviceboundTables(SqliteCommitter):
    """The tables ``hub_devicebound`` and ``hub_devicebound_queue``."""

    async def enqueue_message(
        self,
        hub_id: int,
        device_id: str,
        message: NewMessage,
        *,
        limit: int,
        locked: Collection[int],
    ) -> int | None:
        """Put a message at the end of a queue; return its sequence number, None: no device."""
        now_us = to_us(message.enqueued_at)
        keys = _dump(locked)

        def run(connection: sqlite3.Connection) -> int | None:
            device = connection.execute(
                f"SELECT generation_id FROM hub_device WHERE {_QUEUE}", (hub_id, device_id)
            ).fetchone()
            if device is None:
                return None
            _delete(
                connection,
                f"{_QUEUE} AND expires_at <= ? AND NOT {_KEYS}",
                (hub_id, device_id, now_us, keys),
                FeedbackStatus.EXPIRED,
                now_us,
            )
            (waiting,) = connection.execute(
                f"SELECT count(*) FROM hub_devicebound WHERE {_QUEUE}", (hub_id, device_id)
            ).fetchone()
            if waiting >= limit:
                raise RecordsFull
            (number,) = connection.execute(
                "INSERT INTO hub_devicebound_queue VALUES (?, ?, 1) ON CONFLICT DO UPDATE"
                " SET last_sequence_number = last_sequence_number + 1"
                " RETURNING last_sequence_number",
                (hub_id, device_id),
            ).fetchone()
            connection.execute(
                "INSERT INTO hub_devicebound (hub_id, device_id, generation_id, sequence_number,"
                " enqueued_at, expires_at, ack, message_id, properties, body)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    hub_id,
                    device_id,
                    device[0],
                    number,
                    now_us,
                    to_us(message.expires_at),
                    message.ack.value,
                    message.message_id,
                    message.properties,
                    message.body,
                ),
            )
            return int(number)

        size = len(message.body) + len(message.properties)
        return await self._database.write(run, size_bytes=size)

    def waiting_messages(
        self,
        hub_id: int,
        device_id: str,
        generation_id: str,
        *,
        now: datetime,
        locked: Collection[int],
        limit: int,
    ) -> Sequence[QueuedMessage]:
        """Return the oldest that are not `locked` nor expired, in microseconds."""

        def look_up(connection: sqlite3.Connection) -> list[QueuedMessage]:
            rows = connection.execute(
                f"SELECT {_MESSAGE} FROM hub_devicebound WHERE {_QUEUE} AND generation_id = ?"
                f" AND expires_at > ? AND NOT {_KEYS} ORDER BY message_key LIMIT ?",
                (hub_id, device_id, generation_id, to_us(now), _dump(locked), limit),
            )
            return [_to_message(row) for row in rows]

        return self._database.read_now(look_up)

    async def queue_of(self, hub_id: int, device_id: str) -> Sequence[QueuedMessage]:
        """Return the whole queue, oldest first."""
        rows = await self._database.read(
            lambda connection: connection.execute(
                f"SELECT {_MESSAGE} FROM hub_devicebound WHERE {_QUEUE} ORDER BY message_key",
                (hub_id, device_id),
            ).fetchall()
        )
        return [_to_message(row) for row in rows]

    def settle_message(
        self, message_key: int, status: FeedbackStatus, now: datetime, done: Settled
    ) -> None:
        """Delete a message, and in the same commit write its feedback if it is wanted."""
        now_us = to_us(now)
        self._database.submit(
            lambda connection: (
                _delete(connection, "message_key = ?", (message_key,), status, now_us) > 0
            ),
            done,
            grouped=True,
        )

    def give_back_message(
        self, message_key: int, *, max_delivery_count: int, now: datetime, done: GivenBack
    ) -> None:
        """Count one delivery more; at `max_delivery_count` dead-letter, with feedback."""
        now_us = to_us(now)

        def run(connection: sqlite3.Connection) -> Redelivery:
            row = connection.execute(
                "UPDATE hub_devicebound SET delivery_count = delivery_count + 1"
                " WHERE message_key = ? RETURNING delivery_count",
                (message_key,),
            ).fetchone()
            if row is None:
                return Redelivery.GONE
            if row[0] < max_delivery_count:
                return Redelivery.AGAIN
            exceeded = FeedbackStatus.DELIVERY_COUNT_EXCEEDED
            _delete(connection, "message_key = ?", (message_key,), exceeded, now_us)
            return Redelivery.DEAD_LETTERED

        self._database.submit(run, done, grouped=True)

    async def expired_messages(
        self, now: datetime, *, beyond: int, limit: int
    ) -> Sequence[ExpiredMessage]:
        """Return those of all queues with a key above `beyond` that expired, by key."""
        # The plus keeps SQLite from walking the table by its key: few messages of many expire.
        rows = await self._database.read(
            lambda connection: connection.execute(
                "SELECT message_key, hub_id, device_id FROM hub_devicebound"
                " WHERE expires_at <= ? AND +message_key > ? ORDER BY +message_key LIMIT ?",
                (to_us(now), beyond, limit),
            ).fetchall()
        )
        return [ExpiredMessage(*row) for row in rows]

    async def expire_messages(self, message_keys: Sequence[int], now: datetime) -> None:
        """Give up messages, with feedback; those that are gone are skipped."""
        if not message_keys:
            return
        keys, now_us = _dump(message_keys), to_us(now)
        await self._database.write(
            lambda connection: _delete(connection, _KEYS, (keys,), FeedbackStatus.EXPIRED, now_us)
        )

    async def purge_queue(self, hub_id: int, device_id: str, now: datetime) -> int:
        """Delete a whole queue, with feedback; return how many there were."""
        now_us = to_us(now)

        def run(connection: sqlite3.Connection) -> int:
            queue = (hub_id, device_id)
            _delete(
                connection,
                f"{_QUEUE} AND expires_at <= ?",
                (*queue, now_us),
                FeedbackStatus.EXPIRED,
                now_us,
            )
            return _delete(connection, _QUEUE, queue, FeedbackStatus.PURGED, now_us)

        return await self._database.write(run)

    def count_messages(self, hub_id: int, device_id: str, now: datetime) -> int:
        """Return how many did not expire, in microseconds."""
        row = self._database.read_now(
            lambda connection: connection.execute(
                f"SELECT count(*) FROM hub_devicebound WHERE {_QUEUE} AND expires_at > ?",
                (hub_id, device_id, to_us(now)),
            ).fetchone()
        )
        return int(row[0])

    async def count_all_messages(
        self, hub_id: int, device_ids: Sequence[str], now: datetime
    ) -> Mapping[str, int]:
        """Return how many did not expire, of the devices that have any."""
        rows = await self._database.read(
            lambda connection: connection.execute(
                "SELECT device_id, count(*) FROM hub_devicebound WHERE hub_id = ?"
                " AND device_id IN (SELECT value FROM json_each(?)) AND expires_at > ?"
                " GROUP BY device_id",
                (hub_id, _dump(device_ids), to_us(now)),
            ).fetchall()
        )
        return dict(rows)


def delete_devicebound(connection: sqlite3.Connection, hub_id: int, device_id: str) -> None:
    """Drop queue and feedback of a device that is deleted: nobody is told of them any more."""
    for table in ("hub_devicebound", "hub_devicebound_queue", "hub_feedback"):
        connection.execute(f"DELETE FROM {table} WHERE {_QUEUE}", (hub_id, device_id))


def _delete(
    connection: sqlite3.Connection,
    condition: str,
    parameters: Sequence[Any],
    status: FeedbackStatus,
    now_us: int,
) -> int:
    """Delete messages and write their feedback of `status`; return how many there were."""
    gone = connection.execute(
        f"DELETE FROM hub_devicebound WHERE {condition} RETURNING {_GONE}", parameters
    ).fetchall()
    connection.executemany(
        "INSERT INTO hub_feedback (hub_id, device_id, generation_id, message_id, status,"
        " settled_at) VALUES (?, ?, ?, ?, ?, ?)",
        [
            (*identity, message_id, status.value, now_us)
            for _, *identity, message_id, ack in sorted(gone)
            if is_told(Ack(ack), status)
        ],
    )
    return len(gone)


def _dump(values: Collection[int] | Collection[str]) -> str:
    return json.dumps(list(values))


def _to_message(row: tuple[Any, ...]) -> QueuedMessage:
    return QueuedMessage(
        message_key=row[0],
        sequence_number=row[1],
        enqueued_at=from_us(row[2]),
        expires_at=from_us(row[3]),
        delivery_count=row[4],
        ack=Ack(row[5]),
        properties=row[6],
        body=row[7],
    )
