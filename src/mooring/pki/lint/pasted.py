"""Linting what a user pasted: intake first, then the rules, never an exception for bad input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mooring.pki.certificates import Certificate, CertificateInfo, common_name, describe
from mooring.pki.errors import PkiError
from mooring.pki.lint.facts import describe_public_key, is_ca, is_self_signed
from mooring.pki.lint.linter import lint
from mooring.pki.lint.model import Finding, LintContext, Purpose, Severity
from mooring.pki.pem import (
    CertificateIntake,
    KeyIntake,
    take_bundle,
    take_certificates,
    take_private_key,
)


@dataclass(frozen=True, slots=True)
class IdentityPreview:
    """Who a certificate is, to be shown beside the field that it was pasted into.

    Attributes:
        registers_as: The common name, hence the registration id; None when there is no one name.
        info: Subject, issuer, validity, thumbprints, serial number and version of the leaf.
        key: Kind and strength of the public key, ``RSA 2048``.
        is_ca: Whether the leaf is marked as a CA.
        is_self_signed: Whether the leaf vouches for itself.
        chain_length: Number of certificates, the leaf included.
        chain: Subjects, leaf first.
    """

    registers_as: str | None
    info: CertificateInfo
    key: str
    is_ca: bool
    is_self_signed: bool
    chain_length: int
    chain: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the preview as JSON-ready values; times are ISO 8601 UTC."""
        return {
            "registers_as": self.registers_as,
            "subject_name": self.info.subject_name,
            "issuer_name": self.info.issuer_name,
            "not_before": self.info.not_before.isoformat(),
            "not_after": self.info.not_after.isoformat(),
            "sha1_thumbprint": self.info.sha1_thumbprint,
            "sha256_thumbprint": self.info.sha256_thumbprint,
            "serial_number": self.info.serial_number,
            "version": self.info.version,
            "key": self.key,
            "is_ca": self.is_ca,
            "is_self_signed": self.is_self_signed,
            "chain_length": self.chain_length,
            "chain": list(self.chain),
        }


def preview_identity(chain: Sequence[Certificate]) -> IdentityPreview:
    """Return who `chain` (leaf first, at least one certificate) is."""
    leaf = chain[0]
    return IdentityPreview(
        registers_as=common_name(leaf),
        info=describe(leaf),
        key=describe_public_key(leaf),
        is_ca=is_ca(leaf),
        is_self_signed=is_self_signed(leaf),
        chain_length=len(chain),
        chain=tuple(describe(certificate).subject_name for certificate in chain),
    )


@dataclass(frozen=True, slots=True)
class LintReport:
    """What came of a paste. The key is in it, but in neither its text form nor its JSON.

    Attributes:
        findings: The weightiest first.
        identity: Who the certificate is; None when it could not be read.
        certificates: The certificates taken in; None when they could not be read. Its ``pem`` is
            the normalised text to be kept.
        key: The key taken in; None when none was given or it could not be read. Its ``pem`` stays
            encrypted if the paste was.
    """

    findings: tuple[Finding, ...]
    identity: IdentityPreview | None
    certificates: CertificateIntake | None = field(repr=False)
    key: KeyIntake | None = field(repr=False)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Return the findings that stop a connection."""
        return tuple(f for f in self.findings if f.severity is Severity.ERROR)

    @property
    def ok(self) -> bool:
        """Return whether nothing was found that stops a connection."""
        return not self.errors

    def to_json(self) -> dict[str, Any]:
        """Return verdict, findings and identity as JSON-ready values; no key, no PEM."""
        return {
            "ok": self.ok,
            "findings": [finding.to_json() for finding in self.findings],
            "identity": None if self.identity is None else self.identity.to_json(),
        }


def lint_pasted(
    certificate_text: str | bytes,
    key_text: str | bytes | None = None,
    passphrase: bytes | None = None,
    *,
    now: datetime,
    purpose: Purpose = Purpose.DEVICE,
    strict_subject_rules: bool = False,
    registration_id: str | None = None,
    verification_code: str | None = None,
    endpoint: str | None = None,
    scope_id: str | None = None,
    known_cas: Sequence[Certificate] = (),
) -> LintReport:
    """Return the report on pasted texts; whatever is wrong with them is a finding.

    Args:
        certificate_text: Certificate, and its chain if any: PEM text, or a file's bytes.
        key_text: The private key likewise; None when there is none to judge, ``""`` when the
            field was left empty.
        passphrase: Opens an encrypted key; None or empty when there is none.
        now: The present, aware UTC.
        purpose: What the first certificate is to serve as.
        strict_subject_rules: The guide's subject rules are errors, not warnings.
        registration_id: As in `LintContext`; None is "not judged".
        verification_code: As in `LintContext`.
        endpoint: As in `LintContext`.
        scope_id: As in `LintContext`.
        known_cas: As in `LintContext`.

    Raises:
        ValueError: `now` is naive or not UTC; nothing else, whatever the texts hold.
    """
    certificates: CertificateIntake | None = None
    certificate_refusal: PkiError | None = None
    key: KeyIntake | None = None
    key_refusal: PkiError | None = None
    take = take_bundle if purpose is Purpose.CHAIN else take_certificates
    try:
        certificates = take(certificate_text, field="Certificate")
    except PkiError as error:
        certificate_refusal = error
    if key_text is not None:
        try:
            key = take_private_key(key_text, passphrase=passphrase, field="Private key")
        except PkiError as error:
            key_refusal = error
    chain = () if certificates is None else certificates.certificates
    context = LintContext(
        now=now,
        purpose=purpose,
        chain=chain,
        strict_subject_rules=strict_subject_rules,
        registration_id=registration_id,
        verification_code=verification_code,
        endpoint=endpoint,
        scope_id=scope_id,
        known_cas=tuple(known_cas),
        key=None if key is None else key.key,
        certificate_repairs=() if certificates is None else certificates.repairs,
        key_repairs=() if key is None else key.repairs,
        certificate_refusal=certificate_refusal,
        key_refusal=key_refusal,
    )
    return LintReport(
        findings=tuple(lint(context)),
        identity=preview_identity(chain) if chain else None,
        certificates=certificates,
        key=key,
    )
