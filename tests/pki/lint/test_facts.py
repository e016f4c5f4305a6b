"""Facts in words, as findings and `mooring cert show` tell them."""

from __future__ import annotations

import ipaddress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID
from tests.support.lint_cases import NOW, device, key_of, key_usage, make, patched, root, vector

from mooring.pki.lint import LintContext, lint
from mooring.pki.lint.facts import (
    describe_extensions,
    describe_public_key,
    is_self_signed,
    is_signed_by,
    key_usages,
    quoted,
    signature_hash,
    subject_text,
)


def with_extensions(*extensions: x509.ExtensionType) -> x509.Certificate:
    """Return a self-signed certificate with just these extensions."""
    name = x509.Name([])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key_of("p256").public_key())
        .serial_number(0xABC)
        .not_valid_before(NOW)
        .not_valid_after(NOW)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key_of("p256"), hashes.SHA256())


@pytest.mark.parametrize(
    ("extension", "name", "words"),
    [
        (x509.BasicConstraints(ca=True, path_length=1), "basicConstraints",
         "CA:TRUE; path length 1"),
        (x509.BasicConstraints(ca=False, path_length=None), "basicConstraints", "CA:FALSE"),
        (key_usage("digital_signature", "key_agreement", "encipher_only"), "keyUsage",
         "digitalSignature, keyAgreement, encipherOnly"),
        (key_usage(), "keyUsage", "none"),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, x509.ObjectIdentifier("1.2.3.4")]),
         "extendedKeyUsage", "clientAuth, 1.2.3.4"),
        (x509.SubjectKeyIdentifier(b"\xab\xcd"), "subjectKeyIdentifier", "ABCD"),
        (x509.AuthorityKeyIdentifier(b"\xab\xcd", None, None), "authorityKeyIdentifier", "ABCD"),
        (x509.SubjectAlternativeName(
            [x509.DNSName("a.example"), x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
             x509.RFC822Name("o@a.example")]),
         "subjectAltName", "DNS:a.example, IP:127.0.0.1, o@a.example"),
        (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), "1.2.3.4",
         "2 bytes"),
    ],
)  # fmt: skip
def test_extension_is_told_by_name_and_in_words(
    extension: x509.ExtensionType, name: str, words: str
) -> None:
    assert describe_extensions(with_extensions(extension)) == [(name, False, words)]


def test_extension_of_a_rare_kind_is_shown_as_it_is() -> None:
    [(name, _, words)] = describe_extensions(with_extensions(x509.OCSPNoCheck()))
    assert name == "OCSPNoCheck"
    assert "OCSPNoCheck" in words


def test_certificate_without_a_subject_is_called_by_its_serial_number() -> None:
    assert subject_text(with_extensions()) == "with serial number ABC"


def test_quoted_escapes_what_cannot_be_printed_and_cuts_what_is_long() -> None:
    assert quoted("a\nb\u202e") == "“a\\nb\\u202e”"
    assert quoted("x" * 81) == f"“{'x' * 79}…”"


def test_key_usages_are_in_the_order_of_the_bits() -> None:
    usage = key_usage("crl_sign", "key_cert_sign", "content_commitment", "data_encipherment")
    assert key_usages(usage) == ["nonRepudiation", "dataEncipherment", "keyCertSign", "cRLSign"]


def test_public_key_is_told_by_kind_and_strength() -> None:
    assert describe_public_key(device(key="rsa2048").certificate) == "RSA 2048"
    assert describe_public_key(device(key="ed25519").certificate) == "Ed25519"


def test_signature_hash_of_a_kind_without_one_is_none() -> None:
    assert signature_hash(make("a1", key="ed25519").certificate) is None
    assert signature_hash(root().certificate) == "sha256"


def test_public_key_of_an_unknown_kind_is_said_to_be_unknown() -> None:
    # 1.2.840.10045.2.1, elliptic curve, made 1.2.840.10045.2.127, which is nothing.
    strange = patched(device(), "06072a8648ce3d0201", "06072a8648ce3d027f").certificate
    assert describe_public_key(strange) == "unknown"
    case = LintContext(now=NOW, chain=(strange,), key=key_of("p256"))
    findings = {finding.rule_id for finding in lint(case)}
    assert "e_unknown_key_kind" in findings
    assert "e_key_does_not_match" not in findings


def test_signature_algorithm_of_an_unknown_kind_has_no_known_hash() -> None:
    # 1.2.840.10045.4.3.2, ECDSA with SHA-256, made 1.2.840.10045.4.3.127, which is nothing.
    strange = patched(device(), "06082a8648ce3d040302", "06082a8648ce3d04037f").certificate
    assert signature_hash(strange) is None


def test_signed_by_tells_yes_no_and_cannot_tell_apart() -> None:
    leaf, top = device().certificate, root().certificate
    impostor = make("quayroot", key="p256#impostor", ca=True).certificate
    old = vector("device-sha1.pem").certificate
    assert is_signed_by(leaf, top) is True
    assert is_signed_by(leaf, impostor) is False
    assert is_signed_by(leaf, leaf) is False
    assert is_signed_by(old, vector("root-sha1.pem").certificate) is None
    assert is_self_signed(top)
    assert not is_self_signed(leaf)
