"""Uploaded CA certificates."""

from __future__ import annotations

from email.utils import format_datetime
from typing import Any

from mooring.cloud.dps.documents.base import Document
from mooring.cloud.dps.model import CaCertificate


class CertificateProperties(Document):
    """What may be given of a CA certificate."""

    certificate: str
    is_verified: bool = False


class CertificateUpload(Document):
    """A CA certificate as a caller sends it."""

    properties: CertificateProperties


class VerificationUpload(Document):
    """A verification certificate as a caller sends it."""

    certificate: str


def certificate_to_json(certificate: CaCertificate, *, with_code: bool = False) -> dict[str, Any]:
    """Return a CA certificate as Azure's resource API has it, without the ARM envelope."""
    info = certificate.certificate.describe()
    properties: dict[str, Any] = {
        "subject": info.subject_name,
        "expiry": format_datetime(info.not_after, usegmt=True),
        "thumbprint": info.sha1_thumbprint,
        "sha256Thumbprint": info.sha256_thumbprint,
        "isVerified": certificate.verified,
        "created": format_datetime(certificate.created_at, usegmt=True),
        "updated": format_datetime(certificate.updated_at, usegmt=True),
    }
    if with_code:
        properties["verificationCode"] = certificate.verification_code
    return {"name": certificate.name, "etag": certificate.etag, "properties": properties}
