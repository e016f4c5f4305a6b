"""Reading certificates: from any usual encoding, to the facts that others show and compare."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from mooring.pki.errors import (
    CertificateMalformed,
    InputEmpty,
    InputTooLarge,
    SeveralCertificates,
)

Certificate = x509.Certificate
"""`cryptography`'s certificate; the rest of Mooring passes it on without looking inside."""

MAX_CERTIFICATE_BYTES = 16 * 1024
"""One certificate as DER, in bytes. Devices' own TLS stacks often stop at 4 KiB and the largest
public ones stay under 10 KiB; more is not a device's certificate."""

MAX_CERTIFICATE_TEXT_BYTES = 64 * 1024
"""One certificate as text: base64 of PEM of the largest DER (x 16/9), with room for comments."""

PARSE_FAULTS = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    x509.AttributeNotFound,
)
"""What `cryptography` raises, now or when a field is first looked at, for a broken certificate."""

_PEM_BLOCK = re.compile(
    r"-----BEGIN (?:X509 )?CERTIFICATE-----(?P<body>.*?)-----END (?:X509 )?CERTIFICATE-----",
    re.DOTALL,
)
# RFC 4514 has no short name for the e-mail attribute; OpenSSL and the guide show one.
_NAME_OVERRIDES = {NameOID.EMAIL_ADDRESS: "emailAddress"}
_REMEDY = "Give one X.509 certificate as PEM, as base64 or as DER (.pem, .crt, .cer)."


@dataclass(frozen=True, slots=True)
class CertificateInfo:
    """The facts of a certificate that are shown and compared.

    Attributes:
        subject_name: Most specific first, as ``"CN=edge-gw-01, O=Quay"``; escaped as RFC 4514,
            control characters as ``\\XX``, so that it is safe in one line of text.
        issuer_name: The same for the issuer.
        sha1_thumbprint: Upper hex of SHA-1 over the DER, 40 digits, no separators.
        sha256_thumbprint: Upper hex of SHA-256 over the DER, 64 digits.
        not_before: First moment of validity, aware UTC.
        not_after: Last moment of validity, aware UTC.
        serial_number: Upper hex, whole bytes.
        version: 1 or 3.
    """

    subject_name: str
    issuer_name: str
    sha1_thumbprint: str
    sha256_thumbprint: str
    not_before: datetime
    not_after: datetime
    serial_number: str
    version: int


def load_certificate(data: str | bytes, *, field: str = "certificate") -> Certificate:
    """Return the one certificate in `data`.

    Args:
        data: PEM (text around it is ignored), the base64 body of PEM without its BEGIN and END
            lines, base64 of DER or of a whole PEM file (as Azure's APIs carry certificates),
            base64 of such base64 (as Azure's command line sends a .cer file), or DER itself.
        field: Name of the input in messages.

    Raises:
        InputEmpty: Nothing but white space.
        InputTooLarge: More than `MAX_CERTIFICATE_TEXT_BYTES`.
        SeveralCertificates: PEM with more than one certificate.
        CertificateMalformed: None of the above encodings, or not a certificate.
    """
    if len(data) > MAX_CERTIFICATE_TEXT_BYTES:
        raise InputTooLarge(
            f"{field}: {len(data)} bytes, more than the {MAX_CERTIFICATE_TEXT_BYTES} "
            "that one certificate may take.",
            _REMEDY,
            field=field,
        )
    if isinstance(data, bytes):
        if data[:1] == b"\x30":
            return load_der_certificate(data, field=field)
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise CertificateMalformed(
                f"{field}: neither text nor DER.", _REMEDY, field=field
            ) from None
    else:
        text = data.removeprefix("\ufeff")
    if not text.strip():
        raise InputEmpty(f"{field}: empty.", _REMEDY, field=field)
    if "-----BEGIN" in text:
        return _load_pem(text, field)
    decoded = _decode_base64(text, field)
    if b"-----BEGIN" in decoded:
        return _load_pem(decoded.decode("ascii", "replace"), field)
    if decoded[:1] != b"\x30" and decoded.isascii():
        decoded = _decode_base64(decoded.decode("ascii"), field)
    return load_der_certificate(decoded, field=field)


def _load_pem(text: str, field: str) -> Certificate:
    blocks = [match["body"] for match in _PEM_BLOCK.finditer(text)]
    if not blocks:
        raise CertificateMalformed(
            f"{field}: PEM, but without a whole CERTIFICATE block.", _REMEDY, field=field
        )
    if len(blocks) > 1:
        raise SeveralCertificates(
            f"{field}: holds {len(blocks)} certificates where one is asked for.",
            "Give the one certificate alone, without its chain.",
            field=field,
        )
    return load_der_certificate(_decode_base64(blocks[0], field), field=field)


def _decode_base64(text: str, field: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise CertificateMalformed(
            f"{field}: neither PEM nor base64.", _REMEDY, field=field
        ) from None


def load_der_certificate(data: bytes, *, field: str = "certificate") -> Certificate:
    """Return the certificate whose DER is `data`, with every field known to be readable.

    Raises:
        InputTooLarge: More than `MAX_CERTIFICATE_BYTES`.
        CertificateMalformed: Not one certificate, or one whose names, dates or extensions
            cannot be read.
    """
    if len(data) > MAX_CERTIFICATE_BYTES:
        raise InputTooLarge(
            f"{field}: {len(data)} bytes of DER, more than the {MAX_CERTIFICATE_BYTES} allowed.",
            "Give a certificate without large extensions.",
            field=field,
        )
    try:
        certificate = x509.load_der_x509_certificate(data)
        # cryptography reads these only when they are first asked for; a certificate that fails
        # later would fail in somebody's hands.
        _ = (
            certificate.subject,
            certificate.issuer,
            certificate.serial_number,
            certificate.not_valid_before_utc,
            certificate.not_valid_after_utc,
            certificate.extensions,
        )
    except PARSE_FAULTS as error:
        raise CertificateMalformed(
            f"{field}: not a readable X.509 certificate ({error}).", _REMEDY, field=field
        ) from error
    return certificate


def dump_certificate(certificate: Certificate) -> str:
    """Return `certificate` as PEM: BEGIN line, lines of 64, END line, newline at the end."""
    return certificate.public_bytes(Encoding.PEM).decode("ascii")


def certificate_der(certificate: Certificate) -> bytes:
    """Return `certificate` as DER."""
    return certificate.public_bytes(Encoding.DER)


def sha1_thumbprint(certificate: Certificate) -> str:
    """Return the SHA-1 thumbprint, 40 upper hex digits. An index, as Azure uses it; no proof."""
    return certificate.fingerprint(hashes.SHA1()).hex().upper()  # noqa: S303 - Azure's index


def sha256_thumbprint(certificate: Certificate) -> str:
    """Return the SHA-256 thumbprint, 64 upper hex digits."""
    return certificate.fingerprint(hashes.SHA256()).hex().upper()


def common_names(certificate: Certificate) -> tuple[str, ...]:
    """Return every common name in the subject, in the order of the certificate."""
    return tuple(
        attribute.value
        for attribute in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        if isinstance(attribute.value, str)
    )


def common_name(certificate: Certificate) -> str | None:
    """Return the subject's common name; None if there is none, or more than one.

    The common name is a device's identity, so a subject with two of them has none: which one
    counts would depend on who reads.
    """
    names = common_names(certificate)
    return names[0] if len(names) == 1 else None


def format_name(name: x509.Name) -> str:
    """Return `name` most specific part first, ``"CN=edge-gw-01, O=Quay"``, on one safe line."""
    text = ", ".join(
        part.rfc4514_string(attr_name_overrides=_NAME_OVERRIDES) for part in reversed(name.rdns)
    )
    return "".join(
        character
        if character.isprintable()
        else "".join(f"\\{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))
        for character in text
    )


def is_self_issued(certificate: Certificate) -> bool:
    """Return whether subject and issuer are the same name (RFC 5280 §3.2)."""
    return certificate.subject == certificate.issuer


def describe(certificate: Certificate) -> CertificateInfo:
    """Return the facts of `certificate`."""
    serial = f"{certificate.serial_number:X}"
    return CertificateInfo(
        subject_name=format_name(certificate.subject),
        issuer_name=format_name(certificate.issuer),
        sha1_thumbprint=sha1_thumbprint(certificate),
        sha256_thumbprint=sha256_thumbprint(certificate),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        serial_number=serial.zfill(len(serial) + len(serial) % 2),
        version=3 if certificate.version is x509.Version.v3 else 1,
    )
