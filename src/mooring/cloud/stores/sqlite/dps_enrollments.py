"""Individual enrollments in SQLite."""

# ruff: noqa: S608 - only column lists of this file are put into statements

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from mooring.cloud.cacertificates.model import StoredCertificate
from mooring.cloud.dps.model import (
    AttestationType,
    CaReferences,
    ClientCertificates,
    IndividualAttestation,
    IndividualEnrollment,
    SymmetricKeys,
)
from mooring.cloud.preconditions import RecordsFull, check_replaces
from mooring.cloud.stores.sqlite.attestations import check_references, to_attestation_columns
from mooring.cloud.stores.sqlite.rows import SqliteCommitter, dump_json, from_us, to_us
from mooring.cloud.stores.sqlite.terms import dump_terms, load_terms
from mooring.protocol.azure.identifiers import fold_registration_id as fold

ENROLLMENT_COLUMNS = (
    "registration_id, device_id, primary_thumbprint, secondary_thumbprint,"
    " provisioning_status, allocation_policy, terms, etag, created_at, updated_at,"
    " primary_der, secondary_der, attestation_type, primary_key, secondary_key,"
    " primary_reference, secondary_reference, device_information"
)
_MARKS = ", ".join("?" * (ENROLLMENT_COLUMNS.count(",") + 2))


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

    async def save_enrollment(
        self, enrollment: IndividualEnrollment, *, replaces: str | None, limit: int
    ) -> None:
        """Write one."""
        key = fold(enrollment.registration_id)
        columns = to_attestation_columns(enrollment.attestation)
        information = enrollment.optional_device_information
        values = (
            key,
            enrollment.registration_id,
            enrollment.device_id,
            *columns.thumbprints,
            *dump_terms(enrollment.terms),
            enrollment.etag,
            to_us(enrollment.created_at),
            to_us(enrollment.updated_at),
            *columns.ders,
            columns.attestation_type,
            *columns.keys,
            *columns.references,
            None if information is None else dump_json(information),
        )

        def run(connection: sqlite3.Connection) -> None:
            check_replaces(_etag(connection, key), replaces)
            check_references(connection, columns.references)
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
                f" VALUES ({_MARKS})",
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
        attestation=_to_attestation(row),
        device_id=row[1],
        terms=load_terms(row[4], row[5], row[6]),
        etag=row[7],
        created_at=from_us(row[8]),
        updated_at=from_us(row[9]),
        optional_device_information=None if row[17] is None else json.loads(row[17]),
    )


def _to_attestation(row: Sequence[Any]) -> IndividualAttestation:
    if row[12] == AttestationType.SYMMETRIC_KEY:
        return SymmetricKeys(row[13], row[14])
    if row[15] is not None or row[16] is not None:
        return CaReferences(row[15], row[16])
    return ClientCertificates(
        None if row[10] is None else StoredCertificate(row[10], row[2]),
        None if row[11] is None else StoredCertificate(row[11], row[3]),
    )
