"""Device twins in SQLite."""

# ruff: noqa: S608 - only column lists of this package are put into statements

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from mooring.cloud.hub.twins.model import Twin
from mooring.cloud.hub.twins.store import (
    NoSuchTwin,
    ReportedWrite,
    TwinDone,
    TwinWrite,
    WrittenDone,
)
from mooring.cloud.stores.sqlite.hub_registry import DEVICE_COLUMNS, to_device
from mooring.cloud.stores.sqlite.hub_twin_rows import (
    FIRST,
    JOINED,
    ONE,
    ROW,
    first_sections,
    fresh_row,
    parse,
    to_row,
    write_reported,
    write_twin,
)
from mooring.cloud.stores.sqlite.rows import SqliteCommitter, SqliteWork
from mooring.protocol.azure.twins import (
    FIRST_CHANGE,
    FIRST_VERSION,
    format_device_document,
    format_twin_etag,
)

_TWIN = f"model_id, {FIRST}, {ROW}, {DEVICE_COLUMNS}"
_DEVICE_FROM = 13
"""Position of the device's columns in `_TWIN`."""

_FIRST_ETAG = format_twin_etag(FIRST_CHANGE)
_DEVICE_DOCUMENT = (
    "SELECT desired, desired_version, reported, reported_version,"
    f" {FIRST} FROM {JOINED} {ONE} AND generation_id = ?"
)


class TwinTables(SqliteCommitter):
    """The table ``hub_twin``, and what of a twin stands in ``hub_device``."""

    def device_document(self, hub_id: int, device_id: str, generation_id: str) -> bytes | None:
        """Return desired and reported properties as a device is shown them."""
        row = self._database.read_now(
            lambda connection: connection.execute(
                _DEVICE_DOCUMENT, (hub_id, device_id, generation_id)
            ).fetchone()
        )
        if row is None:
            return None
        if row[0] is not None:
            return format_device_document(*row[:4])
        fresh = fresh_row(*row[4:])
        return format_device_document(
            fresh.desired, fresh.desired_version, fresh.reported, fresh.reported_version
        )

    def find_twin(self, hub_id: int, device_id: str) -> Twin | None:
        """Return one."""
        return self._database.read_now(lambda connection: _find(connection, hub_id, device_id))

    async def scan_twins(self, hub_id: int, *, after: str | None, limit: int) -> Sequence[Twin]:
        """Return up to `limit` by device id, beyond `after`; identities as they are stored."""

        def run(connection: sqlite3.Connection) -> list[Twin]:
            rows = connection.execute(
                f"SELECT {_TWIN} FROM {JOINED} WHERE hub_id = ? AND device_id > ?"
                " ORDER BY device_id LIMIT ?",
                (hub_id, after or "", limit),
            )
            return [_to_twin(row) for row in rows]

        return await self._database.read(run)

    def submit_twin(
        self, hub_id: int, device_id: str, write: TwinWrite, done: TwinDone, *, size_bytes: int
    ) -> None:
        """Write tags and desired properties; `done` gets the twin after the commit."""
        work = self.prepare_twin(hub_id, device_id, write)
        self._database.submit(work.run, done, size_bytes=size_bytes)

    def prepare_twin(self, hub_id: int, device_id: str, write: TwinWrite) -> SqliteWork[Twin]:
        """Prepare to write tags and desired properties, in one commit with something else."""

        def run(connection: sqlite3.Connection) -> Twin:
            write_twin(connection, hub_id, device_id, write)
            twin = _find(connection, hub_id, device_id)
            if twin is None:
                raise NoSuchTwin
            return twin

        return SqliteWork("twin", run)

    def submit_reported(
        self, hub_id: int, device_id: str, write: ReportedWrite, done: WrittenDone
    ) -> None:
        """Merge a device's patch; `done` is called after the commit."""
        self._database.submit(
            lambda connection: write_reported(connection, hub_id, device_id, write),
            done,
            size_bytes=write.size_bytes,
        )

    def find_model_id(self, hub_id: int, device_id: str) -> str | None:
        """Return what model a device said that it is; None for none."""
        row = self._database.read_now(
            lambda connection: connection.execute(
                f"SELECT model_id FROM hub_device {ONE}", (hub_id, device_id)
            ).fetchone()
        )
        return None if row is None else row[0]

    def submit_model_id(
        self,
        hub_id: int,
        device_id: str,
        generation_id: str,
        model_id: str | None,
        done: Callable[[None, BaseException | None], None],
    ) -> None:
        """Note what model a device says that it is; nothing if it is of another generation."""

        def run(connection: sqlite3.Connection) -> None:
            connection.execute(
                f"UPDATE hub_device SET model_id = ? {ONE} AND generation_id = ?"
                " AND model_id IS NOT ?",
                (model_id, hub_id, device_id, generation_id, model_id),
            )

        self._database.submit(run, done, grouped=True)


def _find(connection: sqlite3.Connection, hub_id: int, device_id: str) -> Twin | None:
    row = connection.execute(f"SELECT {_TWIN} FROM {JOINED} {ONE}", (hub_id, device_id)).fetchone()
    return None if row is None else _to_twin(row)


def _to_twin(columns: tuple[Any, ...]) -> Twin:
    identity = to_device(columns[_DEVICE_FROM:])
    if columns[4] is None:  # never written: a scan of a million such twins makes no JSON of them
        tags, desired, reported = first_sections(*columns[1:4])
        return Twin(
            identity=identity,
            etag=_FIRST_ETAG,
            version=FIRST_VERSION,
            tags=tags,
            desired=desired,
            reported=reported,
            model_id=columns[0],
        )
    row = to_row(columns[1:_DEVICE_FROM])
    return Twin(
        identity=identity,
        etag=row.etag,
        version=row.version,
        tags=parse(row.tags),
        desired=row.desired_properties(),
        reported=row.reported_properties(),
        model_id=columns[0],
    )
