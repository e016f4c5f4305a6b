"""Individual enrollments in SQLite."""

# ruff: noqa: S608 - only column lists of this file are put into statements

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from mooring.cloud.dps.model import ClientCertificates, IndividualEnrollment, StoredCertificate
from mooring.cloud.preconditions import RecordsFull, check_replaces
from mooring.cloud.stores.sqlite.rows import SqliteCommitter, from_us, to_us
from mooring.cloud.stores.sqlite.terms import dump_terms, load_terms
from mooring.protocol.azure.identifiers import fold_registration_id as fold

ENROLLMENT_COLUMNS = (
    "registration_id, device_id, primary_thumbprint, secondary_thumbprint,"
    " provisioning_status, allocation_policy, terms, etag, created_at, updated_at,"
    " primary_der, secondary_der"
)


class EnrollmentTables(SqliteCommitter):
    """The table ``dps_enrollment``."""

    async def find_enrollment(self, registration_id: str) -> IndividualEnrollment | None:
        """Return one, in microseconds."""
        row = self._database.read_now(
            lambda connection: connection.execute(
                f"SELECT {ENROLLMENT_COLUMNS} FROM dps_enrollment WHERE registration_key = ?",
                (fold(registration_id),),
            ).fetchone()
        )
        return None if row is None else to_enrollment(row)

    async def list_enrollments(
        self, *, after: str | None, limit: int
    ) -> Sequence[IndividualEnrollment]:
        """Return up to `limit` by folded id, beyond the folded id `after`."""
        rows = await self._database.read(
            lambda connection: connection.execute(
                f"SELECT {ENROLLMENT_COLUMNS} FROM dps_enrollment WHERE registration_key > ?"
                " ORDER BY registration_key LIMIT ?",
                (after or "", limit),
            ).fetchall()
        )
        return [to_enrollment(row) for row in rows]

    async def save_enrollment(
        self, enrollment: IndividualEnrollment, *, replaces: str | None, limit: int
    ) -> None:
        """Write one."""
        key = fold(enrollment.registration_id)
        primary, secondary = enrollment.attestation.primary, enrollment.attestation.secondary
        values = (
            key,
            enrollment.registration_id,
            enrollment.device_id,
            None if primary is None else primary.sha256_thumbprint,
            None if secondary is None else secondary.sha256_thumbprint,
            *dump_terms(enrollment.terms),
            enrollment.etag,
            to_us(enrollment.created_at),
            to_us(enrollment.updated_at),
            None if primary is None else primary.der,
            None if secondary is None else secondary.der,
        )

        def run(connection: sqlite3.Connection) -> None:
            check_replaces(_etag(connection, key), replaces)
            if replaces is None:
                # One row tells whether there is room, and counts.
                counted = connection.execute(
                    "UPDATE dps_service SET enrollment_count = enrollment_count + 1"
                    " WHERE enrollment_count < ?",
                    (limit,),
                )
                if counted.rowcount == 0:
                    raise RecordsFull
            connection.execute(
                f"INSERT OR REPLACE INTO dps_enrollment (registration_key, {ENROLLMENT_COLUMNS})"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                values,
            )

        await self._database.write(run)

    async def delete_enrollment(self, registration_id: str, *, replaces: str) -> None:
        """Delete one, and the registration record of its id."""
        key = fold(registration_id)

        def run(connection: sqlite3.Connection) -> None:
            check_replaces(_etag(connection, key), replaces)
            connection.execute("DELETE FROM dps_enrollment WHERE registration_key = ?", (key,))
            gone = connection.execute(
                "DELETE FROM dps_registration WHERE registration_key = ?", (key,)
            ).rowcount
            connection.execute(
                "UPDATE dps_service SET enrollment_count = enrollment_count - 1,"
                " registration_count = registration_count - ?",
                (gone,),
            )

        await self._database.write(run)


def _etag(connection: sqlite3.Connection, key: str) -> str | None:
    row = connection.execute(
        "SELECT etag FROM dps_enrollment WHERE registration_key = ?", (key,)
    ).fetchone()
    return None if row is None else row[0]


def to_enrollment(row: Sequence[Any]) -> IndividualEnrollment:
    """Return the enrollment of a row of `ENROLLMENT_COLUMNS`."""
    return IndividualEnrollment(
        registration_id=row[0],
        attestation=ClientCertificates(
            None if row[10] is None else StoredCertificate(row[10], row[2]),
            None if row[11] is None else StoredCertificate(row[11], row[3]),
        ),
        device_id=row[1],
        terms=load_terms(row[4], row[5], row[6]),
        etag=row[7],
        created_at=from_us(row[8]),
        updated_at=from_us(row[9]),
    )
