"""Certificates as columns."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from mooring.cloud.cacertificates.model import CaCertificate, StoredCertificate
from mooring.cloud.stores.sqlite.rows import from_us, from_us_or_none, to_us, to_us_or_none

CA_COLUMNS = (
    "name, der, sha256_thumbprint, verified, verification_code, code_made_at, former_codes,"
    " etag, created_at, updated_at"
)


def load_certificate_or_none(der: bytes | None) -> StoredCertificate | None:
    """Return the stored certificate of `der`, None for an empty slot."""
    return None if der is None else StoredCertificate(der, sha256(der).hexdigest().upper())


def to_ca_columns(certificate: CaCertificate) -> tuple[Any, ...]:
    """Return the values of `CA_COLUMNS`."""
    return (
        certificate.name,
        certificate.certificate.der,
        certificate.certificate.sha256_thumbprint,
        certificate.verified,
        certificate.verification_code,
        to_us_or_none(certificate.code_made_at),
        " ".join(certificate.former_codes),
        certificate.etag,
        to_us(certificate.created_at),
        to_us(certificate.updated_at),
    )


def to_ca_certificate(row: tuple[Any, ...]) -> CaCertificate:
    """Return the certificate of a row of `CA_COLUMNS`."""
    return CaCertificate(
        name=row[0],
        certificate=StoredCertificate(row[1], row[2]),
        verified=bool(row[3]),
        verification_code=row[4],
        code_made_at=from_us_or_none(row[5]),
        former_codes=tuple(row[6].split()),
        etag=row[7],
        created_at=from_us(row[8]),
        updated_at=from_us(row[9]),
    )
