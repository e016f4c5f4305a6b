"""`mooring dps certificate`: upload, proof of possession by file and by key, change, refusals."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.commandline import CommandLine
from tests.support.dps_commands import fresh_name, make_proof, make_root, upload_root

from mooring.cli import dps_certificate
from mooring.pki.certificates import dump_certificate
from mooring.pki.issuing import Issuer, issue_root, issue_verification
from mooring.pki.keys import KeyAlgorithm
from mooring.pki.names import Subject

PASSPHRASE = "correct horse"


def _code(mooring: CommandLine, name: str) -> str:
    found = mooring.json("dps", "certificate", "code", name)
    return str(found["properties"]["verificationCode"])


def test_certificate_goes_from_unverified_to_verified_and_away(mooring: CommandLine) -> None:
    name = fresh_name("root")
    root = make_root(mooring, name)
    added = mooring.text("dps", "certificate", "add", name, root)
    assert "Unverified" in added
    assert f"next: mooring dps certificate code {name}" in added
    shown = mooring.text("dps", "certificate", "code", name)
    code = shown.split()[2]
    assert f"mooring dps certificate verify {name} --with-key root-private-key.pem" in shown
    assert f"mooring cert verification --code {code}" in shown
    assert code in mooring.text("dps", "certificate", "show", name)
    verified = mooring.text("dps", "certificate", "verify", name, make_proof(mooring, code))
    assert "Verified" in verified
    assert code not in verified
    (row,) = [r for r in mooring.json("dps", "certificate", "list") if r["name"] == name]
    assert row["properties"]["isVerified"]
    assert mooring.json("dps", "certificate", "show", name)["name"] == name
    assert mooring.json("dps", "certificate", "delete", name) == {"deleted": name}
    refusal = mooring.refusal("dps", "certificate", "show", name)
    assert refusal["code"] == "certificate-not-found"


def test_openssl_lines_of_code_are_ready_to_be_pasted(mooring: CommandLine) -> None:
    name = fresh_name("root")
    mooring.text("dps", "certificate", "add", name, make_root(mooring, name))
    shown = mooring.text("dps", "certificate", "code", name)
    lines = [line for line in shown.splitlines() if line.lstrip().startswith("openssl ")]
    assert len(lines) == 2
    for line in lines:
        subprocess.run(line, shell=True, cwd=mooring.folder, check=True, capture_output=True)
    found = mooring.json("dps", "certificate", "verify", name, "verification-cert.pem")
    assert found["properties"]["isVerified"]


def test_certificate_can_be_verified_with_the_key_at_hand_or_on_upload(
    mooring: CommandLine,
) -> None:
    name, other = fresh_name("root"), fresh_name("root")
    mooring.text("dps", "certificate", "add", name, make_root(mooring, name))
    verify = ("dps", "certificate", "verify", name, "--with-key", "root-private-key.pem")
    assert mooring.json(*verify)["properties"]["isVerified"]
    given = mooring.json(
        *("dps", "certificate", "add", other, make_root(mooring, other, "other")), "--verified"
    )
    assert given["properties"]["isVerified"]


def test_verify_with_a_key_uses_the_code_that_waits(
    mooring: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = fresh_name("root")
    mooring.text("dps", "certificate", "add", name, make_root(mooring, name))
    code = _code(mooring, name)
    monkeypatch.setattr(dps_certificate, "_generate_code", None)  # it would fail
    proven = mooring.json(
        *("dps", "certificate", "verify", name, "--with-key", "root-private-key.pem")
    )
    assert proven["properties"]["isVerified"]
    assert code not in mooring.text("dps", "certificate", "show", name)


def test_verify_with_a_wrong_key_costs_nobody_a_code(mooring: CommandLine) -> None:
    name = fresh_name("root")
    mooring.text("dps", "certificate", "add", name, make_root(mooring, name))
    make_root(mooring, fresh_name("stranger"), "stranger")
    verify = ("dps", "certificate", "verify", name)
    stranger = mooring.refusal(*verify, "--with-key", "stranger/root-private-key.pem")
    assert stranger["code"] == "issuer-key-mismatch"
    assert "verificationCode" not in mooring.json("dps", "certificate", "show", name)["properties"]

    code = _code(mooring, name)
    elsewhere = make_proof(mooring, code)
    wrong = mooring.refusal(*verify, "--with-key", "stranger/root-private-key.pem")
    assert wrong["code"] == "issuer-key-mismatch"
    assert mooring.refusal(*verify, "--with-key", "absent.pem")["code"] == "file-unreadable"
    assert mooring.refusal(*verify, "--with-key", "root-cert.pem")["code"] == "wrong-box"
    shown = mooring.json("dps", "certificate", "show", name)["properties"]
    assert shown["verificationCode"] == code
    assert mooring.json(*verify, elsewhere)["properties"]["isVerified"]


def test_verify_with_an_encrypted_key_needs_its_passphrase(mooring: CommandLine) -> None:
    name = fresh_name("root")
    (mooring.folder / "passphrase").write_text(f"{PASSPHRASE}\n")
    mooring.text(
        *("cert", "root", "--cn", name, "--organization", "Quay"),
        *("--key", "ec-p256", "--passphrase-file", "passphrase"),
    )
    mooring.text("dps", "certificate", "add", name, "root-cert.pem")
    verify = ("dps", "certificate", "verify", name, "--with-key", "root-private-key.pem")
    refusal = mooring.refusal(*verify, exit_code=2)
    assert refusal["code"] == "key-encrypted"
    assert "--passphrase-file" in refusal["remedy"]
    (mooring.folder / "wrong").write_text("not this\n")
    wrong = mooring.refusal(*verify, "--passphrase-file", "wrong")
    assert wrong["code"] == "passphrase-wrong"
    assert mooring.json(*verify, "--passphrase-file", "passphrase")["properties"]["isVerified"]


def test_verify_refuses_each_wrong_proof_with_a_code_of_its_own(mooring: CommandLine) -> None:
    now = datetime.now(UTC)
    name = fresh_name("proof")
    root = make_root(mooring, name)
    make_root(mooring, name, "namesake")
    make_root(mooring, fresh_name("stranger"), "stranger")
    mooring.text("dps", "certificate", "add", name, root)
    verify = ("dps", "certificate", "verify", name)
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

    assert refused(make_proof(mooring, "A" * 40)) == "verification-code-missing"
    old = _code(mooring, name)
    code = _code(mooring, name)
    assert refused(make_proof(mooring, old)) == "verification-code-outdated"
    assert refused(make_proof(mooring, "B" * 40)) == "common-name-not-code"
    assert refused(root) == "ca-certificate-given-instead"
    assert refused(make_proof(mooring, code, "stranger")) == "not-signed-by-ca"
    assert refused(make_proof(mooring, code, "namesake")) == "verification-signature-wrong"
    assert mooring.json("dps", "certificate", "show", name)["properties"]["isVerified"] is False

    # Proofs that only a clock makes wrong: issued by a root that is as old.
    past = now - timedelta(days=30)
    aged_name = fresh_name("aged")
    aged = issue_root(
        Subject(common_name=aged_name, organization="Quay"),
        algorithm=KeyAlgorithm.EC_P256,
        days=365,
        now=past,
    )
    issuer = Issuer(aged.certificate, aged.key)
    (mooring.folder / "aged.pem").write_text(dump_certificate(aged.certificate))
    mooring.text("dps", "certificate", "add", aged_name, "aged.pem")
    code = _code(mooring, aged_name)
    verify = ("dps", "certificate", "verify", aged_name)
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
    assert mooring.refusal(*verify, "x", "--with-key", "y", exit_code=2)["code"] == "proof-twice"
    nobody = mooring.refusal("dps", "certificate", "verify", "nobody", proof)
    assert nobody["code"] == "certificate-not-found"


def test_certificate_add_refuses_what_is_no_certificate_or_there_already(
    mooring: CommandLine,
) -> None:
    name = fresh_name("twice")
    root = make_root(mooring, name)
    mooring.text("dps", "certificate", "add", name, root)
    assert mooring.refusal("dps", "certificate", "add", name, root)["code"] == "already-exists"
    (mooring.folder / "garbage").write_text("garbage")
    refusal = mooring.refusal("dps", "certificate", "add", "other", "garbage")
    assert refusal["code"] == "certificate-malformed"
    (mooring.folder / "huge").write_bytes(b"x" * (1 << 20 | 1))
    refusal = mooring.refusal("dps", "certificate", "add", "other", "huge")
    assert refusal["code"] == "file-too-large"


def test_certificate_update_replaces_it_and_takes_its_proof_away(mooring: CommandLine) -> None:
    name = fresh_name("rolled")
    upload_root(mooring, name)
    before = mooring.json("dps", "certificate", "show", name)
    newer = make_root(mooring, fresh_name("newer"), "newer")
    update = ("dps", "certificate", "update", name)

    stale = mooring.refusal(*update, newer, "--if-match", "c3RhbGU=")
    assert stale["code"] == "etag-mismatch"
    changed = mooring.json(*update, newer, "--if-match", before["etag"])
    assert changed["properties"]["isVerified"] is False
    assert changed["properties"]["thumbprint"] != before["properties"]["thumbprint"]
    taken = mooring.json(*update, "--verified")
    assert taken["properties"]["isVerified"] is True
    assert taken["properties"]["thumbprint"] == changed["properties"]["thumbprint"]
    assert mooring.refusal(*update, exit_code=2)["code"] == "nothing-to-change"
    assert mooring.refusal("dps", "certificate", "update", "nobody", newer)["code"] == (
        "certificate-not-found"
    )


@pytest.mark.parametrize("command", ["show", "code", "delete"])
def test_certificate_of_an_unknown_or_impossible_name_is_refused(
    mooring: CommandLine, command: str
) -> None:
    refusal = mooring.refusal("dps", "certificate", command, "nobody")
    assert refusal["code"] == "certificate-not-found"
    impossible = mooring.refusal("dps", "certificate", command, "..", exit_code=2)
    assert impossible["code"] == "name-impossible"
