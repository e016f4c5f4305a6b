"""Certificates as columns."""

from __future__ import annotations

from hashlib import sha256

from mooring.cloud.dps.model import StoredCertificate


def load_certificate_or_none(der: bytes | None) -> StoredCertificate | None:
    """Return the stored certificate of `der`, None for an empty slot."""
    return None if der is None else StoredCertificate(der, sha256(der).hexdigest().upper())
