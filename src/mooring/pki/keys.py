"""Private keys: making them, writing them, telling whether they are strong enough."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from mooring.pki.certificates import Certificate

PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
"""The two kinds that Azure's X.509 ways take."""

MIN_RSA_BITS = 2048
"""Shorter RSA keys are refused everywhere. NIST SP 800-131A disallows them since 2014."""

MAX_RSA_BITS = 8192
"""Longer RSA keys are refused too: checking a signature costs time with the square of the length,
and it is strangers who choose the keys that are checked."""

MAX_RSA_EXPONENT_BITS = 33
"""Usual exponents are 3 and 65537; checking a signature costs time with the exponent's length."""

RSA_PUBLIC_EXPONENT = 65537
"""The only exponent that every TLS stack takes."""

STRONG_CURVES = frozenset({"secp256r1", "secp384r1", "secp521r1"})
"""NIST curves that the TLS stacks on either side agree on; P-521 is taken, never made."""


class KeyAlgorithm(StrEnum):
    """What Mooring makes."""

    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"
    EC_P256 = "ec-p256"
    EC_P384 = "ec-p384"


_RSA_BITS = {
    KeyAlgorithm.RSA_2048: 2048,
    KeyAlgorithm.RSA_3072: 3072,
    KeyAlgorithm.RSA_4096: 4096,
}
_CURVES: dict[KeyAlgorithm, ec.EllipticCurve] = {
    KeyAlgorithm.EC_P256: ec.SECP256R1(),
    KeyAlgorithm.EC_P384: ec.SECP384R1(),
}


def generate_key(algorithm: KeyAlgorithm = KeyAlgorithm.RSA_2048) -> PrivateKey:
    """Return a new private key. An RSA key takes from a tenth of a second to several."""
    if algorithm in _RSA_BITS:
        return rsa.generate_private_key(RSA_PUBLIC_EXPONENT, _RSA_BITS[algorithm])
    return ec.generate_private_key(_CURVES[algorithm])


def dump_key(key: PrivateKey, *, passphrase: bytes | None = None) -> bytes:
    """Return `key` as PKCS#8 PEM, encrypted with AES-256-CBC when a passphrase is given.

    Raises:
        ValueError: The passphrase is empty.
    """
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        encryption = serialization.BestAvailableEncryption(passphrase)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )


def public_key_der(certificate_or_key: Certificate | PrivateKey) -> bytes:
    """Return the SubjectPublicKeyInfo in DER: what tells whether a key belongs to a certificate.

    Raises:
        UnsupportedAlgorithm, ValueError: The certificate's key is of a kind nobody can read.
    """
    return certificate_or_key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def spki_sha256(certificate_or_key: Certificate | PrivateKey) -> str:
    """Return SHA-256 over the SubjectPublicKeyInfo in DER, 64 upper hex digits.

    Equal for a key and the certificate made for it, so that a mismatch can be shown.
    """
    return hashlib.sha256(public_key_der(certificate_or_key)).hexdigest().upper()


def describe_key(key: object) -> str:
    """Return what a private or public key is, e.g. ``"RSA 2048"`` or ``"EC secp256r1"``."""
    if isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    if isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey):
        return f"EC {key.curve.name}"
    return type(key).__name__.strip("_").removesuffix("PublicKey").removesuffix("PrivateKey")


def key_weakness(key: object) -> str | None:
    """Return why a private or public key is not good enough, or None if it is.

    Good are RSA of `MIN_RSA_BITS` to `MAX_RSA_BITS` bits and the `STRONG_CURVES`.
    """
    if isinstance(key, rsa.RSAPrivateKey):
        return key_weakness(key.public_key())
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < MIN_RSA_BITS:
            return f"RSA key of {key.key_size} bits, fewer than {MIN_RSA_BITS}"
        if key.key_size > MAX_RSA_BITS:
            return f"RSA key of {key.key_size} bits, more than {MAX_RSA_BITS}"
        if key.public_numbers().e.bit_length() > MAX_RSA_EXPONENT_BITS:
            return f"RSA key with a public exponent of more than {MAX_RSA_EXPONENT_BITS} bits"
        return None
    if isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey):
        if key.curve.name not in STRONG_CURVES:
            return f"elliptic curve {key.curve.name}, not P-256, P-384 or P-521"
        return None
    return f"{describe_key(key)} key, neither RSA nor elliptic curve"


def certificate_key_weakness(certificate: Certificate) -> str | None:
    """Return why the key in `certificate` is not good enough, or None if it is."""
    try:
        key = certificate.public_key()
    except (UnsupportedAlgorithm, ValueError):
        return "public key of an unknown kind"
    return key_weakness(key)
