"""``attestation``: what devices prove who they are with."""

from __future__ import annotations

from typing import Any

from mooring.cloud.cacertificates.model import StoredCertificate
from mooring.cloud.dps.documents.base import Document
from mooring.cloud.dps.errors import InputInvalid
from mooring.cloud.dps.model import (
    CaReferences,
    CertificateSlot,
    CertificateSlots,
    GroupAttestation,
    IndividualAttestation,
    SigningCertificates,
    Slot,
    SymmetricKeys,
    SymmetricKeySlots,
)
from mooring.pki.certificates import CertificateInfo, dump_certificate
from mooring.protocol.azure.errors import quoted
from mooring.protocol.azure.timestamps import format_timestamp

KINDS = ("clientCertificates", "signingCertificates", "caReferences")
"""What `x509` may hold; exactly one of them (Azure's .NET SDK reads nothing else)."""


class CertificateEntry(Document):
    """One certificate: its text, or only what was read of a stored one."""

    certificate: str | None = None
    info: dict[str, Any] | None = None

    def to_slot(self) -> CertificateSlot:
        """Return what the entry asks for."""
        if self.certificate:
            return self.certificate
        return None if self.info is None else Slot.KEEP


class CertificateEntries(Document):
    """Primary and secondary certificate."""

    primary: CertificateEntry | None = None
    secondary: CertificateEntry | None = None

    def to_slots(self) -> CertificateSlots:
        """Return what the entries ask for."""
        return CertificateSlots(
            None if self.primary is None else self.primary.to_slot(),
            None if self.secondary is None else self.secondary.to_slot(),
        )


class CaNames(Document):
    """Names of uploaded CA certificates."""

    primary: str | None = None
    secondary: str | None = None

    def to_references(self) -> CaReferences:
        """Return what the names ask for."""
        return CaReferences(self.primary or None, self.secondary or None)


class X509Body(Document):
    """Attestation by certificate; one of the three."""

    client_certificates: CertificateEntries | None = None
    signing_certificates: CertificateEntries | None = None
    ca_references: CaNames | None = None

    def kinds(self) -> list[str]:
        """Return which of `KINDS` are there."""
        members = (self.client_certificates, self.signing_certificates, self.ca_references)
        return [kind for kind, member in zip(KINDS, members, strict=True) if member is not None]


class SymmetricKeyBody(Document):
    """Attestation by shared key; a key that is missing is kept, or made."""

    primary_key: str | None = None
    secondary_key: str | None = None

    def to_slots(self) -> SymmetricKeySlots:
        """Return what the keys ask for."""
        return SymmetricKeySlots(self.primary_key or None, self.secondary_key or None)


class AttestationBody(Document):
    """How devices prove who they are."""

    type: str | None = None
    x509: X509Body | None = None
    symmetric_key: SymmetricKeyBody | None = None

    def to_individual(self) -> CertificateSlots | CaReferences | SymmetricKeySlots:
        """Return what an individual enrollment asks its device to prove. Raises InputInvalid."""
        return self._wanted(
            allowed=("clientCertificates", "caReferences"),
            remedy="Give the device's own certificate as clientCertificates; a CA that issues for "
            "many devices belongs into an enrollment group.",
        )

    def to_group(self) -> CertificateSlots | CaReferences | SymmetricKeySlots:
        """Return what a group asks its devices to prove. Raises InputInvalid."""
        return self._wanted(
            allowed=("caReferences", "signingCertificates"),
            remedy="Name an uploaded CA certificate as caReferences, or give one as "
            "signingCertificates; one device's own certificate belongs into an individual "
            "enrollment.",
        )

    def _wanted(
        self, *, allowed: tuple[str, ...], remedy: str
    ) -> CertificateSlots | CaReferences | SymmetricKeySlots:
        if self._type() == "symmetrickey":
            return (self.symmetric_key or SymmetricKeyBody()).to_slots()
        field = "attestation.x509"
        x509 = self.x509 or X509Body()
        kinds = x509.kinds()
        if len(kinds) != 1:
            raise InputInvalid(
                f"{field}: holds {' and '.join(kinds) or 'no certificates'}; "
                f"it takes exactly one of {' and '.join(allowed)}.",
                "Keep one of them and leave the others out." if kinds else remedy,
                field=field,
                code="attestation-kinds",
            )
        if kinds[0] not in allowed:
            raise InputInvalid(
                f"{field}.{kinds[0]}: not for this kind of enrollment.",
                remedy,
                field=f"{field}.{kinds[0]}",
                code="attestation-kind-not-allowed",
            )
        if x509.ca_references is not None:
            return x509.ca_references.to_references()
        entries = x509.client_certificates or x509.signing_certificates
        assert entries is not None  # of the three there is one
        return entries.to_slots()

    def _type(self) -> str:
        field = "attestation.type"
        given = (self.type or "").lower()
        if given in {"x509", "symmetrickey"}:
            return given
        fault = f"{quoted(self.type)} is not supported" if self.type else "missing"
        raise InputInvalid(
            f"{field}: {fault}.",
            "Give x509 or symmetricKey"
            + (", the kinds that need no TPM." if given == "tpm" else "."),
            field=field,
            code="attestation-type-not-supported",
        )


def attestation_to_json(
    attestation: IndividualAttestation | GroupAttestation, *, with_keys: bool = False
) -> dict[str, Any]:
    """Return an attestation as Azure's service API shows it; symmetric keys if asked for.

    Certificates are shown by `info`; sent back so, they keep the stored one. Their text is there
    as well, which Azure leaves out and its clients read past: what was exported can be imported
    elsewhere.
    """
    if isinstance(attestation, SymmetricKeys):
        keys = {"primaryKey": attestation.primary, "secondaryKey": attestation.secondary}
        return {"type": "symmetricKey", "symmetricKey": keys if with_keys else {}}
    if isinstance(attestation, CaReferences):
        names = {"primary": attestation.primary, "secondary": attestation.secondary}
        x509 = {"caReferences": {slot: name for slot, name in names.items() if name is not None}}
        return {"type": "x509", "x509": x509}
    kind = (
        "signingCertificates"
        if isinstance(attestation, SigningCertificates)
        else "clientCertificates"
    )
    entries = {
        slot: {
            "certificate": dump_certificate(certificate.load()),
            "info": info_to_json(certificate.describe()),
        }
        for slot, certificate in _slots(attestation.primary, attestation.secondary)
    }
    return {"type": "x509", "x509": {kind: entries}}


def info_to_json(info: CertificateInfo) -> dict[str, Any]:
    """Return the facts of a certificate with Azure's eight members; SDKs need every one."""
    return {
        "subjectName": info.subject_name,
        "sha1Thumbprint": info.sha1_thumbprint,
        "sha256Thumbprint": info.sha256_thumbprint,
        "issuerName": info.issuer_name,
        "notBeforeUtc": format_timestamp(info.not_before),
        "notAfterUtc": format_timestamp(info.not_after),
        "serialNumber": info.serial_number,
        "version": info.version,
    }


def _slots(
    primary: StoredCertificate | None, secondary: StoredCertificate | None
) -> list[tuple[str, StoredCertificate]]:
    slots = (("primary", primary), ("secondary", secondary))
    return [(slot, certificate) for slot, certificate in slots if certificate is not None]
