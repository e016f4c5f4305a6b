"""`mooring dps`: certificates and their proof, enrollments, groups, registrations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.commandline import CommandLine

from mooring.pki.certificates import dump_certificate
from mooring.pki.issuing import Issuer, issue_root, issue_verification
from mooring.pki.keys import KeyAlgorithm
from mooring.pki.names import Subject


def _root(mooring: CommandLine, name: str, folder: str = ".") -> Path:
    """Make a root; its common name is also its name in the DPS."""
    mooring.text(
        *("cert", "root", "--cn", name, "--organization", "Quay"),
        *("--key", "ec-p256", "--out-dir", folder),
    )
    return mooring.folder / folder / "root-cert.pem"


def _proof(mooring: CommandLine, code: str, folder: str = ".") -> Path:
    mooring.text(
        *("cert", "verification", "--code", code, "--force", "--out-dir", folder),
    )
    return mooring.folder / folder / "verification-cert.pem"


def _code(mooring: CommandLine, name: str) -> str:
    found = mooring.json("dps", "certificate", "code", name)
    return str(found["properties"]["verificationCode"])


# -- CA certificates ------------------------------------------------------------------------------


def test_certificate_goes_from_unverified_to_verified_and_away(mooring: CommandLine) -> None:
    root = _root(mooring, "lifecycle1")
    added = mooring.text("dps", "certificate", "add", "lifecycle1", root)
    assert "Unverified" in added
    assert "next: mooring dps certificate code lifecycle1" in added
    shown = mooring.text("dps", "certificate", "code", "lifecycle1")
    code = shown.split()[2]
    assert f"mooring cert verification --code {code}" in shown
    assert f"-subj /CN={code}" in shown
    verified = mooring.text("dps", "certificate", "verify", "lifecycle1", _proof(mooring, code))
    assert "Verified" in verified
    (row,) = [r for r in mooring.json("dps", "certificate", "list") if r["name"] == "lifecycle1"]
    assert row["properties"]["isVerified"]
    assert mooring.json("dps", "certificate", "show", "lifecycle1")["name"] == "lifecycle1"
    assert mooring.json("dps", "certificate", "delete", "lifecycle1") == {"deleted": "lifecycle1"}
    assert mooring.refusal("dps", "certificate", "show", "lifecycle1")["code"] == (
        "certificate-not-found"
    )


def test_certificate_can_be_verified_with_the_key_at_hand_or_on_upload(
    mooring: CommandLine,
) -> None:
    root = _root(mooring, "athand1")
    mooring.text("dps", "certificate", "add", "athand1", root)
    proven = mooring.json(
        *("dps", "certificate", "verify", "athand1"), *("--ca-key", "root-private-key.pem")
    )
    assert proven["properties"]["isVerified"]
    other = _root(mooring, "athand2", "other")
    given = mooring.json("dps", "certificate", "add", "athand2", other, "--verified")
    assert given["properties"]["isVerified"]


def test_verify_refuses_each_wrong_proof_with_a_code_of_its_own(mooring: CommandLine) -> None:
    now = datetime.now(UTC)
    root = _root(mooring, "proof1")
    _root(mooring, "proof1", "namesake")
    _root(mooring, "stranger1", "stranger")
    mooring.text("dps", "certificate", "add", "proof1", root)
    verify = ("dps", "certificate", "verify", "proof1")
    seen: dict[str, str] = {}

    def refused(file: Path | str) -> str:
        refusal = mooring.refusal(*verify, file)
        text = mooring.run(*verify, file)
        assert text.returncode == 1
        assert text.stdout == ""
        assert f"({refusal['code']})" in text.stderr
        assert refusal["remedy"] in text.stderr
        seen[refusal["code"]] = refusal["remedy"]
        return str(refusal["code"])

    assert refused(_proof(mooring, "A" * 40)) == "verification-code-missing"
    old = _code(mooring, "proof1")
    code = _code(mooring, "proof1")
    assert refused(_proof(mooring, old)) == "verification-code-outdated"
    assert refused(_proof(mooring, "B" * 40)) == "common-name-not-code"
    assert refused(root) == "ca-certificate-given-instead"
    assert refused(_proof(mooring, code, "stranger")) == "not-signed-by-ca"
    assert refused(_proof(mooring, code, "namesake")) == "verification-signature-wrong"
    assert mooring.json("dps", "certificate", "show", "proof1")["properties"]["isVerified"] is False

    # Proofs that only a clock makes wrong: issued by a root that is as old.
    past = now - timedelta(days=30)
    aged = issue_root(
        Subject(common_name="aged1", organization="Quay"),
        algorithm=KeyAlgorithm.EC_P256,
        days=365,
        now=past,
    )
    issuer = Issuer(aged.certificate, aged.key)
    (mooring.folder / "aged.pem").write_text(dump_certificate(aged.certificate))
    mooring.text("dps", "certificate", "add", "aged1", "aged.pem")
    code = _code(mooring, "aged1")
    verify = ("dps", "certificate", "verify", "aged1")
    proof = mooring.folder / "proof.pem"
    for made_at, expected in (
        (past, "verification-certificate-expired"),
        (now + timedelta(days=2), "verification-certificate-not-yet-valid"),
    ):
        made = issue_verification(code, issuer, now=made_at, algorithm=KeyAlgorithm.EC_P256)
        proof.write_text(dump_certificate(made.certificate))
        assert refused(proof) == expected
    assert len(seen) == 8
    assert all(seen.values())

    (mooring.folder / "garbage").write_text("garbage")
    mooring.refusal(*verify, "garbage")
    assert mooring.refusal(*verify, "absent")["code"] == "file-unreadable"
    assert mooring.refusal(*verify, exit_code=2)["code"] == "proof-missing"
    assert mooring.refusal(*verify, "x", "--ca-key", "y", exit_code=2)["code"] == "proof-twice"
    assert (
        mooring.refusal("dps", "certificate", "verify", "nobody", proof)["code"]
        == "certificate-not-found"
    )


def test_certificate_add_refuses_what_is_no_certificate_or_there_already(
    mooring: CommandLine,
) -> None:
    root = _root(mooring, "twice1")
    mooring.text("dps", "certificate", "add", "twice1", root)
    assert mooring.refusal("dps", "certificate", "add", "twice1", root)["code"] == "already-exists"
    (mooring.folder / "garbage").write_text("garbage")
    refusal = mooring.refusal("dps", "certificate", "add", "other", "garbage")
    assert refusal["code"] == "certificate-malformed"
    (mooring.folder / "huge").write_bytes(b"x" * (1 << 20 | 1))
    refusal = mooring.refusal("dps", "certificate", "add", "other", "huge")
    assert refusal["code"] == "file-too-large"


# -- individual enrollments -----------------------------------------------------------------------


def test_enrollment_is_added_shown_switched_and_deleted(mooring: CommandLine) -> None:
    root = _root(mooring, "solo1")
    added = mooring.text("dps", "enrollment", "add", "--certificate", root, "--device-id", "dev-1")
    assert "solo1" in added
    assert "unassigned" in added
    found = mooring.json("dps", "enrollment", "show", "solo1")
    assert found["deviceId"] == "dev-1"
    assert found["provisioningStatus"] == "enabled"
    assert "solo1" in mooring.text("dps", "enrollment", "list")
    assert mooring.json("dps", "enrollment", "disable", "solo1")["provisioningStatus"] == "disabled"
    assert mooring.text("dps", "enrollment", "enable", "solo1") == "solo1 is enabled.\n"

    refusal = mooring.refusal("dps", "enrollment", "add", "--certificate", root)
    assert refusal["code"] == "already-exists"
    assert "--if-match" in refusal["remedy"]
    again = ("dps", "enrollment", "add", "--certificate", root, "--if-match", "*", "--disabled")
    assert mooring.json(*again)["provisioningStatus"] == "disabled"
    stale = mooring.refusal("dps", "enrollment", "delete", "solo1", "--if-match", found["etag"])
    assert stale["code"] == "etag-mismatch"
    assert mooring.text("dps", "enrollment", "delete", "solo1") == "deleted solo1.\n"
    assert mooring.refusal("dps", "enrollment", "show", "solo1")["code"] == "not-found"


def test_enrollment_list_takes_a_limit(mooring: CommandLine) -> None:
    root = _root(mooring, "pages0")
    for number in range(3):
        mooring.text(
            *("dps", "enrollment", "add", "--certificate", root),
            *("--registration-id", f"pages{number}"),
        )
    assert len(mooring.json("dps", "enrollment", "list", "--limit", "2")) == 2
    assert len(mooring.json("dps", "enrollment", "list")) >= 3


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (None, "file-unreadable"),
        ("garbage", "pem-missing"),
        ("root-private-key.pem", "wrong-box"),
    ],
)
def test_enrollment_add_with_a_bad_file_says_what_is_in_it(
    mooring: CommandLine, content: str | None, code: str
) -> None:
    _root(mooring, "bad1")
    file = mooring.folder / "file"
    if content == "root-private-key.pem":
        file = mooring.folder / content
    elif content is not None:
        file.write_text(content)
    refusal = mooring.refusal("dps", "enrollment", "add", "--certificate", file)
    assert refusal["code"] == code


def test_enrollment_add_with_a_bad_registration_id_names_it(mooring: CommandLine) -> None:
    root = _root(mooring, "bad2")
    refusal = mooring.refusal(
        *("dps", "enrollment", "add", "--certificate", root), *("--registration-id", "Bad Name")
    )
    assert refusal["code"] == "identifier-malformed"
    assert "Bad Name" in refusal["message"]


# -- groups, registrations -------------------------------------------------------------------------


def test_group_is_added_shown_switched_and_deleted(mooring: CommandLine) -> None:
    root = _root(mooring, "plant1")
    mooring.text("dps", "certificate", "add", "plant1", root)
    added = mooring.text("dps", "group", "add", "plant1", "--certificate", "plant1")
    assert "plant1 is not verified: no device gets in until it is." in added
    assert mooring.refusal("dps", "certificate", "delete", "plant1")["code"] == "certificate-in-use"
    assert "plant1" in mooring.text("dps", "group", "list")
    assert mooring.json("dps", "group", "disable", "plant1")["provisioningStatus"] == "disabled"
    assert mooring.json("dps", "group", "enable", "plant1")["provisioningStatus"] == "enabled"
    references = mooring.json("dps", "group", "show", "plant1")["attestation"]["x509"]
    assert references["caReferences"]["primary"] == "plant1"
    assert mooring.json("dps", "registration", "list", "--group", "plant1") == []
    assert mooring.json("dps", "group", "delete", "plant1") == {"deleted": "plant1"}
    mooring.text("dps", "certificate", "delete", "plant1")


def test_group_add_with_an_unknown_ca_says_what_to_do(mooring: CommandLine) -> None:
    refusal = mooring.refusal("dps", "group", "add", "plant9", "--certificate", "nobody")
    assert refusal["code"] == "ca-reference-unknown"
    assert "mooring dps certificate add" in refusal["remedy"]
    assert mooring.refusal("dps", "group", "show", "plant9")["code"] == "not-found"


def test_registration_of_nobody_is_not_found(mooring: CommandLine) -> None:
    assert mooring.refusal("dps", "registration", "show", "nobody")["code"] == (
        "registration-not-found"
    )
    assert mooring.refusal("dps", "registration", "delete", "nobody")["code"] == (
        "registration-not-found"
    )
    mooring.text("dps", "registration", "list")
