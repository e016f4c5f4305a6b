"""`mooring cert` in process: files, modes, refusals, exit codes, JSON."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.lint_cases import make
from typer.testing import CliRunner

from mooring.cli.main import app
from mooring.pki.certificates import common_name, describe, dump_certificate, load_certificate
from mooring.pki.pem import key_matches, take_certificates, take_private_key

CODE = "6E25DAA2DB2D45B52EA4B3CA3D64AF0E0A4CC2A7"
FAST = ("--key", "ec-p256")

Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `mooring cert ARGUMENTS` in an empty folder; returns typer's result."""
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()

    def invoke(*arguments: str, **options: Any) -> Any:
        return runner.invoke(app, ["cert", *arguments], **options)

    return invoke


@pytest.fixture
def root(run: Run) -> Path:
    """A root in the current folder."""
    assert run("root", "--cn", "quayroot", "--organization", "Quay", *FAST).exit_code == 0
    return Path("root-cert.pem")


def mode_of(path: str | Path) -> int:
    return stat.S_IMODE(Path(path).stat().st_mode)


def openssl(*arguments: str) -> str:
    """Run openssl, which must succeed, and return what it printed."""
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def failed(result: Any, exit_code: int, code: str) -> dict[str, Any]:
    """Assert that a ``--json`` command failed so, and return its error."""
    assert result.exit_code == exit_code, result.output
    error: dict[str, Any] = json.loads(result.stdout)["error"]
    assert error["code"] == code
    assert error["message"]
    assert error["remedy"]
    return error


# -- making ---------------------------------------------------------------------------------


def test_root_with_flags_writes_the_guides_files_that_openssl_accepts(run: Run) -> None:
    result = run(
        *("root", "--cn", "edgegw01", "--country", "IT", "--state", "Udine"),
        *("--locality", "Amaro", "--organization", "Quay", "--organizational-unit", "Lab"),
        *("--email", "ops@quay.example", "--days", "90"),
    )
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in Path().iterdir()) == [
        "root-cert.pem",
        "root-private-key.pem",
    ]
    assert mode_of("root-private-key.pem") == 0o600
    assert mode_of("root-cert.pem") == 0o644
    assert Path("root-cert.pem").read_text().startswith("-----BEGIN CERTIFICATE-----\n")
    assert Path("root-cert.pem").read_text().endswith("-----END CERTIFICATE-----\n")
    assert Path("root-private-key.pem").read_text().startswith("-----BEGIN PRIVATE KEY-----\n")
    subject = openssl("x509", "-in", "root-cert.pem", "-noout", "-subject").strip()
    assert subject == (
        "subject=C = IT, ST = Udine, L = Amaro, O = Quay, OU = Lab, CN = edgegw01, "
        "emailAddress = ops@quay.example"
    )
    assert "2048 bit" in openssl("x509", "-in", "root-cert.pem", "-noout", "-text")
    assert "valid" in openssl("pkey", "-in", "root-private-key.pem", "-check", "-noout")
    openssl("verify", "-x509_strict", "-CAfile", "root-cert.pem", "root-cert.pem")
    info = describe(load_certificate(Path("root-cert.pem").read_text()))
    assert (info.not_after - info.not_before).days == 90


def test_root_says_what_it_is_for_how_long_and_what_comes_next(run: Run) -> None:
    result = run("root", "--cn", "edgegw01", "--organization", "Quay", *FAST)
    info = describe(load_certificate(Path("root-cert.pem").read_text()))
    for text in (
        "testing and development only",
        "root-private-key.pem (0600, not encrypted)",
        info.sha1_thumbprint,
        info.sha256_thumbprint,
        f"{info.not_after:%Y-%m-%d}",
        "IoT Hub Device ID edgegw01",
        "mooring cert verification --code CODE",
    ):
        assert text in result.output


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("rsa-2048", "RSA 2048"),
        ("rsa-3072", "RSA 3072"),
        ("rsa-4096", "RSA 4096"),
        ("ec-p256", "EC secp256r1"),
        ("ec-p384", "EC secp384r1"),
    ],
)
def test_root_with_key_makes_that_kind(run: Run, key: str, shown: str) -> None:
    result = run("root", "--cn", "a1", "--organization", "Quay", "--key", key, "--json")
    assert json.loads(result.stdout)["key"] == shown


def test_root_with_unknown_key_kind_is_a_wrong_command(run: Run) -> None:
    result = run("root", "--cn", "a1", "--organization", "Quay", "--key", "rsa-1024")
    assert result.exit_code == 2
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--cn", "Edge-GW-01", "--organization", "Q"), "common-name-not-lower-alphanumeric",
         "edgegw01"),
        (("--cn", "edgegw01"), "subject-only-common-name", "--any-subject"),
        (("--cn", ""), "common-name-missing", "--cn"),
        ((), "common-name-missing", "--cn"),
        (("--cn", "edgegw01", "--country", "Italy"), "subject-field-invalid", "Country"),
        (("--cn", "a1", "--organization", "Q", "--days", "0"), "validity-invalid", "365"),
        (("--cn", "a1", "--organization", "Q", "--days", "99999999"), "validity-invalid", "365"),
        (("--cn", "a" * 65, "--organization", "Q"), "subject-field-invalid", "Common Name"),
    ],
)  # fmt: skip
def test_root_with_a_refused_subject_is_a_wrong_command_and_writes_nothing(
    run: Run, arguments: tuple[str, ...], code: str, said: str
) -> None:
    error = failed(run("root", *arguments, *FAST, "--json"), 2, code)
    assert said in error["remedy"]
    assert not list(Path().iterdir())


def test_root_refused_without_json_says_so_on_standard_error_without_traceback(run: Run) -> None:
    result = run("root", "--cn", "Edge-GW-01", "--organization", "Quay")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "'edgegw01'" in result.stderr
    assert "--any-subject" in result.stderr
    assert "Traceback" not in result.stderr


def test_root_with_any_subject_takes_what_the_guide_refuses(run: Run) -> None:
    assert run("root", "--cn", "Edge-GW-01", "--any-subject", *FAST).exit_code == 0
    assert common_name(load_certificate(Path("root-cert.pem").read_text())) == "Edge-GW-01"


def test_root_when_a_file_is_there_refuses_and_leaves_it(run: Run, root: Path) -> None:
    before = Path("root-private-key.pem").read_bytes()
    result = run("root", "--cn", "other1", "--organization", "Quay", *FAST, "--json")
    error = failed(result, 1, "file-exists")
    assert "root-private-key.pem" in error["message"]
    assert "--force" in error["remedy"]
    assert Path("root-private-key.pem").read_bytes() == before


def test_root_with_force_replaces_both_files(run: Run, root: Path) -> None:
    assert run("root", "--cn", "other1", "--organization", "Quay", *FAST, "--force").exit_code == 0
    certificate = load_certificate(root.read_text())
    assert common_name(certificate) == "other1"
    key = take_private_key(Path("root-private-key.pem").read_bytes()).key
    assert key_matches(certificate, key)


def test_root_with_out_dir_makes_the_folder_for_its_owner_only(run: Run) -> None:
    arguments = ("--cn", "a1", "--organization", "Quay", *FAST, "--out-dir", "deep/er")
    assert run("root", *arguments).exit_code == 0
    assert Path("deep/er/root-cert.pem").exists()
    assert mode_of("deep/er") == 0o700


def test_root_when_the_folder_cannot_be_written_says_so(run: Run) -> None:
    Path("file").write_text("in the way")
    result = run(
        "root", "--cn", "a1", "--organization", "Q", *FAST, "--out-dir", "file/x", "--json"
    )
    error = failed(result, 1, "file-unwritable")
    assert error["field"] == "out-dir"


def test_root_with_passphrase_file_encrypts_the_key_with_aes_256(run: Run) -> None:
    Path("pass").write_text("open sesame\nsecond line\n")
    arguments = ("--cn", "a1", "--organization", "Quay", "--passphrase-file", "pass")
    result = run("root", *arguments, *FAST, "--json")
    assert json.loads(result.stdout)["encrypted"] is True
    assert "BEGIN ENCRYPTED PRIVATE KEY" in Path("root-private-key.pem").read_text()
    structure = openssl("asn1parse", "-in", "root-private-key.pem")
    assert "PBES2" in structure
    assert "aes-256-cbc" in structure
    checked = openssl(
        "pkey", "-in", "root-private-key.pem", "-passin", "pass:open sesame", "-check", "-noout"
    )
    assert "valid" in checked


@pytest.mark.parametrize("content", ["", "\n", "x" * 1024])
def test_root_with_a_useless_passphrase_file_is_refused(run: Run, content: str) -> None:
    Path("pass").write_text(content)
    arguments = ("--cn", "a1", "--organization", "Quay", "--passphrase-file", "pass")
    failed(run("root", *arguments, *FAST, "--json"), 1, "passphrase-invalid")
    assert not Path("root-cert.pem").exists()


def test_root_with_encrypt_and_nobody_to_ask_is_a_wrong_command(run: Run) -> None:
    result = run("root", "--cn", "a1", "--organization", "Quay", "--encrypt", *FAST, "--json")
    error = failed(result, 2, "passphrase-missing")
    assert "--passphrase-file" in error["remedy"]


def test_intermediate_and_device_under_it_make_a_chain_that_openssl_verifies(
    run: Run, root: Path
) -> None:
    line = ("intermediate", "--cn", "Quay line 1", "--organization", "Quay", *FAST)
    assert run(*line).exit_code == 0
    assert mode_of("intermediate-private-key.pem") == 0o600
    assert not Path("intermediate-chain.pem").exists()
    result = run(
        *("device", "--device-id", "edgegw01", "--organization", "Quay", *FAST, "--json"),
        *("--ca", "intermediate-cert.pem", "--ca-key", "intermediate-private-key.pem"),
    )
    assert json.loads(result.stdout)["files"] == {
        "certificate": "device.crt",
        "private_key": "device-private-key.pem",
        "chain": "device-chain.pem",
    }
    openssl(
        *("verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", "root-cert.pem"),
        *("-untrusted", "intermediate-cert.pem", "device.crt"),
    )
    chain = take_certificates(Path("device-chain.pem").read_text())
    assert [common_name(certificate) for certificate in chain.certificates] == [
        "edgegw01",
        "Quay line 1",
    ]
    assert chain.repairs == ()


def test_intermediate_under_an_intermediate_keeps_its_chain_for_the_devices(
    run: Run, root: Path
) -> None:
    first = ("intermediate", "--cn", "line", "--path-length", "1", "--out-dir", "one", *FAST)
    assert run(*first, "--ca", "root-cert.pem", "--ca-key", "root-private-key.pem").exit_code == 0
    second = ("intermediate", "--cn", "cell", "--out-dir", "two", *FAST, "--ca")
    signer = ("one/intermediate-cert.pem", "--ca-key", "one/intermediate-private-key.pem")
    assert run(*second, *signer).exit_code == 0
    third = ("device", "--device-id", "d1", "--organization", "Quay", *FAST, "--ca")
    signer = ("two/intermediate-chain.pem", "--ca-key", "two/intermediate-private-key.pem")
    assert run(*third, *signer).exit_code == 0
    chain = take_certificates(Path("device-chain.pem").read_text()).certificates
    assert [common_name(certificate) for certificate in chain] == ["d1", "cell", "line"]
    openssl("verify", "-CAfile", "root-cert.pem", "-untrusted", "device-chain.pem", "device.crt")


def test_intermediate_that_its_issuer_does_not_allow_is_refused(run: Run, root: Path) -> None:
    assert run("intermediate", "--cn", "line", *FAST).exit_code == 0
    result = run(
        *("intermediate", "--cn", "cell", "--out-dir", "two", *FAST, "--json"),
        *("--ca", "intermediate-cert.pem", "--ca-key", "intermediate-private-key.pem"),
    )
    failed(result, 1, "path-length-exceeded")


def test_device_under_the_root_of_the_folder_has_no_chain_file(run: Run, root: Path) -> None:
    result = run("device", "--device-id", "edgegw01", "--organization", "Quay", *FAST)
    assert result.exit_code == 0
    assert "registers as edgegw01" in result.output
    assert not Path("device-chain.pem").exists()
    assert mode_of("device-private-key.pem") == 0o600
    openssl("verify", "-x509_strict", "-CAfile", "root-cert.pem", "device.crt")
    openssl("pkey", "-in", "device-private-key.pem", "-check", "-noout")


def test_device_with_force_removes_the_chain_of_the_one_before(run: Run, root: Path) -> None:
    Path("device-chain.pem").write_text("of another device")
    arguments = ("device", "--device-id", "edgegw01", "--organization", "Quay", *FAST)
    failed(run(*arguments, "--json"), 1, "file-exists")
    assert run(*arguments, "--force").exit_code == 0
    assert not Path("device-chain.pem").exists()


def test_device_obeys_the_guides_subject_rules(run: Run, root: Path) -> None:
    failed(run("device", "--device-id", "edgegw01", *FAST, "--json"), 2, "subject-only-common-name")
    failed(
        run("device", "--device-id", "Edge", "--organization", "Q", *FAST, "--json"),
        2,
        "common-name-not-lower-alphanumeric",
    )
    assert run("device", "--device-id", "Edge", "--any-subject", *FAST).exit_code == 0


def test_device_without_a_ca_says_which_file_is_missing(run: Run) -> None:
    result = run("device", "--device-id", "edgegw01", "--organization", "Q", *FAST, "--json")
    error = failed(result, 1, "file-unreadable")
    assert "root-cert.pem" in error["message"]


def test_device_with_a_ca_key_that_does_not_fit_is_refused(run: Run, root: Path) -> None:
    assert run("root", "--cn", "o1", "--organization", "Q", *FAST, "--out-dir", "o").exit_code == 0
    arguments = ("device", "--device-id", "edgegw01", "--organization", "Q", *FAST, "--json")
    failed(run(*arguments, "--ca-key", "o/root-private-key.pem"), 1, "issuer-key-mismatch")
    assert not Path("device.crt").exists()


def test_device_with_ca_and_key_swapped_is_refused_by_name(run: Run, root: Path) -> None:
    arguments = ("device", "--device-id", "edgegw01", "--organization", "Q", *FAST, "--json")
    swapped = ("--ca", "root-private-key.pem", "--ca-key", "root-cert.pem")
    error = failed(run(*arguments, *swapped), 1, "wrong-box")
    assert "root-private-key.pem" in error["message"]


def test_device_under_an_encrypted_ca_key_needs_its_passphrase(run: Run) -> None:
    Path("pass").write_text("open sesame\n")
    Path("wrong").write_text("open barley\n")
    made = run("root", "--cn", "r1", "--organization", "Q", *FAST, "--passphrase-file", "pass")
    assert made.exit_code == 0
    arguments = ("device", "--device-id", "d1", "--organization", "Q", *FAST, "--json")
    error = failed(run(*arguments), 2, "key-encrypted")
    assert "--ca-passphrase-file" in error["remedy"]
    failed(run(*arguments, "--ca-passphrase-file", "wrong"), 1, "passphrase-wrong")
    assert run(*arguments, "--ca-passphrase-file", "pass").exit_code == 0


def test_verification_carries_the_code_and_keeps_no_key(run: Run, root: Path) -> None:
    result = run("verification", "--code", CODE, *FAST, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["files"]["private_key"] is None
    assert not Path("verification-private-key.pem").exists()
    assert common_name(load_certificate(Path("verification-cert.pem").read_text())) == CODE
    openssl("verify", "-CAfile", "root-cert.pem", "verification-cert.pem")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), "code-missing"),
        (("--code", ""), "verification-code-invalid"),
        (("--code", " A"), "verification-code-invalid"),
    ],
)
def test_verification_without_a_usable_code_is_a_wrong_command(
    run: Run, root: Path, arguments: tuple[str, ...], code: str
) -> None:
    failed(run("verification", *arguments, *FAST, "--json"), 2, code)


# -- checking and showing -------------------------------------------------------------------


@pytest.fixture
def device(run: Run, root: Path) -> Path:
    """A device under the root of the folder."""
    made = run("device", "--device-id", "edgegw01", "--organization", "Quay", *FAST)
    assert made.exit_code == 0
    return Path("device.crt")


def rules_of(result: Any) -> set[str]:
    return {finding["rule_id"] for finding in json.loads(result.stdout)["findings"]}


def test_check_of_what_mooring_made_finds_no_fault(run: Run, device: Path) -> None:
    result = run(
        *("check", "device.crt", "--key", "device-private-key.pem", "--strict", "--json"),
        *("--registration-id", "edgegw01", "--ca", "root-cert.pem"),
    )
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document["ok"] is True
    assert document["findings"] == []
    assert document["identity"]["registers_as"] == "edgegw01"
    assert document["identity"]["chain_length"] == 1


@pytest.mark.parametrize("purpose", ["root", "device"])
def test_check_of_a_root_finds_no_fault_in_either_of_its_uses(
    run: Run, root: Path, purpose: str
) -> None:
    key = ("--key", "root-private-key.pem")
    result = run("check", "root-cert.pem", *key, "--purpose", purpose, "--strict", "--json")
    assert result.exit_code == 0
    assert {f["severity"] for f in json.loads(result.stdout)["findings"]} == {"note"}


def test_check_with_a_key_that_does_not_fit_fails(run: Run, device: Path) -> None:
    result = run("check", "device.crt", "--key", "root-private-key.pem", "--json")
    assert result.exit_code == 1
    assert "e_key_does_not_match" in rules_of(result)
    assert "PRIVATE KEY" not in result.output


def test_check_shows_findings_identity_and_verdict_as_text(run: Run, device: Path) -> None:
    result = run("check", "device.crt", "--registration-id", "edgegw02")
    assert result.exit_code == 1
    for text in ("e_registration_id_mismatch", "error", "edgegw02", "remedy", "not good"):
        assert text in result.stdout


def test_check_of_a_text_that_is_no_certificate_fails_with_the_line(run: Run) -> None:
    Path("torn.pem").write_text("-----BEGIN CERTIFICATE-----\nMIIB\n")
    result = run("check", "torn.pem")
    assert result.exit_code == 1
    assert "e_pem_unreadable" in result.stdout
    assert "line" in result.stdout


def test_check_of_a_missing_file_fails(run: Run) -> None:
    failed(run("check", "nowhere.pem", "--json"), 1, "file-unreadable")


def test_check_with_strict_turns_the_guides_rules_into_errors(run: Run) -> None:
    assert run("root", "--cn", "Edge-GW", "--any-subject", *FAST).exit_code == 0
    assert run("check", "root-cert.pem").exit_code == 0
    result = run("check", "root-cert.pem", "--strict", "--json")
    assert result.exit_code == 1
    assert {"w_common_name_not_lower_alphanumeric", "w_subject_only_common_name"} <= rules_of(
        result
    )


def test_check_of_an_encrypted_key_needs_its_passphrase(run: Run) -> None:
    Path("pass").write_text("open sesame\n")
    run("root", "--cn", "r1", "--organization", "Q", *FAST, "--passphrase-file", "pass")
    arguments = ("check", "root-cert.pem", "--key", "root-private-key.pem", "--json")
    result = run(*arguments)
    assert result.exit_code == 1
    assert "e_key_encrypted_without_passphrase" in rules_of(result)
    assert run(*arguments, "--passphrase-file", "pass").exit_code == 0


def test_check_of_a_verification_certificate_compares_the_code(run: Run, root: Path) -> None:
    assert run("verification", "--code", CODE, *FAST).exit_code == 0
    arguments = ("check", "verification-cert.pem", "--purpose", "verification", "--json")
    good = run(*arguments, "--code", CODE, "--ca", "root-cert.pem")
    assert good.exit_code == 0
    assert json.loads(good.stdout)["findings"] == [] or rules_of(good) == {
        "w_expires_within_7_days"
    }
    assert "e_verification_code_mismatch" in rules_of(run(*arguments, "--code", "OTHER"))


def test_check_reads_standard_input(run: Run, device: Path) -> None:
    result = run("check", "-", "--json", input="  " + device.read_text() + "\r\n  ")
    assert result.exit_code == 0
    assert "n_pem_repaired" in rules_of(result)


def test_check_with_two_files_from_standard_input_is_a_wrong_command(
    run: Run, device: Path
) -> None:
    result = run("check", "-", "--key", "-", "--json", input=device.read_text())
    failed(result, 2, "standard-input-twice")


def test_show_tells_the_facts_of_every_certificate(run: Run, device: Path, root: Path) -> None:
    Path("both.pem").write_text(device.read_text() + root.read_text())
    result = run("show", "both.pem")
    assert result.exit_code == 0
    for text in (
        "certificate 1 of 2",
        "CN=edgegw01, O=Quay",
        "CN=quayroot, O=Quay",
        "X.509 v3",
        "EC secp256r1",
        "CA:FALSE (critical)",
        "CA:TRUE (critical)",
        "digitalSignature",
        "clientAuth",
        describe(load_certificate(device.read_text())).sha1_thumbprint,
        describe(load_certificate(root.read_text())).sha256_thumbprint,
    ):
        assert text in result.stdout


def test_show_with_json_agrees_with_openssl(run: Run, device: Path) -> None:
    facts = json.loads(run("show", "device.crt", "--json").stdout)["certificates"][0]
    for digest, name in (("-sha1", "sha1_thumbprint"), ("-sha256", "sha256_thumbprint")):
        printed = openssl("x509", "-in", "device.crt", "-noout", "-fingerprint", digest)
        assert printed.partition("=")[2].strip().replace(":", "") == facts[name]
    serial = openssl("x509", "-in", "device.crt", "-noout", "-serial").strip()
    assert serial == f"serial={facts['serial_number']}"
    assert facts["version"] == 3


def test_show_of_a_version_1_certificate_says_so(run: Run) -> None:
    vector = Path(__file__).parent.parent / "vectors" / "lint" / "device-v1.pem"
    result = run("show", str(vector))
    assert "X.509 v1" in result.stdout
    assert "none" in result.stdout


def test_show_of_a_key_is_refused_without_showing_it(run: Run, root: Path) -> None:
    result = run("show", "root-private-key.pem", "--json")
    failed(result, 1, "wrong-box")
    assert "BEGIN" not in result.output.replace("BEGIN CERTIFICATE", "")


@pytest.mark.parametrize(
    "command", ["root", "intermediate", "verification", "device", "check", "show"]
)
def test_help_of_every_command_has_an_example(run: Run, command: str) -> None:
    result = run(command, "--help", env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert f"Example: mooring cert {command}" in result.stdout
    assert "--json" in result.stdout


@pytest.mark.filterwarnings("ignore:Attribute's length:UserWarning")
def test_check_of_an_odd_certificate_prints_no_warning_of_a_library(tmp_path: Path) -> None:
    odd = make("a" * 65, ends=timedelta(days=36500), begins=timedelta(days=-3650))
    (tmp_path / "odd.pem").write_text(dump_certificate(odd.certificate))
    done = subprocess.run(
        [sys.executable, "-m", "mooring", "cert", "check", "odd.pem"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "e_common_name_too_long" in done.stdout
    assert done.stderr == ""


def test_wrong_command_ends_with_exit_code_2_and_without_traceback(tmp_path: Path) -> None:
    for arguments in (["cert", "nonsense"], ["cert", "root", "--days", "many"], ["cert", "check"]):
        done = subprocess.run(
            [sys.executable, "-m", "mooring", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 2, done.stderr
        assert "Traceback" not in done.stderr
        assert "defect" not in done.stderr
