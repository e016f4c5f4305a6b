"""Reading certificates and their facts."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.x509 import NOW, VECTORS, Made, make, name, vector

from mooring.pki.certificates import (
    MAX_CERTIFICATE_BYTES,
    MAX_CERTIFICATE_TEXT_BYTES,
    certificate_der,
    common_name,
    common_names,
    describe,
    dump_certificate,
    format_name,
    is_self_issued,
    load_certificate,
    load_der_certificate,
    sha1_thumbprint,
    sha256_thumbprint,
)
from mooring.pki.errors import (
    CertificateMalformed,
    InputEmpty,
    InputTooLarge,
    PkiError,
    SeveralCertificates,
)


def forms(certificate: x509.Certificate) -> dict[str, str | bytes]:
    pem = dump_certificate(certificate)
    der = certificate_der(certificate)
    return {
        "pem": pem,
        "pem-bytes": pem.encode(),
        "pem-with-text": f"subject=whatever\n{pem}\nmore\n",
        "pem-with-bom": "\ufeff" + pem,
        "pem-bytes-with-bom": b"\xef\xbb\xbf" + pem.encode(),
        "pem-crlf": pem.replace("\n", "\r\n"),
        "body": "".join(pem.splitlines()[1:-1]),
        "body-in-lines": "\n".join(pem.splitlines()[1:-1]),
        "base64-of-der": base64.b64encode(der).decode(),
        "base64-of-base64-of-der": base64.b64encode(base64.b64encode(der)).decode(),
        "base64-of-pem": base64.b64encode(pem.encode()).decode(),
        "base64-of-pem-bytes": base64.b64encode(pem.encode()),
        "x509-label": pem.replace("CERTIFICATE", "X509 CERTIFICATE"),
        "der": der,
    }


@pytest.mark.parametrize("form", forms(vector("v1-root.pem")))
def test_load_certificate_when_encoding_is_usual_returns_it(form: str) -> None:
    certificate = vector("v1-root.pem")
    assert load_certificate(forms(certificate)[form]) == certificate


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ("", InputEmpty),
        (" \n\t", InputEmpty),
        (b"", InputEmpty),
        ("hello", CertificateMalformed),
        ("aGVsbG8=", CertificateMalformed),
        ("MAA=", CertificateMalformed),
        (b"\x30\x00", CertificateMalformed),
        (b"\xff\xfe\xfd", CertificateMalformed),
        ("-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----", CertificateMalformed),
        ("-----BEGIN CERTIFICATE-----\nMAA=", CertificateMalformed),
        (
            "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----",
            CertificateMalformed,
        ),
        (base64.b64encode(b"-----BEGIN CERTIFICATE-----"), CertificateMalformed),
        ((VECTORS / "v1-leaf-key.pem").read_text(), CertificateMalformed),
        ("A" * (MAX_CERTIFICATE_TEXT_BYTES + 1), InputTooLarge),
        (b"\x30" + bytes(MAX_CERTIFICATE_BYTES), InputTooLarge),
    ],
)
def test_load_certificate_when_it_is_none_refuses(data: str | bytes, error: type[PkiError]) -> None:
    with pytest.raises(error) as caught:
        load_certificate(data, field="primary")
    assert caught.value.field == "primary"
    assert caught.value.message.startswith("primary:")
    assert caught.value.remedy
    assert caught.value.code == error.code
    assert str(caught.value) == caught.value.message


def test_load_certificate_when_there_are_two_refuses() -> None:
    both = dump_certificate(vector("v1-root.pem")) + dump_certificate(vector("v1-leaf.pem"))
    with pytest.raises(SeveralCertificates, match="2 certificates"):
        load_certificate(both)


def test_load_der_certificate_when_an_extension_cannot_be_read_refuses() -> None:
    garbage = x509.UnrecognizedExtension(x509.oid.ExtensionOID.KEY_USAGE, b"\x31\x00")
    broken = make("edge01", extensions=[(garbage, False)]).certificate
    with pytest.raises(CertificateMalformed):
        load_der_certificate(certificate_der(broken))


@settings(deadline=None)
@given(st.one_of(st.text(max_size=300), st.binary(max_size=300)))
def test_load_certificate_when_given_anything_raises_only_its_own_errors(
    data: str | bytes,
) -> None:
    with pytest.raises(PkiError):
        load_certificate(data)


def test_thumbprints_when_computed_are_digests_of_the_der_in_upper_hex() -> None:
    certificate = vector("v1-root.pem")
    der = certificate_der(certificate)
    assert sha1_thumbprint(certificate) == hashlib.sha1(der).hexdigest().upper()
    assert sha256_thumbprint(certificate) == hashlib.sha256(der).hexdigest().upper()


def test_describe_when_version_1_says_so() -> None:
    info = describe(vector("v1-leaf.pem"))
    assert info.version == 1
    assert info.subject_name == "CN=v1device, O=Quay, C=IT"
    assert info.issuer_name == "CN=v1root, O=Quay, C=IT"
    assert info.not_before == datetime(2026, 11, 23, 17, 12, 4, tzinfo=UTC)
    assert info.not_after.tzinfo is UTC
    assert info.serial_number == "5D7974E31869DA27898362EB611CA69BC82017E1"
    assert len(info.sha1_thumbprint) == 40
    assert len(info.sha256_thumbprint) == 64


def test_describe_when_version_3_says_so_and_pads_the_serial(root: Made) -> None:
    assert describe(root.certificate).version == 3
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name("edge01"))
        .issuer_name(name("edge01"))
        .public_key(root.key.public_key())
        .serial_number(0xABC)
        .not_valid_before(NOW)
        .not_valid_after(NOW)
        .sign(root.key, root.certificate.signature_hash_algorithm)
    )
    assert describe(certificate).serial_number == "0ABC"


def test_common_name_when_there_is_none_or_two_is_none() -> None:
    assert common_name(make("edge01").certificate) == "edge01"
    assert common_name(make(name(None)).certificate) is None
    twice = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, text) for text in ("edge01", "edge02")]
    )
    certificate = make(twice).certificate
    assert common_name(certificate) is None
    assert common_names(certificate) == ("edge01", "edge02")


def test_format_name_when_odd_characters_escapes_them_on_one_line() -> None:
    odd = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "a\nb, c\x1b[31m"),
            x509.NameAttribute(NameOID.EMAIL_ADDRESS, "me@quay.example"),
        ]
    )
    text = format_name(odd)
    assert text.isprintable()
    assert text == "emailAddress=me@quay.example, CN=a\\0Ab\\, c\\1B[31m"


def test_is_self_issued_when_names_are_equal(root: Made, intermediate: Made) -> None:
    assert is_self_issued(root.certificate)
    assert not is_self_issued(intermediate.certificate)
