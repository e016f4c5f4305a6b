"""Registration records and operations in SQLite."""

# ruff: noqa: S608 - only column lists of this file are put into statements

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from mooring.cloud.dps.model import (
    AttestationType,
    IndividualEnrollment,
    Operation,
    Registration,
)
from mooring.cloud.dps.store import BasisChanged, RegistrationBasis
from mooring.cloud.preconditions import RecordsFull, check_replaces
from mooring.cloud.stores.sqlite.dps_enrollments import ENROLLMENT_COLUMNS, to_enrollment
from mooring.cloud.stores.sqlite.rows import (
    SqliteCommitter,
    SqliteWork,
    dump_json,
    from_us,
    to_us,
)
from mooring.protocol.azure.identifiers import fold_registration_id as fold
from mooring.protocol.azure.registration_state import RegistrationStatus, RegistrationSubstatus

REGISTRATION_COLUMNS = (
    "registration_id, status, substatus, assigned_hub, device_id, enrollment_group_id,"
    " error_code, error_message, thumbprint, etag, created_at, updated_at, attestation_type,"
    " initial_hub, payload"
)
_INSERT = (
    f"INSERT OR REPLACE INTO dps_registration (registration_key, group_key, {REGISTRATION_COLUMNS})"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_BASIS = (
    "SELECT (SELECT etag FROM dps_enrollment WHERE registration_key = ?),"
    " (SELECT authority_version FROM dps_service),"
    " (SELECT etag FROM dps_registration WHERE registration_key = ?)"
)

STANDING_COLUMNS = ", ".join(
    f"{table}.{name}"
    for table, names in (("e", ENROLLMENT_COLUMNS), ("r", REGISTRATION_COLUMNS))
    for name in names.split(", ")
)
_STANDING = (
    f"SELECT {STANDING_COLUMNS}"
    " FROM (SELECT ? AS id) LEFT JOIN dps_enrollment e ON e.registration_key = id"
    " LEFT JOIN dps_registration r ON r.registration_key = id"
)
_ENROLLMENT_WIDTH = ENROLLMENT_COLUMNS.count(",") + 1


class RegistrationTables(SqliteCommitter):
    """The tables ``dps_registration`` and ``dps_operation``."""

    async def find_standing(
        self, registration_id: str
    ) -> tuple[IndividualEnrollment | None, Registration | None]:
        """Return enrollment and registration record of an id together, in microseconds."""
        row = self._database.read_now(
            lambda connection: connection.execute(_STANDING, (fold(registration_id),)).fetchone()
        )
        return to_standing(row)

    async def find_registration(self, registration_id: str) -> Registration | None:
        """Return one, in microseconds."""
        row = self._database.read_now(
            lambda connection: connection.execute(
                f"SELECT {REGISTRATION_COLUMNS} FROM dps_registration WHERE registration_key = ?",
                (fold(registration_id),),
            ).fetchone()
        )
        return None if row is None else to_registration(row)

    async def delete_registration(self, registration_id: str, *, replaces: str) -> None:
        """Delete the record."""
        key = fold(registration_id)

        def run(connection: sqlite3.Connection) -> None:
            row = connection.execute(
                "SELECT etag FROM dps_registration WHERE registration_key = ?", (key,)
            ).fetchone()
            check_replaces(None if row is None else row[0], replaces)
            connection.execute("DELETE FROM dps_registration WHERE registration_key = ?", (key,))
            connection.execute("UPDATE dps_service SET registration_count = registration_count - 1")

        await self._database.write(run)

    def prepare_registration(
        self, operation: Operation, basis: RegistrationBasis, *, limit: int
    ) -> SqliteWork[None]:
        """Prepare to write the operation and, in place of the former, its record."""
        registration = operation.registration
        key = fold(registration.registration_id)
        group = registration.enrollment_group_id
        columns = _to_columns(registration)
        values = (key, None if group is None else fold(group), *columns)
        snapshot = json.dumps(columns, separators=(",", ":"))
        created_at = to_us(operation.created_at)

        def run(connection: sqlite3.Connection) -> None:
            enrollment, version, former = connection.execute(_BASIS, (key, key)).fetchone()
            if (
                enrollment != basis.enrollment_etag
                or former != basis.registration_etag
                or basis.authority_version not in (None, version)
            ):
                raise BasisChanged
            if former is None:
                counted = connection.execute(
                    "UPDATE dps_service SET registration_count = registration_count + 1"
                    " WHERE registration_count < ?",
                    (limit,),
                )
                if counted.rowcount == 0:
                    raise RecordsFull
            connection.execute(_INSERT, values)
            connection.execute(
                "INSERT INTO dps_operation"
                " (operation_id, registration_key, created_at, registration)"
                " VALUES (?, ?, ?, ?)",
                (operation.operation_id, key, created_at, snapshot),
            )

        return SqliteWork("registration", run)

    async def find_operation(self, operation_id: str, registration_id: str) -> Operation | None:
        """Return an operation of that registration id, in microseconds."""
        row = self._database.read_now(
            lambda connection: connection.execute(
                "SELECT registration, created_at FROM dps_operation"
                " WHERE operation_id = ? AND registration_key = ?",
                (operation_id, fold(registration_id)),
            ).fetchone()
        )
        if row is None:
            return None
        return Operation(operation_id, to_registration(json.loads(row[0])), from_us(row[1]))

    async def prune_operations(self, *, before: datetime, limit: int) -> int:
        """Delete up to `limit` operations made before `before`; return how many."""

        def run(connection: sqlite3.Connection) -> int:
            # Ids rise with time, so the oldest are the first.
            return connection.execute(
                "DELETE FROM dps_operation WHERE created_at < ? AND id IN"
                " (SELECT id FROM dps_operation ORDER BY id LIMIT ?)",
                (to_us(before), limit),
            ).rowcount

        return await self._database.write(run)


def to_standing(
    row: Sequence[Any],
) -> tuple[IndividualEnrollment | None, Registration | None]:
    """Return what a row of `STANDING_COLUMNS` holds of either."""
    enrollment, registration = row[:_ENROLLMENT_WIDTH], row[_ENROLLMENT_WIDTH:]
    return (
        None if enrollment[0] is None else to_enrollment(enrollment),
        None if registration[0] is None else to_registration(registration),
    )


def _to_columns(registration: Registration) -> tuple[Any, ...]:
    return (
        registration.registration_id,
        registration.status.value,
        None if registration.substatus is None else registration.substatus.value,
        registration.assigned_hub,
        registration.device_id,
        registration.enrollment_group_id,
        registration.error_code,
        registration.error_message,
        registration.thumbprint,
        registration.etag,
        to_us(registration.created_at),
        to_us(registration.updated_at),
        registration.attestation_type.value,
        registration.initial_hub,
        None if registration.payload is None else dump_json(registration.payload),
    )


def to_registration(row: Sequence[Any]) -> Registration:
    """Return the record of a row of `REGISTRATION_COLUMNS`."""
    return Registration(
        registration_id=row[0],
        status=RegistrationStatus(row[1]),
        substatus=None if row[2] is None else RegistrationSubstatus(row[2]),
        assigned_hub=row[3],
        device_id=row[4],
        enrollment_group_id=row[5],
        error_code=row[6],
        error_message=row[7],
        thumbprint=row[8],
        etag=row[9],
        created_at=from_us(row[10]),
        updated_at=from_us(row[11]),
        attestation_type=AttestationType(row[12]),
        initial_hub=row[13],
        payload=None if row[14] is None else json.loads(row[14]),
    )
