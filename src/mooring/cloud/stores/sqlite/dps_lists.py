"""Lists of DPS's records in SQLite: what fits, in a window of the table by key."""

# ruff: noqa: S608 - only names of this program's tables and columns are put into statements

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from mooring.cloud.dps.model import Registration, Standing
from mooring.cloud.dps.queries import Condition, QueryField
from mooring.cloud.dps.store import Slice
from mooring.cloud.stores.sqlite.dps_registrations import (
    REGISTRATION_COLUMNS,
    STANDING_COLUMNS,
    to_registration,
    to_standing,
)
from mooring.cloud.stores.sqlite.rows import SqliteCommitter
from mooring.protocol.azure.identifiers import fold_registration_id as fold

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Listing:
    """How records are listed from `table`.

    `rows` has key, columns and joins; ``scanned`` are the keys of the window. `expressions` are
    what each field is compared with.
    """

    table: str
    rows: str
    expressions: Mapping[QueryField, str]


_ENROLLMENTS = _Listing(
    "dps_enrollment",
    f"key, {STANDING_COLUMNS} FROM scanned JOIN dps_enrollment e ON e.registration_key = key"
    " LEFT JOIN dps_registration r ON r.registration_key = key",
    {
        QueryField.DEVICE_ID: "e.device_id",
        QueryField.PROVISIONING_STATUS: "e.provisioning_status",
        QueryField.ALLOCATION_POLICY: "e.allocation_policy",
        QueryField.ATTESTATION_TYPE: "e.attestation_type",
        QueryField.IOT_EDGE: "json_extract(e.terms, '$.iot_edge')",
    },
)
# Hub and device id are told of an assigned device only, though they are kept for longer.
_REGISTRATIONS = _Listing(
    "dps_registration",
    f"key, {REGISTRATION_COLUMNS} FROM scanned JOIN dps_registration ON registration_key = key",
    {
        QueryField.DEVICE_ID: "CASE status WHEN 'assigned' THEN device_id END",
        QueryField.STATUS: "status",
        QueryField.SUBSTATUS: "CASE status WHEN 'assigned' THEN substatus END",
        QueryField.ASSIGNED_HUB: "CASE status WHEN 'assigned' THEN lower(assigned_hub) END",
    },
)


class ListTables(SqliteCommitter):
    """Lists of the tables ``dps_enrollment`` and ``dps_registration``."""

    async def list_enrollments(
        self,
        conditions: Sequence[Condition] = (),
        *,
        after: str | None,
        limit: int,
        scan: int,
    ) -> Slice[Standing]:
        """Return up to `limit` that fit, by folded id, with their registration records."""
        return await self._database.read(
            lambda connection: _list(
                connection,
                _ENROLLMENTS,
                conditions,
                _to_listed,
                after=after,
                limit=limit,
                scan=scan,
            )
        )

    async def list_registrations(
        self,
        conditions: Sequence[Condition] = (),
        *,
        enrollment_group_id: str | None,
        after: str | None,
        limit: int,
        scan: int,
    ) -> Slice[Registration]:
        """Return up to `limit` that fit, by folded id, of one group or of all."""
        return await self._database.read(
            lambda connection: _list(
                connection,
                _REGISTRATIONS,
                conditions,
                to_registration,
                group_key=None if enrollment_group_id is None else fold(enrollment_group_id),
                after=after,
                limit=limit,
                scan=scan,
            )
        )


def _list(
    connection: sqlite3.Connection,
    listing: _Listing,
    conditions: Sequence[Condition],
    to_record: Callable[[Sequence[Any]], T],
    *,
    group_key: str | None = None,
    after: str | None,
    limit: int,
    scan: int,
) -> Slice[T]:
    """Return up to `limit` records that fit, of the next `scan` after key `after`."""
    where, values = ["registration_key > ?"], [after or ""]
    if group_key is not None:
        where.append("group_key = ?")
        values.append(group_key)
    fits: list[str] = []
    wanted: list[str | bool] = []
    for condition in conditions:
        if condition.field is QueryField.REGISTRATION_ID:
            # The key itself: looked up, not looked for.
            where.append("registration_key = ?")
            values.append(str(condition.value))
        else:
            fits.append(f"{listing.expressions[condition.field]} = ?")
            wanted.append(condition.value)
    # Where everything fits, one record beyond the page tells that there is more.
    size = scan if fits else limit + 1
    window = (
        f"SELECT registration_key AS key FROM {listing.table} WHERE {' AND '.join(where)}"
        " ORDER BY registration_key LIMIT ?"
    )
    rows = connection.execute(
        f"WITH scanned AS MATERIALIZED ({window}) SELECT {listing.rows}"
        f" WHERE {' AND '.join(fits) or 'TRUE'} ORDER BY key LIMIT ?",
        (*values, size, *wanted, limit + 1),
    ).fetchall()
    records = tuple(to_record(row[1:]) for row in rows[:limit])
    if len(rows) > limit:
        return Slice(records, rows[limit - 1][0])
    count, last = connection.execute(
        f"SELECT count(*), max(key) FROM ({window})", (*values, size)
    ).fetchone()
    return Slice(records, last if count == size else None)


def _to_listed(row: Sequence[Any]) -> Standing:
    enrollment, registration = to_standing(row)
    assert enrollment is not None  # the window is of this table
    return enrollment, registration
