"""Keys: made, written, weighed."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from tests.support.x509 import key_of, make, vector

from mooring.pki.keys import (
    KeyAlgorithm,
    certificate_key_weakness,
    describe_key,
    dump_key,
    generate_key,
    key_weakness,
    spki_sha256,
)


@pytest.mark.parametrize(
    ("algorithm", "words"),
    [
        (KeyAlgorithm.RSA_2048, "RSA 2048"),
        (KeyAlgorithm.RSA_3072, "RSA 3072"),
        (KeyAlgorithm.EC_P256, "EC secp256r1"),
        (KeyAlgorithm.EC_P384, "EC secp384r1"),
    ],
)
def test_generate_key_when_asked_makes_that_kind(algorithm: KeyAlgorithm, words: str) -> None:
    key = generate_key(algorithm)
    assert describe_key(key) == words
    assert describe_key(key.public_key()) == words
    assert key_weakness(key) is None


def test_generate_key_when_rsa_4096_asks_for_4096_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    # Making one takes seconds; what is asked for is enough to know.
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(rsa, "generate_private_key", lambda *sizes: asked.append(sizes))
    generate_key(KeyAlgorithm.RSA_4096)
    assert asked == [(65537, 4096)]


def test_generate_key_when_nothing_is_said_makes_rsa_2048() -> None:
    assert describe_key(generate_key()) == "RSA 2048"


def test_dump_key_when_no_passphrase_is_plain_pkcs8() -> None:
    key = key_of("p256")
    pem = dump_key(key)
    assert pem.startswith(b"-----BEGIN PRIVATE KEY-----\n")
    assert spki_sha256(serialization.load_pem_private_key(pem, None)) == spki_sha256(key)


def test_dump_key_when_passphrase_is_given_encrypts_with_aes_256() -> None:
    key = key_of("p256")
    pem = dump_key(key, passphrase=b"harbour")
    assert pem.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    der = serialization.load_pem_private_key(pem, b"harbour")
    assert spki_sha256(der) == spki_sha256(key)
    body = b"".join(pem.splitlines()[1:-1])
    import base64

    aes_256_cbc = bytes.fromhex("060960864801650304012a")  # 2.16.840.1.101.3.4.1.42
    assert aes_256_cbc in base64.b64decode(body)


def test_dump_key_when_passphrase_is_empty_is_an_error() -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - cryptography's words are its own
        dump_key(key_of("p256"), passphrase=b"")


def test_spki_sha256_when_of_key_and_its_certificate_is_the_same() -> None:
    made = make("edge01")
    expected = hashlib.sha256(
        made.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    ).hexdigest()
    assert spki_sha256(made.key) == spki_sha256(made.certificate) == expected.upper()


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (key_of("rsa1024"), "1024 bits, fewer than 2048"),
        (key_of("secp256k1"), "secp256k1"),
        (key_of("ed25519"), "Ed25519 key, neither RSA nor"),
        (dsa.generate_private_key(1024), "DSA key, neither RSA nor"),
    ],
)
def test_key_weakness_when_key_will_not_do_says_why(key: object, words: str) -> None:
    assert words in (key_weakness(key) or "")
    assert words in (key_weakness(key.public_key()) or "")


def test_key_weakness_when_rsa_key_is_made_to_cost_time_says_so() -> None:
    numbers = key_of("rsa2048").public_key().public_numbers()
    long_exponent = rsa.RSAPublicNumbers((1 << 40) + 1, numbers.n).public_key()
    assert "exponent" in (key_weakness(long_exponent) or "")
    too_long = rsa.RSAPublicNumbers(65537, (1 << 8192) + 1).public_key()
    assert "8193 bits, more than 8192" in (key_weakness(too_long) or "")


def test_key_weakness_when_curve_is_p521_is_none() -> None:
    assert key_weakness(ec.generate_private_key(ec.SECP521R1())) is None


def test_certificate_key_weakness_when_kind_is_unknown_says_so() -> None:
    from cryptography import x509

    from mooring.pki.certificates import certificate_der

    der = certificate_der(make("edge01").certificate)
    # An elliptic curve key (1.2.840.10045.2.1) becomes one of a kind that does not exist.
    odd = der.replace(bytes.fromhex("06072a8648ce3d0201"), bytes.fromhex("06072a8648ce3d0279"))
    certificate = x509.load_der_x509_certificate(odd)
    assert certificate_key_weakness(certificate) == "public key of an unknown kind"
    assert certificate_key_weakness(vector("v1-root.pem")) is None
