"""How an enrollment's attestation is spread over columns, alike for individuals and groups."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from mooring.cloud.cacertificates.model import StoredCertificate
from mooring.cloud.dps.model import (
    AttestationType,
    CaReferences,
    GroupAttestation,
    IndividualAttestation,
    SymmetricKeys,
)
from mooring.cloud.dps.store import ReferenceMissing
from mooring.protocol.azure.identifiers import fold_registration_id as fold


@dataclass(frozen=True, slots=True)
class AttestationColumns:
    """Primary and secondary of each kind; only those of one kind are set."""

    attestation_type: str
    thumbprints: tuple[str | None, str | None] = (None, None)
    ders: tuple[bytes | None, bytes | None] = (None, None)
    keys: tuple[str | None, str | None] = (None, None)
    references: tuple[str | None, str | None] = (None, None)


def to_attestation_columns(
    attestation: IndividualAttestation | GroupAttestation,
) -> AttestationColumns:
    """Return the columns of `attestation`."""
    pair = (attestation.primary, attestation.secondary)
    if isinstance(attestation, SymmetricKeys):
        return AttestationColumns(
            AttestationType.SYMMETRIC_KEY.value, keys=(attestation.primary, attestation.secondary)
        )
    if isinstance(attestation, CaReferences):
        return AttestationColumns(
            AttestationType.X509.value, references=(attestation.primary, attestation.secondary)
        )
    certificates = [item if isinstance(item, StoredCertificate) else None for item in pair]
    return AttestationColumns(
        AttestationType.X509.value,
        thumbprints=(_thumbprint(certificates[0]), _thumbprint(certificates[1])),
        ders=(_der(certificates[0]), _der(certificates[1])),
    )


def check_references(connection: sqlite3.Connection, names: Iterable[str | None]) -> None:
    """Return if every CA certificate of `names` is there. Raises ReferenceMissing."""
    for name in names:
        if name is None:
            continue
        found = connection.execute(
            "SELECT 1 FROM dps_certificate WHERE certificate_key = ?", (fold(name),)
        ).fetchone()
        if found is None:
            raise ReferenceMissing(name)


def _der(certificate: StoredCertificate | None) -> bytes | None:
    return None if certificate is None else certificate.der


def _thumbprint(certificate: StoredCertificate | None) -> str | None:
    return None if certificate is None else certificate.sha256_thumbprint
