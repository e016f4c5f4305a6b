"""CA certificates and enrollment groups in SQLite."""

# ruff: noqa: S608 - only column lists of this file are put into statements

from __future__ import annotations

import sqlite3
from typing import Any

from mooring.cloud.cacertificates.model import CaCertificate
from mooring.cloud.dps.model import (
    AttestationType,
    CaReferences,
    EnrollmentGroup,
    GroupAttestation,
    SigningCertificates,
    SymmetricKeys,
)
from mooring.cloud.dps.store import AuthorityRecords, CertificateReferenced
from mooring.cloud.preconditions import RecordExists, RecordsFull, check_replaces
from mooring.cloud.stores.sqlite.attestations import check_references, to_attestation_columns
from mooring.cloud.stores.sqlite.certificates import (
    CA_COLUMNS,
    load_certificate_or_none,
    to_ca_certificate,
    to_ca_columns,
)
from mooring.cloud.stores.sqlite.rows import (
    SqliteCommitter,
    from_us,
    to_us,
)
from mooring.cloud.stores.sqlite.terms import dump_terms, load_terms
from mooring.protocol.azure.identifiers import fold_registration_id as fold

_GROUP = (
    "enrollment_group_id, primary_reference, secondary_reference, primary_der, secondary_der,"
    " provisioning_status, allocation_policy, terms, etag, created_at, updated_at,"
    " attestation_type, primary_key, secondary_key"
)
# Folding ASCII only, as `fold` does; each part is answered by an index.
_USER = (
    "SELECT 'enrollment group', enrollment_group_id FROM dps_group"
    " WHERE ?1 IN (lower(primary_reference), lower(secondary_reference))"
    " UNION ALL SELECT 'individual enrollment', registration_id FROM dps_enrollment"
    " WHERE primary_reference IS NOT NULL AND lower(primary_reference) = ?1"
    " UNION ALL SELECT 'individual enrollment', registration_id FROM dps_enrollment"
    " WHERE secondary_reference IS NOT NULL AND lower(secondary_reference) = ?1"
    " LIMIT 1"
)


class AuthorityTables(SqliteCommitter):
    """The tables ``dps_certificate`` and ``dps_group``."""

    async def load_authorities(self) -> AuthorityRecords:
        """Return CA certificates and groups, each by id, as of one moment."""

        def query(connection: sqlite3.Connection) -> AuthorityRecords:
            version = connection.execute("SELECT authority_version FROM dps_service").fetchone()
            certificates = connection.execute(
                f"SELECT {CA_COLUMNS} FROM dps_certificate ORDER BY certificate_key"
            ).fetchall()
            groups = connection.execute(
                f"SELECT {_GROUP} FROM dps_group ORDER BY group_key"
            ).fetchall()
            return AuthorityRecords(
                version[0],
                tuple(map(to_ca_certificate, certificates)),
                tuple(map(_to_group, groups)),
            )

        return await self._database.read(query)

    async def save_certificate(
        self, certificate: CaCertificate, *, replaces: str | None, limit: int
    ) -> None:
        """Write a CA certificate."""
        key = fold(certificate.name)
        values = (key, *to_ca_columns(certificate))

        def run(connection: sqlite3.Connection) -> None:
            check_replaces(_certificate_etag(connection, key), replaces)
            if replaces is None:
                count = connection.execute("SELECT count(*) FROM dps_certificate").fetchone()[0]
                if count >= limit:
                    raise RecordsFull
            connection.execute("DELETE FROM dps_certificate WHERE certificate_key = ?", (key,))
            try:
                connection.execute(
                    f"INSERT INTO dps_certificate (certificate_key, {CA_COLUMNS})"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    values,
                )
            except sqlite3.IntegrityError as error:  # the same certificate by another name
                raise RecordExists from error
            _bump(connection)

        await self._database.write(run)

    async def delete_certificate(self, name: str, *, replaces: str) -> None:
        """Delete a CA certificate."""
        key = fold(name)

        def run(connection: sqlite3.Connection) -> None:
            check_replaces(_certificate_etag(connection, key), replaces)
            user = connection.execute(_USER, (key,)).fetchone()
            if user is not None:
                raise CertificateReferenced(f"{user[0]} {user[1]!r}")
            connection.execute("DELETE FROM dps_certificate WHERE certificate_key = ?", (key,))
            _bump(connection)

        await self._database.write(run)

    async def save_group(self, group: EnrollmentGroup, *, replaces: str | None, limit: int) -> None:
        """Write a group."""
        key = fold(group.enrollment_group_id)
        columns = to_attestation_columns(group.attestation)
        values = (
            key,
            group.enrollment_group_id,
            *columns.references,
            *columns.ders,
            *dump_terms(group.terms),
            group.etag,
            to_us(group.created_at),
            to_us(group.updated_at),
            columns.attestation_type,
            *columns.keys,
        )

        def run(connection: sqlite3.Connection) -> None:
            check_replaces(_group_etag(connection, key), replaces)
            alike = connection.execute(
                "SELECT count(*) FROM dps_group WHERE attestation_type = ? AND group_key <> ?",
                (columns.attestation_type, key),
            ).fetchone()[0]
            if alike >= limit:
                raise RecordsFull
            check_references(connection, columns.references)
            connection.execute(
                f"INSERT OR REPLACE INTO dps_group (group_key, {_GROUP})"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                values,
            )
            _bump(connection)

        await self._database.write(run)

    async def delete_group(self, enrollment_group_id: str, *, replaces: str) -> None:
        """Delete a group; its registration records stay."""
        key = fold(enrollment_group_id)

        def run(connection: sqlite3.Connection) -> None:
            check_replaces(_group_etag(connection, key), replaces)
            connection.execute("DELETE FROM dps_group WHERE group_key = ?", (key,))
            _bump(connection)

        await self._database.write(run)


def _bump(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE dps_service SET authority_version = authority_version + 1")


def _certificate_etag(connection: sqlite3.Connection, key: str) -> str | None:
    row = connection.execute(
        "SELECT etag FROM dps_certificate WHERE certificate_key = ?", (key,)
    ).fetchone()
    return None if row is None else row[0]


def _group_etag(connection: sqlite3.Connection, key: str) -> str | None:
    row = connection.execute("SELECT etag FROM dps_group WHERE group_key = ?", (key,)).fetchone()
    return None if row is None else row[0]


def _to_group(row: tuple[Any, ...]) -> EnrollmentGroup:
    primary, secondary = load_certificate_or_none(row[3]), load_certificate_or_none(row[4])
    attestation: GroupAttestation
    if row[11] == AttestationType.SYMMETRIC_KEY:
        attestation = SymmetricKeys(row[12], row[13])
    elif primary is not None or secondary is not None:
        attestation = SigningCertificates(primary, secondary)
    else:
        attestation = CaReferences(row[1], row[2])
    return EnrollmentGroup(
        enrollment_group_id=row[0],
        attestation=attestation,
        terms=load_terms(row[5], row[6], row[7]),
        etag=row[8],
        created_at=from_us(row[9]),
        updated_at=from_us(row[10]),
    )
