"""The paste matrix for certificates: repaired and said so, or refused with the line at fault."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from cryptography import x509
from tests.support.x509 import VECTORS, Made, key_of, make, make_ca, make_leaf, vector

from mooring.pki.certificates import certificate_der, dump_certificate, load_certificate
from mooring.pki.errors import (
    CertificateMalformed,
    CertificatesUnrelated,
    InputEmpty,
    InputTooLarge,
    PemArmourBroken,
    PemBeginMissing,
    PemBodyTruncated,
    PemCharacterBad,
    PemEndMissing,
    PemMalformed,
    PemMissing,
    PkiError,
    WrongBox,
)
from mooring.pki.keys import dump_key
from mooring.pki.pem import MAX_CHAIN_CERTIFICATES, take_bundle, take_certificates
from mooring.pki.pemblocks import MAX_BLOCKS, MAX_TEXT_BYTES
from mooring.pki.pembody import der_length

LEAF = vector("v1-leaf.pem")
PEM = dump_certificate(LEAF)
LINES = PEM.splitlines()
KEY_PEM = (VECTORS / "v1-leaf-key.pem").read_text()


def codes(text: str | bytes) -> set[str]:
    """Return the repairs' codes, after seeing that the certificate came out as it should."""
    taken = take_certificates(text)
    assert taken.certificates == (LEAF,)
    assert taken.leaf == LEAF
    assert taken.pem == PEM
    assert all(repair.text.endswith(".") for repair in taken.repairs)
    assert take_certificates(taken.pem).repairs == ()
    return {repair.code for repair in taken.repairs}


REPAIRED: dict[str, tuple[str | bytes, set[str]]] = {
    "as it is": (PEM, set()),
    "as bytes": (PEM.encode(), set()),
    "without last line feed": (PEM.rstrip("\n"), set()),
    "trailing blanks": (PEM + "  \n\n", {"trailing-blanks"}),
    "one blank after the last dash": (PEM.rstrip("\n") + " ", {"trailing-blanks"}),
    "blanks at every line's end": (
        PEM.replace("\n", "  \n"),
        {"stray-blanks", "rewrapped", "trailing-blanks"},
    ),
    "leading blanks": ("  " + PEM, {"leading-blanks"}),
    "leading lines": ("\n\n" + PEM, {"leading-blanks"}),
    "all lines indented": (
        "".join(f"    {line}\n" for line in LINES),
        {"leading-blanks", "stray-blanks", "rewrapped"},
    ),
    "CRLF": (PEM.replace("\n", "\r\n"), {"line-ends"}),
    "CR": (PEM.replace("\n", "\r"), {"line-ends"}),
    "one line with blanks": (" ".join(LINES), {"flattened", "rewrapped"}),
    "one line without blanks": ("".join(LINES), {"flattened"}),
    "BEGIN alone on its line": (
        f"{LINES[0]}\n{''.join(LINES[1:-1])}{LINES[-1]}",
        {"flattened"},
    ),
    "body in one line": (f"{LINES[0]}\n{''.join(LINES[1:-1])}\n{LINES[-1]}\n", set()),
    "body in lines of 76": (
        "\n".join(
            [
                LINES[0],
                *(
                    "".join(LINES[1:-1])[at : at + 76]
                    for at in range(0, len("".join(LINES[1:-1])), 76)
                ),
                LINES[-1],
            ]
        ),
        set(),
    ),
    "blank lines in the body": (
        "\n".join([*LINES[:4], "", *LINES[4:]]),
        {"rewrapped"},
    ),
    "uneven lines": (
        "\n".join([LINES[0], LINES[1] + LINES[2][:5], LINES[2][5:], *LINES[3:]]),
        {"rewrapped"},
    ),
    "line ends written as \\n": (PEM.replace("\n", "\\n"), {"escaped-line-ends"}),
    "line ends written as \\r\\n": (PEM.replace("\n", "\\r\\n"), {"escaped-line-ends"}),
    "byte order mark": ("\ufeff" + PEM, {"byte-order-mark"}),
    "byte order mark in bytes": (b"\xef\xbb\xbf" + PEM.encode(), {"byte-order-mark"}),
    "UTF-16": (PEM.encode("utf-16"), {"encoding"}),
    "non-breaking blanks": (
        PEM.replace("BEGIN CERT", "BEGIN\u00a0CERT"),
        {"invisible-characters"},
    ),
    "zero-width blanks": (
        "\n".join(line + "\u200b" for line in LINES),
        {"invisible-characters"},
    ),
    "typographic dashes": (
        PEM.replace("-----BEGIN", "\u2014\u2014\u2013BEGIN"),
        {"armour"},
    ),
    "a dash too few": (PEM.rstrip("\n")[:-1], {"armour"}),
    "dashes too many": (PEM.replace("-----BEGIN", "--------BEGIN"), {"armour"}),
    "lower case armour": (PEM.replace("BEGIN CERTIFICATE", "begin certificate"), {"armour"}),
    "X509 CERTIFICATE": (PEM.replace("CERTIFICATE", "X509 CERTIFICATE"), set()),
    "text before": ("subject=CN = edge\n" + PEM, {"surrounding-text"}),
    "text after, as some shells leave": (PEM.rstrip("\n") + "%", {"surrounding-text"}),
    "openssl x509 -text": (
        (VECTORS / "v1-leaf-with-text.pem").read_text(),
        {"surrounding-text"},
    ),
    "Bag Attributes and the key": (
        (VECTORS / "bag-attributes.pem").read_text(),
        {"surrounding-text", "private-key-left-out"},
    ),
    "key after it": (PEM + KEY_PEM, {"private-key-left-out"}),
    "key before it": (KEY_PEM + PEM, {"private-key-left-out"}),
    "twice": (PEM + PEM, {"duplicate-left-out"}),
    "twice without a line end between": (PEM.rstrip("\n") + PEM, {"duplicate-left-out"}),
    "TRUSTED CERTIFICATE": ((VECTORS / "v1-leaf-trusted.pem").read_text(), set()),
    "no armour": ("\n".join(LINES[1:-1]), {"armour-added"}),
    "base64 of PEM": (base64.b64encode(PEM.encode()).decode(), {"base64"}),
    "base64 of several blocks": (
        base64.b64encode((PEM + KEY_PEM).encode()).decode(),
        {"base64", "private-key-left-out"},
    ),
    "DER": (certificate_der(LEAF), {"der"}),
}


@pytest.mark.parametrize("case", REPAIRED)
def test_take_certificates_when_paste_can_be_mended_says_what_was(case: str) -> None:
    text, expected = REPAIRED[case]
    assert codes(text) == expected


@pytest.mark.parametrize(
    ("data", "length"),
    [
        ("", 0),
        ("30", 0),
        ("0500", 0),
        ("3000", 2),
        ("307f", 129),
        ("308180", 131),
        ("30820100", 260),
        ("3083010000", 65541),
        ("3080", 0),
        ("308400000001", 0),
        ("308201", 0),
    ],
)
def test_der_length_when_header_is_read_tells_the_whole_length(data: str, length: int) -> None:
    assert der_length(bytes.fromhex(data)) == length


def test_take_certificates_when_padding_is_missing_mends_it() -> None:
    # Of certificates one after another some have a body that ends in "=".
    for _ in range(50):
        certificate = make("edge01", key=key_of("p256")).certificate
        text = dump_certificate(certificate)
        if "=" in text:
            break
    taken = take_certificates(text.replace("=", ""))
    assert taken.certificates == (certificate,)
    assert [repair.code for repair in taken.repairs] == ["padding"]


def without_line(number: int) -> str:
    return "\n".join(line for index, line in enumerate(LINES, 1) if index != number)


def with_line(number: int, change: Callable[[str], str]) -> str:
    return "\n".join(
        change(line) if index == number else line for index, line in enumerate(LINES, 1)
    )


LAST = len(LINES)

REFUSED: dict[str, tuple[str | bytes, type[PkiError], int | None]] = {
    "nothing": ("", InputEmpty, None),
    "blanks": (" \r\n\t\u00a0", InputEmpty, None),
    "empty file": (b"", InputEmpty, None),
    "a sentence": ("my certificate", PemMissing, 1),
    "base64 of something else": ("aGVsbG8gd29ybGQ=", PemMissing, 1),
    "base64 of base64": (
        base64.b64encode(base64.b64encode(PEM.encode())).decode(),
        PemMissing,
        1,
    ),
    "base64 of a broken block": (base64.b64encode(PEM[:200].encode()).decode(), PemEndMissing, 4),
    "no END line": (without_line(LAST), PemEndMissing, LAST - 1),
    "no END line before the next block": (without_line(LAST) + "\n" + PEM, PemEndMissing, LAST - 1),
    "END line cut": (PEM.rstrip("\n")[:-12], PemArmourBroken, LAST),
    "no BEGIN line": (without_line(1), PemBeginMissing, LAST - 1),
    "BEGIN line cut": (PEM[12:], PemBeginMissing, LAST),
    "BEGIN without dashes behind": (
        PEM.replace("CERTIFICATE-----\n", "CERTIFICATE\n", 1),
        PemArmourBroken,
        1,
    ),
    "END of another kind": (
        PEM.replace("END CERTIFICATE", "END PRIVATE KEY"),
        PemArmourBroken,
        LAST,
    ),
    "bad character": (with_line(5, lambda line: line[:10] + "*" + line[11:]), PemCharacterBad, 5),
    "letter with an accent": (with_line(3, lambda line: "é" + line[1:]), PemCharacterBad, 3),
    "line cut": (with_line(7, lambda line: line[:-4]), PemBodyTruncated, 7),
    "line cut by one": (with_line(7, lambda line: line[:-1]), PemBodyTruncated, 7),
    "line doubled in itself": (with_line(7, lambda line: line + line), PemBodyTruncated, 7),
    "last line cut": (with_line(LAST - 1, lambda line: line[:-4]), PemBodyTruncated, LAST - 1),
    "last line too long": (
        with_line(LAST - 1, lambda line: line + "A" * 80),
        PemBodyTruncated,
        LAST - 1,
    ),
    "line missing": (without_line(9), PemBodyTruncated, LAST - 2),
    "line twice": (with_line(9, lambda line: f"{line}\n{line}"), PemBodyTruncated, LAST),
    "no body": (f"{LINES[0]}\n{LINES[-1]}", PemBodyTruncated, 1),
    "one character": (f"{LINES[0]}\nM\n{LINES[-1]}", PemBodyTruncated, 2),
    "body of nothing known": (f"{LINES[0]}\naGVsbG8=\n{LINES[-1]}", PemBodyTruncated, 2),
    "text after the padding": (
        f"{LINES[0]}\nMAA=\nMAAA\n{LINES[-1]}",
        PemBodyTruncated,
        3,
    ),
    "not a certificate inside": (f"{LINES[0]}\nMAA=\n{LINES[-1]}", CertificateMalformed, None),
    "a key": (KEY_PEM, WrongBox, None),
    "an encrypted key": ((VECTORS / "key-pkcs8-encrypted.pem").read_text(), WrongBox, None),
    "key in DER": (
        base64.b64decode("".join(KEY_PEM.splitlines()[1:-1])),
        WrongBox,
        None,
    ),
    "PKCS#12": ((VECTORS / "leaf.p12").read_bytes(), PemMalformed, None),
    "neither text nor DER": (b"\xff\x00\x81", PemMalformed, None),
    "too large": ("A" * (MAX_TEXT_BYTES + 1), InputTooLarge, None),
}


@pytest.mark.parametrize("case", REFUSED)
def test_take_certificates_when_paste_is_broken_names_the_line(case: str) -> None:
    text, error, line = REFUSED[case]
    with pytest.raises(PkiError) as caught:
        take_certificates(text, field="device certificate")
    assert type(caught.value) is error
    assert caught.value.field == "device certificate"
    assert caught.value.message.startswith("device certificate:")
    assert caught.value.remedy
    if line is not None:
        assert isinstance(caught.value, PemMalformed)
        assert caught.value.line == line
        assert line == 1 or f"line {line}" in caught.value.message


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("CERTIFICATE REQUEST", "signing request"),
        ("NEW CERTIFICATE REQUEST", "signing request"),
        ("PUBLIC KEY", "public key"),
        ("RSA PUBLIC KEY", "public key"),
        ("PKCS7", "PKCS#7"),
        ("OPENSSH PRIVATE KEY", "OpenSSH"),
        ("X509 CRL", "revocation list"),
        ("SOMETHING ELSE", "SOMETHING ELSE"),
    ],
)
def test_take_certificates_when_block_is_of_another_kind_says_which(label: str, words: str) -> None:
    with pytest.raises(WrongBox, match=words):
        take_certificates(f"-----BEGIN {label}-----\nMAA=\n-----END {label}-----\n")


def test_take_certificates_when_only_harmless_blocks_says_there_is_none() -> None:
    text = "-----BEGIN EC PARAMETERS-----\nMAA=\n-----END EC PARAMETERS-----\n"
    with pytest.raises(WrongBox, match="no certificate"):
        take_certificates(text)


def test_take_certificates_when_there_are_too_many_blocks_refuses() -> None:
    block = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"
    with pytest.raises(InputTooLarge, match="PEM blocks"):
        take_certificates(block * (MAX_BLOCKS + 1))


@pytest.mark.parametrize(
    "hostile",
    [
        "-" * MAX_TEXT_BYTES,
        "-BEGIN " + " " * (MAX_TEXT_BYTES - 10),
        "- " * (MAX_TEXT_BYTES // 2),
        "-BEGIN A" * (MAX_TEXT_BYTES // 8),
        "BEGIN " * (MAX_TEXT_BYTES // 6),
        "-----BEGIN A-----\n" + "Proc-Type: " * 20_000,
    ],
    ids=["dashes", "blanks", "both", "begins", "words", "headers"],
)
def test_take_certificates_when_text_is_made_to_cost_time_refuses(hostile: str) -> None:
    with pytest.raises(PkiError):
        take_certificates(hostile)


# -- chains -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chain() -> list[x509.Certificate]:
    top = make_ca("top")
    middle = make_ca("middle", top)
    leaf = make_leaf("edge01", middle)
    return [leaf.certificate, middle.certificate, top.certificate]


@pytest.mark.parametrize(
    "order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (0, 2, 1), (1, 2, 0), (2, 0, 1)]
)
def test_take_certificates_when_chain_is_in_any_order_puts_leaf_first(
    chain: list[x509.Certificate], order: tuple[int, ...]
) -> None:
    taken = take_certificates("".join(dump_certificate(chain[index]) for index in order))
    assert list(taken.certificates) == chain
    reordered = {repair.code for repair in taken.repairs} == {"chain-reordered"}
    assert reordered == (order != (0, 1, 2))


def test_take_certificates_when_certificates_are_unrelated_refuses(
    chain: list[x509.Certificate],
) -> None:
    stranger = make_ca("stranger").certificate
    with pytest.raises(CertificatesUnrelated, match="stranger"):
        take_certificates("".join(dump_certificate(one) for one in (*chain, stranger)))


def test_take_certificates_when_a_link_is_missing_refuses(chain: list[x509.Certificate]) -> None:
    with pytest.raises(CertificatesUnrelated, match="CN=top"):
        take_certificates(dump_certificate(chain[0]) + dump_certificate(chain[2]))


def test_take_certificates_when_root_was_reissued_keeps_both(root: Made) -> None:
    key = key_of("p256#rolled")
    editions = [make_ca("root", key=key) for _ in range(2)]
    leaf = make_leaf("edge01", editions[0])
    text = "".join(dump_certificate(one.certificate) for one in (leaf, *editions))
    assert take_certificates(text).leaf == leaf.certificate
    both = "".join(dump_certificate(one.certificate) for one in editions)
    taken = take_certificates(both)
    assert taken.certificates == tuple(one.certificate for one in editions)


def test_take_certificates_when_chain_is_absurdly_long_refuses(root: Made) -> None:
    texts = [
        dump_certificate(make_leaf("edge01", root).certificate)
        for _ in range(MAX_CHAIN_CERTIFICATES + 1)
    ]
    with pytest.raises(InputTooLarge, match="longest chain"):
        take_certificates("".join(texts))


def test_take_bundle_when_certificates_are_unrelated_keeps_their_order(
    chain: list[x509.Certificate],
) -> None:
    certificates = (make_ca("b").certificate, chain[0], make_ca("a").certificate)
    text = "# roots\n" + "".join(dump_certificate(one) for one in certificates)
    taken = take_bundle(text)
    assert taken.certificates == certificates
    assert [repair.code for repair in taken.repairs] == ["surrounding-text"]
    assert load_certificate(taken.pem.split("-----END")[0] + "-----END CERTIFICATE-----")


def test_take_bundle_when_there_is_a_key_only_refuses() -> None:
    with pytest.raises(WrongBox):
        take_bundle(KEY_PEM)
    assert dump_key(key_of("p256"))
