"""Who may sign: a CA's certificate with its key, checked before it is used.

A signature that whoever verifies the chain would refuse is refused here, where it can still be
mended.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from mooring.pki.certificates import Certificate, format_name, is_self_issued
from mooring.pki.errors import (
    IssuerKeyMismatch,
    IssuerNotCa,
    IssuerNotValidNow,
    IssuerWeak,
    PathLengthExceeded,
    PathLengthInvalid,
)
from mooring.pki.keys import PrivateKey, certificate_key_weakness, public_key_der


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who signs.

    Attributes:
        certificate: The issuer's certificate.
        key: Its private key.
        chain: The certificates above it, nearest first; may be empty or stop below the root.
    """

    certificate: Certificate
    key: PrivateKey = field(repr=False)
    chain: tuple[Certificate, ...] = ()


def check_issuer(
    issuer: Issuer, *, now: datetime, for_ca: bool, path_length: int | None = None
) -> None:
    """Refuse an issuer whose signature would be worth nothing.

    Args:
        issuer: Who is to sign.
        now: Aware.
        for_ca: The new certificate is a CA itself.
        path_length: The new CA's own path length; None when it states none.

    Raises:
        IssuerKeyMismatch, IssuerWeak, IssuerNotCa, IssuerNotValidNow, PathLengthExceeded,
        PathLengthInvalid: As they say.
    """
    certificate = issuer.certificate
    name = format_name(certificate.subject)
    weakness = certificate_key_weakness(certificate)
    if weakness:
        raise IssuerWeak(
            f"The issuer {name!r} has a {weakness}.",
            "Make a new CA with RSA 2048 or more, or on P-256 or P-384.",
            field="issuer",
        )
    if public_key_der(certificate) != public_key_der(issuer.key):
        raise IssuerKeyMismatch(
            f"The private key given is not the key of the issuer {name!r}.",
            "Give the key file that was made together with the issuer's certificate.",
            field="issuer",
        )
    fault = ca_fault(certificate)
    if fault:
        raise IssuerNotCa(
            f"The issuer {name!r} may not sign certificates: {fault}.",
            "Sign with a CA certificate, such as one made by: mooring cert root",
            field="issuer",
        )
    _check_validity(certificate, name, now)
    _check_path_lengths(issuer, for_ca=for_ca, path_length=path_length)


def ca_fault(certificate: Certificate) -> str | None:
    """Return why `certificate` may not sign others, or None if it may (RFC 5280 §6.1.4 k, n)."""
    if certificate.version is not x509.Version.v3:
        return "it is X.509 version 1, which cannot say that it is a CA"
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return "it has no basic constraints, so it is not a CA"
    if not constraints.ca:
        return "its basic constraints say CA:FALSE"
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None
    return None if usage.key_cert_sign else "its key usage lacks keyCertSign"


def path_length_of(certificate: Certificate) -> int | None:
    """Return the path length that a CA certificate states; None for any."""
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return None
    return constraints.path_length


def authority_key_identifier(certificate: Certificate) -> x509.AuthorityKeyIdentifier:
    """Return the extension that points at `certificate` as issuer (RFC 5280 §4.2.1.1)."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        key = certificate.public_key()
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)  # type: ignore[arg-type]  # check_issuer has seen that it is RSA or EC
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(found)


def signature_digest(key: PrivateKey) -> hashes.SHA256 | hashes.SHA384:
    """Return the hash to sign with: SHA-384 on P-384 and above, SHA-256 otherwise."""
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.key_size > 256:
        return hashes.SHA384()
    return hashes.SHA256()


def _check_validity(certificate: Certificate, name: str, now: datetime) -> None:
    if now > certificate.not_valid_after_utc:
        raise IssuerNotValidNow(
            f"The issuer {name!r} expired at {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC.",
            "Make a new CA certificate; what it signed before has expired with it.",
            field="issuer",
        )
    if now < certificate.not_valid_before_utc:
        raise IssuerNotValidNow(
            f"The issuer {name!r} is not valid before "
            f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC.",
            "Check this machine's clock.",
            field="issuer",
        )


def _check_path_lengths(issuer: Issuer, *, for_ca: bool, path_length: int | None) -> None:
    """RFC 5280 §4.2.1.9: at most so many non-self-issued CA certificates below."""
    below = 1 if for_ca else 0
    for certificate in (issuer.certificate, *issuer.chain):
        allowed = path_length_of(certificate)
        name = format_name(certificate.subject)
        if allowed is not None and below > allowed:
            raise PathLengthExceeded(
                f"{name!r} allows {allowed} CA certificates below it; this would be number "
                f"{below}.",
                "Sign with a CA further up, or make one with a greater path length.",
                field="issuer",
            )
        if allowed is not None and path_length is not None and path_length > allowed - below:
            raise PathLengthInvalid(
                f"A path length of {path_length} does not fit below {name!r}, which leaves room "
                f"for {allowed - below}.",
                f"Give a path length of at most {allowed - below}.",
                field="path_length",
            )
        if not is_self_issued(certificate):
            below += 1
