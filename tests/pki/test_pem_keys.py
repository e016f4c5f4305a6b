"""The paste matrix for private keys."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.x509 import VECTORS, key_of, make, vector

from mooring.pki.errors import (
    InputEmpty,
    KeyEncrypted,
    KeyKindUnsupported,
    KeyMalformed,
    PassphraseWrong,
    PemBodyTruncated,
    PemMalformed,
    PkiError,
    SeveralKeys,
    WrongBox,
)
from mooring.pki.keys import describe_key, dump_key, spki_sha256
from mooring.pki.pem import key_matches, take_certificates, take_private_key

LEAF = vector("v1-leaf.pem")
PASSPHRASE = b"harbour"


def read(name: str) -> str:
    return (VECTORS / name).read_text()


PLAIN = read("v1-leaf-key.pem")


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        (PLAIN, set()),
        (PLAIN.encode(), set()),
        (read("key-pkcs1.pem"), {"key-converted"}),
        (PLAIN.replace("\n", " "), {"flattened", "rewrapped", "trailing-blanks"}),
        ("  " + PLAIN + "\n ", {"leading-blanks", "trailing-blanks"}),
        (PLAIN.replace("\n", "\r\n"), {"line-ends"}),
        (read("bag-attributes.pem"), {"surrounding-text", "certificate-left-out"}),
        (PLAIN + PLAIN, {"duplicate-left-out"}),
        ("".join(PLAIN.splitlines()[1:-1]), {"armour-added"}),
        (base64.b64decode("".join(PLAIN.splitlines()[1:-1])), {"der"}),
    ],
    ids=["plain", "bytes", "pkcs1", "one-line", "blanks", "crlf", "bag", "twice", "bare", "der"],
)
def test_take_private_key_when_plain_returns_clean_pkcs8(
    text: str | bytes, codes: set[str]
) -> None:
    taken = take_private_key(text)
    assert {repair.code for repair in taken.repairs} == codes
    assert not taken.encrypted
    assert taken.pem == PLAIN.encode()
    assert key_matches(LEAF, taken.key)


def test_take_private_key_when_sec1_with_parameters_converts_it() -> None:
    taken = take_private_key(read("key-sec1-with-parameters.pem"))
    assert describe_key(taken.key) == "EC secp256r1"
    assert taken.pem.startswith(b"-----BEGIN PRIVATE KEY-----")
    assert {repair.code for repair in taken.repairs} == {"key-converted"}


def test_take_private_key_when_passphrase_is_not_needed_ignores_it() -> None:
    taken = take_private_key(PLAIN, passphrase=PASSPHRASE)
    assert not taken.encrypted
    assert taken.pem == PLAIN.encode()


ENCRYPTED = ["key-pkcs8-encrypted.pem", "key-proc-type.pem"]


@pytest.mark.parametrize("name", ENCRYPTED)
def test_take_private_key_when_encrypted_stays_so(name: str) -> None:
    taken = take_private_key(read(name), passphrase=PASSPHRASE)
    assert taken.encrypted
    assert key_matches(LEAF, taken.key)
    assert taken.pem.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    opened = serialization.load_pem_private_key(taken.pem, PASSPHRASE)
    assert spki_sha256(opened) == spki_sha256(LEAF)
    again = take_private_key(taken.pem, passphrase=PASSPHRASE)
    assert again.pem == taken.pem
    assert again.repairs == ()


@pytest.mark.parametrize("name", ENCRYPTED)
def test_take_private_key_when_encrypted_and_flattened_opens_it(name: str) -> None:
    taken = take_private_key(read(name).replace("\n", " "), passphrase=PASSPHRASE)
    assert key_matches(LEAF, taken.key)
    assert "flattened" in {repair.code for repair in taken.repairs}


def test_take_private_key_when_encrypted_in_der_opens_it() -> None:
    body = "".join(read("key-pkcs8-encrypted.pem").splitlines()[1:-1])
    taken = take_private_key(base64.b64decode(body), passphrase=PASSPHRASE)
    assert taken.encrypted
    assert key_matches(LEAF, taken.key)
    with pytest.raises(KeyEncrypted):
        take_private_key(base64.b64decode(body))


@pytest.mark.parametrize("name", ENCRYPTED)
@pytest.mark.parametrize("passphrase", [None, b""])
def test_take_private_key_when_encrypted_without_passphrase_refuses(
    name: str, passphrase: bytes | None
) -> None:
    with pytest.raises(KeyEncrypted) as caught:
        take_private_key(read(name), passphrase=passphrase)
    assert "passphrase" in caught.value.remedy


@pytest.mark.parametrize("name", ENCRYPTED)
def test_take_private_key_when_passphrase_is_wrong_refuses(name: str) -> None:
    with pytest.raises(PassphraseWrong):
        take_private_key(read(name), passphrase=b"haven")


def test_take_private_key_when_encrypted_der_and_passphrase_is_wrong_refuses() -> None:
    body = "".join(read("key-pkcs8-encrypted.pem").splitlines()[1:-1])
    with pytest.raises(PkiError) as caught:
        take_private_key(base64.b64decode(body), passphrase=b"haven")
    assert caught.value.code == "passphrase-wrong"


def test_take_private_key_when_old_encryption_is_unknown_refuses() -> None:
    odd = read("key-proc-type.pem").replace("AES-128-CBC", "XYZ-999-CBC")
    with pytest.raises(KeyKindUnsupported, match="cannot be read"):
        take_private_key(odd, passphrase=PASSPHRASE)


def test_take_private_key_when_old_encrypted_body_is_cut_refuses() -> None:
    lines = read("key-proc-type.pem").splitlines()
    lines[10] = lines[10][:-3]
    with pytest.raises(PemBodyTruncated) as caught:
        take_private_key("\n".join(lines), passphrase=PASSPHRASE)
    assert caught.value.line == 11


def test_take_private_key_when_it_is_a_certificate_says_wrong_box() -> None:
    with pytest.raises(WrongBox, match="a certificate instead of a private key") as caught:
        take_private_key(read("v1-leaf.pem"), field="Device Private Key")
    assert caught.value.field == "Device Private Key"


def test_take_private_key_when_there_is_no_key_says_so() -> None:
    with pytest.raises(WrongBox, match="no key"):
        take_private_key("-----BEGIN EC PARAMETERS-----\nMAA=\n-----END EC PARAMETERS-----\n")


def test_take_private_key_when_there_are_two_refuses() -> None:
    with pytest.raises(SeveralKeys, match="2 private keys"):
        take_private_key(PLAIN + dump_key(key_of("p256")).decode())


def test_take_private_key_when_kind_is_not_for_azure_refuses() -> None:
    with pytest.raises(KeyKindUnsupported, match="Ed25519"):
        take_private_key(read("key-ed25519.pem"))


@pytest.mark.parametrize("label", ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"])
def test_take_private_key_when_body_is_no_key_refuses(label: str) -> None:
    with pytest.raises(KeyMalformed, match="lines 1 to 3"):
        take_private_key(f"-----BEGIN {label}-----\nMAA=\n-----END {label}-----\n")


def test_take_private_key_when_empty_refuses() -> None:
    with pytest.raises(InputEmpty):
        take_private_key("\n")


def test_take_private_key_when_pkcs12_names_the_command() -> None:
    with pytest.raises(PemMalformed) as caught:
        take_private_key((VECTORS / "leaf.p12").read_bytes())
    assert "openssl pkcs12" in caught.value.remedy


def test_key_intake_when_shown_as_text_hides_the_key() -> None:
    text = repr(take_private_key(PLAIN))
    assert "PRIVATE KEY" not in text
    assert "PrivateKey" not in text


def test_refusals_when_about_keys_never_quote_them() -> None:
    lines = PLAIN.splitlines()
    lines[5] = lines[5][:-3]
    with pytest.raises(PemBodyTruncated) as caught:
        take_private_key("\n".join(lines))
    said = caught.value.message + caught.value.remedy
    assert not any(line[:12] in said for line in lines[1:-1])


def test_key_matches_when_key_is_another_is_false() -> None:
    made = make("edge01")
    assert key_matches(made.certificate, made.key)
    assert not key_matches(made.certificate, key_of("p256#another"))
    assert not key_matches(made.certificate, key_of("rsa2048"))


def test_key_matches_when_certificates_key_cannot_be_read_is_false() -> None:
    from cryptography import x509

    from mooring.pki.certificates import certificate_der

    made = make("edge01")
    odd = certificate_der(made.certificate).replace(
        bytes.fromhex("06072a8648ce3d0201"), bytes.fromhex("06072a8648ce3d0279")
    )
    assert not key_matches(x509.load_der_x509_certificate(odd), made.key)


# -- anything at all ----------------------------------------------------------------------------

FRAGMENTS = st.sampled_from(
    [
        *PLAIN.splitlines(keepends=True)[:4],
        read("v1-leaf.pem"),
        read("key-proc-type.pem")[:120],
        "-----BEGIN CERTIFICATE-----",
        "-----END CERTIFICATE-----",
        "-----BEGIN PRIVATE KEY-----\n",
        "-----END PRIVATE KEY-----\n",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n",
        "MAA=",
        "====",
        "\\n",
        "\r\n",
        "\u00a0",
        "\ufeff",
        "----",
        "\x00",
        "é",
    ]
)
ANYTHING = st.one_of(
    st.text(max_size=200),
    st.binary(max_size=200),
    st.lists(st.one_of(FRAGMENTS, st.text(max_size=5)), max_size=8).map("".join),
)


@settings(deadline=None)
@given(ANYTHING, st.one_of(st.none(), st.binary(max_size=4)))
def test_intake_when_given_anything_raises_only_its_own_errors(
    text: str | bytes, passphrase: bytes | None
) -> None:
    for take in (take_certificates, lambda given: take_private_key(given, passphrase=passphrase)):
        try:
            take(text)
        except PkiError:
            continue


@settings(deadline=None)
@given(st.integers(min_value=0), st.text(min_size=1, max_size=3))
def test_take_certificates_when_one_place_is_changed_is_the_same_or_refused(
    place: int, inserted: str
) -> None:
    text = read("v1-leaf.pem")
    at = place % len(text)
    try:
        taken = take_certificates(text[:at] + inserted + text[at:])
    except PkiError:
        return
    assert len(taken.certificates) == 1
