"""Certificates of every odd kind, for tests of those who must refuse them.

`mooring.pki.issuing` refuses to make most of these, so they are built here with `cryptography`
directly.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mooring.pki.certificates import load_certificate

NOW = datetime(2030, 6, 1, 12, 0, tzinfo=UTC)
VECTORS = Path(__file__).parent.parent / "vectors" / "x509"
VECTOR_TIME = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)

CLIENT_AUTH = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER_AUTH = ExtendedKeyUsageOID.SERVER_AUTH
ANY_USAGE = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE

_USAGE_BITS = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


@dataclass(frozen=True, slots=True)
class Made:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: Any


def vector(name: str) -> x509.Certificate:
    """Return a certificate of tests/vectors/x509."""
    return load_certificate((VECTORS / name).read_bytes())


@functools.cache
def key_of(kind: str) -> Any:
    """Return one key of `kind`, the same at every call; ``p256#2`` is another one."""
    family = kind.partition("#")[0]
    if family.startswith("rsa"):
        return rsa.generate_private_key(65537, int(family[3:]))
    if family == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    curves = {
        "p256": ec.SECP256R1(),
        "p384": ec.SECP384R1(),
        "secp256k1": ec.SECP256K1(),
    }
    return ec.generate_private_key(curves[family])


def usage(*asserted: str) -> x509.KeyUsage:
    """Return a key usage with only the `asserted` bits."""
    return x509.KeyUsage(**{bit: bit in asserted for bit in _USAGE_BITS})


def name(common_name: str | None, organization: str | None = "Quay") -> x509.Name:
    """Return O=`organization`, CN=`common_name`."""
    attributes = []
    if organization:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    if common_name:
        attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
    return x509.Name(attributes)


def make(
    subject: str | x509.Name,
    issuer: Made | None = None,
    *,
    key: Any = None,
    signer: Any = None,
    issuer_name: x509.Name | None = None,
    ca: bool | None = None,
    path_length: int | None = None,
    key_usage: x509.KeyUsage | None = None,
    usages: list[x509.ObjectIdentifier] | None = None,
    start: datetime = NOW - timedelta(days=1),
    end: datetime = NOW + timedelta(days=30),
    extensions: list[tuple[x509.ExtensionType, bool]] | None = None,
) -> Made:
    """Return a certificate that holds exactly what is asked for.

    Args:
        subject: Common name, or the whole name.
        issuer: Who signs; None for self-signed.
        key: The new certificate's key; a fresh P-256 one if None.
        signer: Sign with this key instead of the issuer's.
        issuer_name: Name this issuer instead.
        ca: Basic constraints; None for none.
        path_length: In the basic constraints.
        key_usage: None for none.
        usages: Extended key usage; None for none.
        start: First moment of validity.
        end: Last moment of validity.
        extensions: Further ones, each with whether it is critical.
    """
    own = key if key is not None else ec.generate_private_key(ec.SECP256R1())
    subject_name = name(subject) if isinstance(subject, str) else subject
    if issuer_name is None:
        issuer_name = issuer.certificate.subject if issuer else subject_name
    signing = signer if signer is not None else (issuer.key if issuer else own)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject_name)
        .issuer_name(issuer_name)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca, path_length), critical=True)
    if key_usage is not None:
        builder = builder.add_extension(key_usage, critical=True)
    if usages is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    for extension, critical in extensions or []:
        builder = builder.add_extension(extension, critical=critical)
    digest = None if isinstance(signing, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Made(builder.sign(signing, digest), own)


def make_ca(subject: str | x509.Name, issuer: Made | None = None, **more: Any) -> Made:
    """Return a CA: CA:TRUE, keyCertSign unless told otherwise."""
    more.setdefault("ca", True)
    more.setdefault("key_usage", usage("key_cert_sign", "crl_sign"))
    return make(subject, issuer, **more)


def make_leaf(subject: str | x509.Name, issuer: Made | None = None, **more: Any) -> Made:
    """Return a leaf as good tools make it: CA:FALSE, digitalSignature, clientAuth."""
    more.setdefault("ca", False)
    more.setdefault("key_usage", usage("digital_signature"))
    more.setdefault("usages", [CLIENT_AUTH])
    return make(subject, issuer, **more)


def with_broken_signature(certificate: x509.Certificate) -> x509.Certificate:
    """Return `certificate` with a signature that was changed in one bit."""
    der = bytearray(certificate.public_bytes(Encoding.DER))
    # The middle of the signature, so that its own DER (ECDSA's two integers) stays whole.
    der[-len(certificate.signature) // 4] ^= 1
    return x509.load_der_x509_certificate(bytes(der))
