"""What one certificate is good for in a chain, and how a chain is refused.

Facts only: nothing here looks at time or at other certificates, except that a certificate's own
signature tells whether it is self-signed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import ExtendedKeyUsageOID

from mooring.pki.certificates import (
    PARSE_FAULTS,
    Certificate,
    format_name,
    is_self_issued,
)
from mooring.pki.errors import PkiError
from mooring.pki.issuers import ca_fault
from mooring.pki.keys import certificate_key_weakness

_STRONG_HASHES = frozenset(
    {"sha256", "sha384", "sha512", "sha512-256", "sha3-256", "sha3-384", "sha3-512"}
)


class RefusalCode(StrEnum):
    """Why a chain is refused. The values are stable: they end up in attempt records."""

    NO_CERTIFICATE = "no-certificate"
    MALFORMED = "malformed"
    CERTIFICATE_TOO_LARGE = "certificate-too-large"
    CHAIN_TOO_LONG = "chain-too-long"
    UNKNOWN_CA = "unknown-ca"
    BAD_SIGNATURE = "bad-signature"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    WRONG_KEY_USAGE = "wrong-key-usage"
    ISSUER_NOT_CA = "issuer-not-ca"
    PATH_LENGTH_EXCEEDED = "path-length-exceeded"
    WEAK_KEY = "weak-key"
    WEAK_SIGNATURE = "weak-signature"
    CRITICAL_EXTENSION = "critical-extension"
    NAME_CONSTRAINT = "name-constraint"
    AMBIGUOUS_ISSUER = "ambiguous-issuer"
    CHAIN_INVALID = "chain-invalid"


_REMEDIES = {
    RefusalCode.NO_CERTIFICATE: "Configure the device with its certificate and private key.",
    RefusalCode.MALFORMED: "Have the certificate issued anew.",
    RefusalCode.CERTIFICATE_TOO_LARGE: "Have it issued anew without large extensions.",
    RefusalCode.CHAIN_TOO_LONG: "Send the device's certificate and the CAs above it, no others.",
    RefusalCode.UNKNOWN_CA: (
        "Add and verify the CA that issued it, or let the device send every intermediate up to a "
        "CA that is verified."
    ),
    RefusalCode.BAD_SIGNATURE: (
        "The issuer's name is known, its key is another: have the certificate issued by the CA "
        "that was added, or add the CA that issued it."
    ),
    RefusalCode.EXPIRED: "Issue a new certificate; check the clock if it should be valid.",
    RefusalCode.NOT_YET_VALID: "Check the clocks of this machine and of the one that issued it.",
    RefusalCode.WRONG_KEY_USAGE: (
        "Issue it with key usage digitalSignature and extended key usage clientAuth, or without "
        "these extensions."
    ),
    RefusalCode.ISSUER_NOT_CA: (
        "Have it issued by an X.509 v3 certificate with basic constraints CA:TRUE and, if it has "
        "a key usage, keyCertSign."
    ),
    RefusalCode.PATH_LENGTH_EXCEEDED: (
        "Have it issued further up, or reissue the CA with a greater path length."
    ),
    RefusalCode.WEAK_KEY: "Use RSA 2048 or more, or an EC key on P-256 or P-384.",
    RefusalCode.WEAK_SIGNATURE: "Have it signed with SHA-256 or stronger.",
    RefusalCode.CRITICAL_EXTENSION: "Have it issued without that critical extension.",
    RefusalCode.NAME_CONSTRAINT: "Use a name that the CA's name constraints allow.",
    RefusalCode.AMBIGUOUS_ISSUER: (
        "Give every CA of the chain a name of its own, or issue with subject and authority key "
        "identifiers."
    ),
    RefusalCode.CHAIN_INVALID: "Check the chain with: openssl verify -partial_chain",
}


class ChainRefused(PkiError):
    """A chain, or a pinned certificate, that is not accepted.

    Attributes:
        code: A `RefusalCode`.
        certificate_subject: Subject of the certificate at fault; None if there is none.
    """

    def __init__(
        self, code: str, message: str, remedy: str, certificate_subject: str | None = None
    ) -> None:
        super().__init__(message, remedy, field="certificate")
        self.code = code
        self.certificate_subject = certificate_subject


def refusal(code: RefusalCode, certificate: Certificate, fault: str) -> ChainRefused:
    """Return the refusal of a chain for `fault` ("has ...", "is ...") of `certificate`."""
    subject = safe_subject(certificate)
    return ChainRefused(code, f"Certificate {subject!r} {fault}.", _REMEDIES[code], subject)


def no_certificate() -> ChainRefused:
    """Return the refusal of a peer that presented nothing."""
    code = RefusalCode.NO_CERTIFICATE
    return ChainRefused(code, "The peer presented no certificate.", _REMEDIES[code])


def safe_subject(certificate: Certificate) -> str:
    """Return the subject for messages, even of a certificate whose subject cannot be read."""
    try:
        return format_name(certificate.subject)
    except PARSE_FAULTS:
        return "(unreadable subject)"


@dataclass(frozen=True, slots=True)
class CaFacts:
    """A certificate in the place of an issuer.

    Attributes:
        certificate: The certificate.
        der: Its DER.
        subject: Its subject.
        issuer: Its issuer's name.
        fault: Why nothing it signed counts (code and words), or None.
        signature_weakness: Why the signature on it does not count, or None.
        self_issued: Subject and issuer are one name.
        self_signed: Its own key signed it: nothing stands above.
    """

    certificate: Certificate
    der: bytes
    subject: x509.Name
    issuer: x509.Name
    fault: tuple[RefusalCode, str] | None
    signature_weakness: str | None
    self_issued: bool
    self_signed: bool


def ca_facts(certificate: Certificate, der: bytes) -> CaFacts:
    """Return what `certificate` is worth as an issuer.

    Raises:
        PARSE_FAULTS: It cannot be read.
    """
    fault = _issuing_fault(certificate)
    self_issued = is_self_issued(certificate)
    # The key of an unfit issuer is not used, not even on itself: it may be made to cost time.
    self_signed = self_issued and fault is None and has_signed(certificate, certificate)
    return CaFacts(
        certificate,
        der,
        certificate.subject,
        certificate.issuer,
        fault,
        signature_weakness(certificate),
        self_issued,
        self_signed,
    )


def _issuing_fault(certificate: Certificate) -> tuple[RefusalCode, str] | None:
    not_ca = ca_fault(certificate)
    if not_ca:
        return RefusalCode.ISSUER_NOT_CA, f"may not issue certificates: {not_ca}"
    weakness = certificate_key_weakness(certificate)
    if weakness:
        return RefusalCode.WEAK_KEY, f"has a {weakness}"
    usage = extended_usage_fault(certificate)
    return (RefusalCode.WRONG_KEY_USAGE, usage) if usage else None


def has_signed(parent: Certificate, child: Certificate) -> bool:
    """Return whether `parent` is named as issuer of `child` and its key made the signature."""
    try:
        child.verify_directly_issued_by(parent)
    except (InvalidSignature, *PARSE_FAULTS):
        return False
    return True


def signature_weakness(certificate: Certificate) -> str | None:
    """Return why the signature on `certificate` proves nothing, or None if it does."""
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return "signature of an unknown kind"
    if algorithm is None or algorithm.name not in _STRONG_HASHES:
        name = "no separate hash" if algorithm is None else algorithm.name.upper()
        return f"signature with {name}, not SHA-256 or stronger"
    return None


def extended_usage_fault(certificate: Certificate) -> str | None:
    """Return why the extended key usage rules out TLS clients, or None (RFC 5280 §4.2.1.12)."""
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return None
    if ExtendedKeyUsageOID.CLIENT_AUTH in usages:
        return None
    if ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usages:
        return None
    return "has an extended key usage without clientAuth"


def client_usage_fault(certificate: Certificate) -> str | None:
    """Return why a leaf's usages rule out a TLS client, or None if they do not."""
    fault = extended_usage_fault(certificate)
    if fault:
        return fault
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None
    # RFC 5246 §7.4.8, RFC 8446 §4.4.2.2: a client signs with its key.
    return None if usage.digital_signature else "has a key usage without digitalSignature"
