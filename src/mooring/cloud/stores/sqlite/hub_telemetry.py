"""The telemetry log in SQLite.

A partition is a run of ids: ``log_id * 2^40 + sequence number``, without a gap. So a sequence
number, and by bisection a time or a byte position, is found without any index, and appending
touches the end of a run only. `offset` is the sum of the sizes of all earlier messages; the size
of any stretch is a subtraction.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from mooring.cloud.hub.model import PartitionInfo, TelemetryEvent
from mooring.cloud.hub.store import TelemetryRow
from mooring.cloud.stores.sqlite.rows import SqliteCommitter, from_us, to_us

SEQUENCE_BITS = 40
"""A million million messages per partition, in eight million partitions."""

ROW_OVERHEAD_BYTES = 32
"""What a message costs on disk besides its texts and body: id, offset, time, lengths."""

INSERT_ROWS = 64
"""Rows per INSERT. The interpreter's lock changes hands once per statement, not once per row,
which counts when the event loop is busy; more rows bring nothing further."""

_COLUMNS = "(id, offset, enqueued_ms, device_id, origin, properties, body)"
_ROW = "(?, ?, ?, ?, ?, ?, ?)"
_INSERT_ONE = f"INSERT INTO hub_telemetry {_COLUMNS} VALUES {_ROW}"  # noqa: S608 - constants
_INSERT_MANY = f"{_INSERT_ONE}{f', {_ROW}' * (INSERT_ROWS - 1)}"
_SIZE = (
    f"{ROW_OVERHEAD_BYTES} + length(device_id) + length(origin) + length(properties) + length(body)"
)


class _End(NamedTuple):
    """Where a partition ends: what the next message gets, and the time of the last."""

    next_id: int
    next_offset: int
    last_ms: int


class TelemetryTables(SqliteCommitter):
    """The tables ``hub_partition`` and ``hub_telemetry``."""

    async def log_ids(self, hub_id: int) -> Sequence[int]:
        """Return the number in the store of each partition of a hub, by partition."""
        rows = await self._database.read(
            lambda connection: connection.execute(
                "SELECT log_id FROM hub_partition WHERE hub_id = ? ORDER BY number", (hub_id,)
            ).fetchall()
        )
        return [row[0] for row in rows]

    def append_telemetry(
        self,
        rows: Sequence[TelemetryRow],
        done: Callable[[BaseException | None], None],
        *,
        size_bytes: int,
    ) -> None:
        """Append in order, giving sequence numbers and offsets; call `done` after the commit."""
        self._database.submit(
            lambda connection: _append(connection, rows),
            lambda _result, error: done(error),
            size_bytes=size_bytes,
        )

    async def read_telemetry(
        self,
        log_id: int,
        partition: int,
        *,
        from_sequence_number: int,
        device_id: str | None,
        limit: int,
        max_bytes: int,
        max_scanned: int,
    ) -> tuple[Sequence[TelemetryEvent], int]:
        """Return messages oldest first, and the sequence number to read on from."""

        def query(connection: sqlite3.Connection) -> tuple[Sequence[TelemetryEvent], int]:
            base = log_id << SEQUENCE_BITS
            end = _end(connection, log_id).next_id
            start = base + max(from_sequence_number, _first(connection, log_id))
            stop = min(end, start + max_scanned)
            cursor = connection.execute(
                "SELECT id, offset, enqueued_ms, device_id, properties, body, origin"
                " FROM hub_telemetry WHERE id >= ? AND id < ?"
                " AND device_id = coalesce(?, device_id) ORDER BY id LIMIT ?",
                (start, stop, device_id, limit),
            )
            events: list[TelemetryEvent] = []
            size = 0
            for row in cursor:
                size += len(row[5]) + len(row[4])
                if events and size > max_bytes:
                    cursor.close()
                    return events, row[0] - base
                events.append(_to_event(partition, base, row))
            if len(events) == limit:
                return events, events[-1].sequence_number + 1
            return events, max(start, stop) - base

        return await self._database.read(query)

    async def find_telemetry(self, log_id: int, at: datetime) -> int:
        """Return the sequence number of the first message enqueued at `at` or later."""
        base = log_id << SEQUENCE_BITS
        return await self._database.read(
            lambda connection: _find_time(connection, log_id, _ceil_ms(at)) - base
        )

    async def describe_partition(self, log_id: int, partition: int) -> PartitionInfo:
        """Return the state of a partition."""

        def query(connection: sqlite3.Connection) -> PartitionInfo:
            base = log_id << SEQUENCE_BITS
            end = _end(connection, log_id)
            first = _first(connection, log_id)
            last = end.next_id - 1 - base
            first_offset = _offset(connection, base + first, end)
            return PartitionInfo(
                partition=partition,
                first_sequence_number=first,
                last_sequence_number=last,
                last_offset=_offset(connection, base + last, end) if last >= first else -1,
                last_enqueued_at=from_us(end.last_ms * 1000) if last >= 0 else None,
                retained_bytes=end.next_offset - first_offset,
            )

        return await self._database.read(query)

    async def find_excess(self, max_bytes: int) -> datetime | None:
        """Return the earliest moment since which all hubs hold at most `max_bytes`."""

        def query(connection: sqlite3.Connection) -> datetime | None:
            logs = [row[0] for row in connection.execute("SELECT log_id FROM hub_partition")]

            def bytes_since(enqueued_ms: int) -> int:
                total = 0
                for log_id in logs:
                    end = _end(connection, log_id)
                    since = _find_time(connection, log_id, enqueued_ms)
                    total += end.next_offset - _offset(connection, since, end)
                return total

            if bytes_since(0) <= max_bytes:
                return None
            newest = max(_end(connection, log_id).last_ms for log_id in logs)
            cut_ms = _bisect(0, newest + 1, lambda ms: bytes_since(ms) <= max_bytes)
            return from_us(cut_ms * 1000)

        return await self._database.read(query)

    async def trim_telemetry(self, log_id: int, *, before: datetime, limit: int) -> int:
        """Delete up to `limit` of the oldest messages enqueued before `before`."""

        def run(connection: sqlite3.Connection) -> int:
            base = log_id << SEQUENCE_BITS
            end = _end(connection, log_id)
            first = base + _first(connection, log_id)
            cut = min(_find_time(connection, log_id, _ceil_ms(before)), first + limit)
            if cut <= first:
                return 0
            # In the same transaction, so that numbers stay used whatever happens in between.
            connection.execute(
                "UPDATE hub_partition SET first_sequence_number = ?, first_offset = ?,"
                " last_enqueued_ms = ? WHERE log_id = ?",
                (cut - base, _offset(connection, cut, end), end.last_ms, log_id),
            )
            return connection.execute(
                "DELETE FROM hub_telemetry WHERE id >= ? AND id < ?", (first, cut)
            ).rowcount

        return await self._database.write(run)


def _append(connection: sqlite3.Connection, rows: Sequence[TelemetryRow]) -> None:
    ends: dict[int, _End] = {}
    values: list[Any] = []
    for log_id, arrived_ms, device_id, origin, properties, body in rows:
        end = ends.get(log_id)
        if end is None:
            end = _end(connection, log_id)
        next_id, offset, last_ms = end
        # The clock may go back; times within a partition never do.
        enqueued_ms = arrived_ms if arrived_ms > last_ms else last_ms  # noqa: FURB136 - hot path
        values += (next_id, offset, enqueued_ms, device_id, origin, properties, body)
        size = ROW_OVERHEAD_BYTES + len(device_id) + len(origin) + len(properties) + len(body)
        ends[log_id] = _End(next_id + 1, offset + size, enqueued_ms)
    width = 7
    many = INSERT_ROWS * width
    whole = len(values) // many * many
    for start in range(0, whole, many):
        connection.execute(_INSERT_MANY, values[start : start + many])
    for start in range(whole, len(values), width):
        connection.execute(_INSERT_ONE, values[start : start + width])


def _first(connection: sqlite3.Connection, log_id: int) -> int:
    row = connection.execute(
        "SELECT first_sequence_number FROM hub_partition WHERE log_id = ?", (log_id,)
    ).fetchone()
    return int(row[0])


def _end(connection: sqlite3.Connection, log_id: int) -> _End:
    base = log_id << SEQUENCE_BITS
    row = connection.execute(
        f"SELECT id + 1, offset + {_SIZE}, enqueued_ms FROM hub_telemetry"  # noqa: S608 - constant
        " WHERE id >= ? AND id < ? ORDER BY id DESC LIMIT 1",
        (base, base + (1 << SEQUENCE_BITS)),
    ).fetchone()
    if row is None:
        row = connection.execute(
            "SELECT ? + first_sequence_number, first_offset, last_enqueued_ms"
            " FROM hub_partition WHERE log_id = ?",
            (base, log_id),
        ).fetchone()
    return _End(*row)


def _offset(connection: sqlite3.Connection, row_id: int, end: _End) -> int:
    """Return the offset of the message `row_id`, or of the end of its partition."""
    row = connection.execute("SELECT offset FROM hub_telemetry WHERE id = ?", (row_id,)).fetchone()
    return end.next_offset if row is None else int(row[0])


def _find_time(connection: sqlite3.Connection, log_id: int, enqueued_ms: int) -> int:
    """Return the id of the first message of that time or later, or the end of the partition."""
    base = log_id << SEQUENCE_BITS

    def reached(row_id: int) -> bool:
        row = connection.execute(
            "SELECT enqueued_ms FROM hub_telemetry WHERE id = ?", (row_id,)
        ).fetchone()
        return bool(row[0] >= enqueued_ms)

    return _bisect(base + _first(connection, log_id), _end(connection, log_id).next_id, reached)


def _bisect(low: int, high: int, reached: Callable[[int], bool]) -> int:
    """Return the least number in [low, high) that has `reached`, else `high`."""
    while low < high:
        middle = (low + high) // 2
        if reached(middle):
            high = middle
        else:
            low = middle + 1
    return low


def _ceil_ms(moment: datetime) -> int:
    return -(-to_us(moment) // 1000)


def _to_event(partition: int, base: int, row: tuple[Any, ...]) -> TelemetryEvent:
    return TelemetryEvent(
        partition=partition,
        sequence_number=row[0] - base,
        offset=row[1],
        enqueued_at=from_us(row[2] * 1000),
        device_id=row[3],
        properties=row[4],
        body=row[5],
        origin=json.loads(row[6]),
    )
