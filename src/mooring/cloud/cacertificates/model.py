"""Certificates at rest, and CA certificates with the state of their proof."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from mooring.pki.certificates import (
    Certificate,
    CertificateInfo,
    certificate_der,
    describe,
    load_der_certificate,
    sha256_thumbprint,
)


@dataclass(frozen=True, slots=True)
class StoredCertificate:
    """A certificate at rest: its DER and the SHA-256 thumbprint it is found by."""

    der: bytes = field(repr=False)
    sha256_thumbprint: str

    @classmethod
    def of(cls, certificate: Certificate) -> StoredCertificate:
        """Return `certificate` in the form that is kept."""
        return cls(certificate_der(certificate), sha256_thumbprint(certificate))

    def load(self) -> Certificate:
        """Return the certificate itself."""
        return load_der_certificate(self.der)

    def describe(self) -> CertificateInfo:
        """Return subject, issuer, thumbprints, dates, serial number and version."""
        return describe(self.load())


@dataclass(frozen=True, slots=True)
class CaCertificate:
    """An uploaded CA certificate and the proof that its key is held.

    `verification_code` and `code_made_at` are set from *generate* until the code is used,
    replaced or the certificate is deleted; a code older than 24 h is refused. `former_codes` are
    kept only to say "that was an earlier code" to whoever signs one.
    """

    name: str
    certificate: StoredCertificate
    verified: bool
    verification_code: str | None = field(repr=False)
    code_made_at: datetime | None
    former_codes: tuple[str, ...] = field(repr=False)
    etag: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class WaitingCode:
    """A verification code that waits for its proof until `expires_at`."""

    code: str = field(repr=False)
    expires_at: datetime
