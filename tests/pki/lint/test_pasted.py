"""Pasted texts: the paste matrix, the report, and that nothing a user pastes raises."""

from __future__ import annotations

import base64
import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st
from tests.support.lint_cases import NOW, Made, device, intermediate, key_of, root

from mooring.pki.certificates import certificate_der, dump_certificate
from mooring.pki.keys import dump_key
from mooring.pki.lint import LintReport, Purpose, lint_pasted, preview_identity

LINE = intermediate()
LEAF = device(issuer=LINE)
CHAIN = dump_certificate(LEAF.certificate) + dump_certificate(LINE.certificate)
KEY = dump_key(LEAF.key).decode()
ENCRYPTED = dump_key(LEAF.key, passphrase=b"open sesame").decode()


def report_on(
    certificate: str | bytes, key: str | bytes | None = KEY, **options: Any
) -> LintReport:
    return lint_pasted(certificate, key, now=NOW, **options)


def rules_of(report: LintReport) -> set[str]:
    return {finding.rule_id for finding in report.findings}


def traditional(made: Made) -> str:
    """Return the key as OpenSSL wrote it before PKCS#8: PKCS#1 or SEC 1."""
    pem: bytes = made.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    return pem.decode()


RSA_LEAF = device(key="rsa2048", issuer=LINE)
RSA_CHAIN = dump_certificate(RSA_LEAF.certificate) + dump_certificate(LINE.certificate)
REVERSED = dump_certificate(LINE.certificate) + dump_certificate(LEAF.certificate)

PASTES = {
    "ok": (CHAIN, KEY, None, set()),
    "trailing blanks": (CHAIN + "  \n\n ", KEY, None, {"n_pem_repaired"}),
    "blank after the last dash of the key": (CHAIN, KEY.rstrip() + " ", None, {"n_pem_repaired"}),
    "CRLF": (CHAIN.replace("\n", "\r\n"), KEY, None, {"n_pem_repaired"}),
    "leading blanks": ("   " + CHAIN, KEY, None, {"n_pem_repaired"}),
    "one line": (CHAIN.replace("\n", " "), KEY, None, {"n_pem_repaired"}),
    "byte order mark": ("\ufeff" + CHAIN, KEY, None, {"n_pem_repaired"}),
    "text around": ("$ cat device.crt\n" + CHAIN + "$ \n", KEY, None, {"n_pem_repaired"}),
    "both in the wrong box": (KEY, CHAIN, None, {"e_wrong_box"}),
    "the key twice": (KEY, KEY, None, {"e_wrong_box"}),
    "the certificate twice": (CHAIN, CHAIN, None, {"e_wrong_box"}),
    "PKCS#1 key": (RSA_CHAIN, traditional(RSA_LEAF), None, {"n_pem_repaired"}),
    "SEC 1 key": (CHAIN, traditional(LEAF), None, {"n_pem_repaired"}),
    "encrypted, no passphrase": (CHAIN, ENCRYPTED, None, {"e_key_encrypted_without_passphrase"}),
    "encrypted, passphrase": (CHAIN, ENCRYPTED, b"open sesame", set()),
    "encrypted, wrong one": (CHAIN, ENCRYPTED, b"open barley", {"e_passphrase_wrong"}),
    "chain reversed": (REVERSED, KEY, None, {"n_chain_reordered"}),
    "key of another": (
        CHAIN,
        dump_key(key_of("p256#other")).decode(),
        None,
        {"e_key_does_not_match"},
    ),
    "certificate empty": ("", KEY, None, {"e_certificate_missing"}),
    "key empty": (CHAIN, " \n", None, {"e_key_missing"}),
    "certificate torn": (CHAIN[:200], KEY, None, {"e_pem_unreadable"}),
    "key torn": (CHAIN, KEY[:100], None, {"e_key_unreadable"}),
    "unrelated certificates": (
        CHAIN + dump_certificate(device("other", key="p256#o").certificate),
        KEY,
        None,
        {"e_chain_order"},
    ),
}


@pytest.mark.parametrize("paste", PASTES)
def test_paste_matrix(paste: str) -> None:
    certificate, key, passphrase, expected = PASTES[paste]
    report = lint_pasted(certificate, key, passphrase, now=NOW)
    assert rules_of(report) == expected
    assert report.ok == all(rule.startswith("n_") for rule in expected)


def test_paste_that_was_repaired_is_kept_normalised() -> None:
    report = report_on("  " + CHAIN.replace("\n", "\r\n"), traditional(LEAF))
    assert report.certificates is not None
    assert report.certificates.pem == CHAIN
    assert report.key is not None
    assert report.key.pem.decode() == KEY
    assert report.key.encrypted is False


def test_encrypted_key_stays_encrypted() -> None:
    report = report_on(CHAIN, ENCRYPTED, passphrase=b"open sesame")
    assert report.key is not None
    assert report.key.encrypted is True
    assert report.key.pem.decode() == ENCRYPTED


def test_key_that_was_not_given_is_not_judged() -> None:
    report = report_on(CHAIN, None)
    assert report.ok
    assert report.key is None


def test_identity_preview_names_who_registers_until_when_and_under_whom() -> None:
    identity = report_on(REVERSED).identity
    assert identity is not None
    assert identity.registers_as == "edgegw01"
    assert identity.info.issuer_name == "CN=quayline, O=Quay"
    assert identity.info.not_after == NOW + timedelta(days=335)
    assert identity.chain == ("CN=edgegw01, O=Quay", "CN=quayline, O=Quay")
    assert identity.chain_length == 2
    assert identity.key == "EC secp256r1"
    assert not identity.is_ca
    assert not identity.is_self_signed


def test_identity_preview_of_a_root_says_what_it_is() -> None:
    identity = preview_identity([root().certificate])
    assert identity.is_ca
    assert identity.is_self_signed


def test_report_on_unreadable_text_has_no_identity() -> None:
    report = report_on("nothing")
    assert report.identity is None
    assert report.to_json()["identity"] is None
    assert not report.ok


def test_report_in_text_form_and_json_holds_no_key() -> None:
    report = report_on(CHAIN, ENCRYPTED, passphrase=b"open sesame")
    for text in (repr(report), json.dumps(report.to_json())):
        assert "PRIVATE KEY" not in text
        assert "open sesame" not in text
        assert ENCRYPTED.splitlines()[1] not in text


def test_report_as_json_holds_verdict_findings_and_identity() -> None:
    document = report_on(CHAIN, registration_id="other").to_json()
    assert document["ok"] is False
    assert [f["rule_id"] for f in document["findings"]] == ["e_registration_id_mismatch"]
    assert document["identity"]["not_after"] == (NOW + timedelta(days=335)).isoformat()
    json.dumps(document)


def test_every_option_reaches_the_rules() -> None:
    report = report_on(
        CHAIN,
        purpose=Purpose.DEVICE,
        strict_subject_rules=True,
        registration_id="other",
        endpoint="https://x",
        scope_id="",
        known_cas=[device("other", key="p256#o").certificate],
    )
    assert rules_of(report) == {
        "e_registration_id_mismatch",
        "e_endpoint_not_hostname",
        "e_scope_id_missing",
        "w_chain_incomplete",
    }
    verification = report_on(CHAIN, purpose=Purpose.VERIFICATION, verification_code="7A3F")
    assert rules_of(verification) == {"e_verification_code_mismatch"}


def test_trust_bundle_may_hold_unrelated_certificates() -> None:
    bundle = dump_certificate(root().certificate) + dump_certificate(root("p256#two").certificate)
    report = lint_pasted(bundle, now=NOW, purpose=Purpose.CHAIN)
    assert report.findings == ()
    assert report.identity is not None
    assert report.identity.chain_length == 2


def test_der_and_base64_are_taken_with_a_note() -> None:
    der = certificate_der(LEAF.certificate)
    for data in (der, base64.b64encode(der)):
        report = report_on(data)
        assert report.ok
        assert "n_pem_repaired" in rules_of(report)


@given(certificate=st.one_of(st.text(), st.binary()), key=st.one_of(st.text(), st.binary()))
def test_nothing_that_is_pasted_raises(certificate: str | bytes, key: str | bytes) -> None:
    report = lint_pasted(certificate, key, b"x", now=NOW)
    assert not report.ok


@given(
    at=st.integers(min_value=0, max_value=len(CHAIN) - 1),
    put=st.text(max_size=3),
    drop=st.integers(min_value=0, max_value=70),
)
def test_no_damage_to_a_paste_raises(at: int, put: str, drop: int) -> None:
    damaged = CHAIN[:at] + put + CHAIN[at + drop :]
    report = lint_pasted(damaged, KEY, now=NOW)
    assert report.certificates is not None or report.errors


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@given(data=st.data())
def test_no_flipped_byte_of_a_certificate_raises(data: st.DataObject) -> None:
    der = bytearray(certificate_der(LEAF.certificate))
    position = data.draw(st.integers(min_value=0, max_value=len(der) - 1))
    der[position] ^= data.draw(st.integers(min_value=1, max_value=255))
    lint_pasted(base64.b64encode(bytes(der)), KEY, now=NOW).to_json()


def test_guides_own_commands_make_a_root_that_passes_with_a_warning_of_its_30_days(
    tmp_path: Path,
) -> None:
    command = (
        "openssl req -x509 -newkey rsa:2048 -keyout root-private-key.pem -nodes -out root-cert.pem "
        "-subj /O=Quay/CN=edgegw01"
    )
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True, timeout=60)
    report = lint_pasted(
        (tmp_path / "root-cert.pem").read_bytes(),
        (tmp_path / "root-private-key.pem").read_bytes(),
        now=datetime.now(UTC) + timedelta(minutes=1),
        strict_subject_rules=True,
    )
    assert rules_of(report) == {
        "n_ca_certificate_as_device",
        "n_testing_only",
        "w_expires_within_30_days",
    }
