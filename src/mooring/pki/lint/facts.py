"""Facts read off a certificate, in the words that findings and ``mooring cert show`` use.

Certificates come from `mooring.pki.certificates`, which has looked at names, dates and extensions
already; only the public key and the signature algorithm may still be of an unknown kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from mooring.pki.certificates import PARSE_FAULTS, Certificate, format_name
from mooring.pki.keys import describe_key

ExtensionT = TypeVar("ExtensionT", bound=x509.ExtensionType)


def quoted(text: str) -> str:
    """Return `text` from a stranger in quotes, what cannot be printed escaped, at most 80 long."""
    shown = text if len(text) <= 80 else f"{text[:79]}…"
    safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)
    return f"“{safe}”"


def subject_text(certificate: Certificate) -> str:
    """Return how to call `certificate` in a sentence: its subject, else its serial number."""
    subject = format_name(certificate.subject)
    return quoted(subject) if subject else f"with serial number {certificate.serial_number:X}"


def issuer_text(certificate: Certificate) -> str:
    """Return how to call the issuer of `certificate` in a sentence."""
    return quoted(format_name(certificate.issuer))


def extension(certificate: Certificate, kind: type[ExtensionT]) -> ExtensionT | None:
    """Return the extension of `kind`, or None when the certificate has none."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def is_ca(certificate: Certificate) -> bool:
    """Return whether basic constraints say CA:TRUE."""
    constraints = extension(certificate, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def public_key(certificate: Certificate) -> PublicKeyTypes | None:
    """Return the public key, or None when nobody here can read its kind."""
    try:
        return certificate.public_key()
    except PARSE_FAULTS:
        return None


def is_signed_by(certificate: Certificate, issuer: Certificate) -> bool | None:
    """Return whether `issuer` has the name and the key that `certificate` was signed with.

    None means that the names agree and nobody here can tell about the key, as with a signature
    over SHA-1, which `cryptography` no longer verifies.
    """
    if certificate.issuer != issuer.subject:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except InvalidSignature:
        return False
    except PARSE_FAULTS:
        return None
    return True


def is_self_signed(certificate: Certificate) -> bool:
    """Return whether `certificate` vouches for itself, as far as can be told."""
    return is_signed_by(certificate, certificate) is not False


def describe_time(moment: datetime) -> str:
    """Return `moment` for a person: ``2030-01-31 12:00 UTC``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def describe_public_key(certificate: Certificate) -> str:
    """Return kind and strength of the public key: ``RSA 2048``, ``EC secp256r1``."""
    key = public_key(certificate)
    return "unknown" if key is None else describe_key(key)


def signature_hash(certificate: Certificate) -> str | None:
    """Return the hash that was signed, ``"sha256"``; None where the algorithm has none."""
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return None
    return None if algorithm is None else algorithm.name


def describe_extensions(certificate: Certificate) -> list[tuple[str, bool, str]]:
    """Return name, critical flag and content in words of every extension, as they stand."""
    return [
        (_oid_name(entry.oid), entry.critical, "; ".join(_extension_words(entry.value)))
        for entry in certificate.extensions
    ]


def key_usages(usage: x509.KeyUsage) -> list[str]:
    """Return the asserted usages by the names of RFC 5280 §4.2.1.3, in the order of the bits."""
    usages = {
        "digitalSignature": usage.digital_signature,
        "nonRepudiation": usage.content_commitment,
        "keyEncipherment": usage.key_encipherment,
        "dataEncipherment": usage.data_encipherment,
        "keyAgreement": usage.key_agreement,
        "keyCertSign": usage.key_cert_sign,
        "cRLSign": usage.crl_sign,
        # The next two are defined beside keyAgreement only; cryptography raises otherwise.
        "encipherOnly": usage.key_agreement and usage.encipher_only,
        "decipherOnly": usage.key_agreement and usage.decipher_only,
    }
    return [name for name, asserted in usages.items() if asserted]


def extended_key_usages(usage: x509.ExtendedKeyUsage) -> list[str]:
    """Return the purposes by name, ``clientAuth``, or by OID where they have none."""
    return [_oid_name(purpose) for purpose in usage]


def _oid_name(oid: x509.ObjectIdentifier) -> str:
    # cryptography keeps the registered name of an OID in a private attribute; the repr, which is
    # public, ends with it: <ObjectIdentifier(oid=2.5.29.15, name=keyUsage)>.
    name = repr(oid).partition("name=")[2].rstrip(")>")
    return oid.dotted_string if name in {"", "Unknown OID"} else name


def _extension_words(value: x509.ExtensionType) -> Iterator[str]:
    match value:
        case x509.BasicConstraints():
            yield f"CA:{str(value.ca).upper()}"
            if value.path_length is not None:
                yield f"path length {value.path_length}"
        case x509.KeyUsage():
            yield ", ".join(key_usages(value)) or "none"
        case x509.ExtendedKeyUsage():
            yield ", ".join(extended_key_usages(value))
        case x509.SubjectKeyIdentifier():
            yield value.digest.hex().upper()
        case x509.AuthorityKeyIdentifier():
            yield (value.key_identifier or b"").hex().upper()
        case x509.SubjectAlternativeName():
            yield ", ".join(_general_name(name) for name in value)
        case x509.UnrecognizedExtension():
            yield f"{len(value.value)} bytes"
        case _:
            yield quoted(repr(value))


def _general_name(name: x509.GeneralName) -> str:
    kind = {x509.DNSName: "DNS:", x509.IPAddress: "IP:"}.get(type(name), "")
    return f"{kind}{quoted(str(name.value))[1:-1]}"
