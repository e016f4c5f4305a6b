"""`mooring cert` on a real terminal: the guide's questions, and the answers that are refused."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

from tests.support.terminal import Terminal, mooring_on_terminal

from mooring.pki.certificates import common_name, describe, load_certificate
from mooring.pki.pem import take_private_key

QUESTIONS = (
    "Country Name (2 letter code):",
    "State or Province Name:",
    "Locality Name:",
    "Organization Name:",
    "Organization Unit Name:",
    "Common Name:",
    "Email Address:",
)


def answer_all(terminal: Terminal, *answers: str) -> None:
    """Answer the guide's questions, which must come in the guide's order."""
    for question, answer in zip(QUESTIONS, answers, strict=True):
        terminal.answer(question, answer)


def subject_of(path: Path) -> str:
    return describe(load_certificate(path.read_text())).subject_name


def test_root_on_a_terminal_asks_the_guides_questions_in_order(tmp_path: Path) -> None:
    with mooring_on_terminal("cert", "root", "--key", "ec-p256", folder=tmp_path) as terminal:
        answer_all(terminal, "IT", "Udine", "Amaro", "Quay", "Lab", "edgegw01", "o@quay.example")
        assert terminal.finish() == 0, terminal.screen
    assert subject_of(tmp_path / "root-cert.pem") == (
        "emailAddress=o@quay.example, CN=edgegw01, OU=Lab, O=Quay, L=Amaro, ST=Udine, C=IT"
    )
    key = tmp_path / "root-private-key.pem"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    for check in (
        ["openssl", "x509", "-in", "root-cert.pem", "-noout"],
        ["openssl", "verify", "-CAfile", "root-cert.pem", "root-cert.pem"],
        ["openssl", "pkey", "-in", "root-private-key.pem", "-check", "-noout"],
    ):
        subprocess.run(check, cwd=tmp_path, check=True, capture_output=True, timeout=60)


def test_root_with_periods_leaves_fields_blank(tmp_path: Path) -> None:
    with mooring_on_terminal("cert", "root", "--key", "ec-p256", folder=tmp_path) as terminal:
        answer_all(terminal, ".", ".", ".", "Quay", ".", "edgegw01", ".")
        assert terminal.finish() == 0, terminal.screen
    assert subject_of(tmp_path / "root-cert.pem") == "CN=edgegw01, O=Quay"


def test_root_with_a_refused_common_name_offers_the_one_that_would_do(tmp_path: Path) -> None:
    with mooring_on_terminal("cert", "root", "--key", "ec-p256", folder=tmp_path) as terminal:
        for question in QUESTIONS[:5]:
            terminal.answer(question, "IT" if "Country" in question else ".")
        terminal.answer("Common Name:", "Edge-GW-01")
        terminal.expect("lower-case letters")
        terminal.answer("Common Name [edgegw01]:", "")
        terminal.answer("Email Address:", ".")
        assert terminal.finish() == 0, terminal.screen
    assert subject_of(tmp_path / "root-cert.pem") == "CN=edgegw01, C=IT"


def test_root_without_a_common_name_asks_until_there_is_one(tmp_path: Path) -> None:
    with mooring_on_terminal("cert", "root", "--key", "ec-p256", folder=tmp_path) as terminal:
        for question in QUESTIONS[:5]:
            terminal.answer(question, "IT" if "Country" in question else ".")
        terminal.answer("Common Name:", "")
        terminal.answer("Common Name:", ".")
        terminal.answer("Common Name:", "edgegw01")
        terminal.answer("Email Address:", ".")
        assert terminal.finish() == 0, terminal.screen


def test_root_with_a_wrong_country_asks_again(tmp_path: Path) -> None:
    with mooring_on_terminal("cert", "root", "--key", "ec-p256", folder=tmp_path) as terminal:
        terminal.answer("Country Name (2 letter code):", "Italy")
        terminal.expect("two letters")
        answer_all(terminal, "IT", ".", ".", ".", ".", "edgegw01", ".")
        assert terminal.finish() == 0, terminal.screen
    assert subject_of(tmp_path / "root-cert.pem") == "CN=edgegw01, C=IT"


def test_root_with_nothing_but_a_common_name_asks_for_one_more_field(tmp_path: Path) -> None:
    with mooring_on_terminal("cert", "root", "--key", "ec-p256", folder=tmp_path) as terminal:
        answer_all(terminal, "", "", "", "", "", "edgegw01", "")
        terminal.expect("At least one field besides the Common Name")
        terminal.answer("Organization Name:", "Quay")
        assert terminal.finish() == 0, terminal.screen
    assert subject_of(tmp_path / "root-cert.pem") == "CN=edgegw01, O=Quay"


def test_root_asks_only_for_what_the_flags_left_open(tmp_path: Path) -> None:
    flags = ("--organization", "Quay", "--country", "IT", "--key", "ec-p256")
    with mooring_on_terminal("cert", "root", *flags, folder=tmp_path) as terminal:
        for question in QUESTIONS:
            if "Country" not in question and "Organization Name" not in question:
                terminal.answer(question, "edgegw01" if "Common" in question else "")
        assert terminal.finish() == 0, terminal.screen
        assert "Country Name" not in terminal.screen
    assert subject_of(tmp_path / "root-cert.pem") == "CN=edgegw01, O=Quay, C=IT"


def test_root_where_a_file_is_there_refuses_before_the_first_question(tmp_path: Path) -> None:
    (tmp_path / "root-private-key.pem").write_text("precious")
    with mooring_on_terminal("cert", "root", folder=tmp_path) as terminal:
        assert terminal.finish() == 1
        assert "Country Name" not in terminal.screen
        assert "--force" in terminal.screen
    assert (tmp_path / "root-private-key.pem").read_text() == "precious"


def test_root_interrupted_at_a_question_writes_nothing_and_shows_no_traceback(
    tmp_path: Path,
) -> None:
    with mooring_on_terminal("cert", "root", folder=tmp_path) as terminal:
        terminal.expect("Country Name")
        terminal.press(b"\x04")
        assert terminal.finish() == 1
        assert "Traceback" not in terminal.screen
    assert not list(tmp_path.iterdir())


def test_encrypt_asks_twice_and_does_not_show_the_passphrase(tmp_path: Path) -> None:
    flags = ("--cn", "edgegw01", "--organization", "Quay", "--key", "ec-p256", "--encrypt")
    with mooring_on_terminal("cert", "root", *flags, folder=tmp_path) as terminal:
        terminal.answer_hidden("Passphrase of the new key:", "open sesame")
        terminal.answer_hidden("Repeat for confirmation:", "open barley")
        terminal.answer_hidden("Passphrase of the new key:", "open sesame")
        terminal.answer_hidden("Repeat for confirmation:", "open sesame")
        assert terminal.finish() == 0, terminal.screen
        assert "open sesame" not in terminal.screen
    key = (tmp_path / "root-private-key.pem").read_bytes()
    assert take_private_key(key, passphrase=b"open sesame").encrypted


def test_device_under_an_encrypted_ca_key_asks_for_its_passphrase(tmp_path: Path) -> None:
    (tmp_path / "pass").write_text("open sesame\n")
    flags = ("--organization", "Quay", "--key", "ec-p256")
    made = ("cert", "root", "--cn", "quayroot", *flags, "--passphrase-file", "pass")
    with mooring_on_terminal(*made, folder=tmp_path) as terminal:
        assert terminal.finish() == 0, terminal.screen
    device = ("cert", "device", "--device-id", "edgegw01", *flags)
    with mooring_on_terminal(*device, folder=tmp_path) as terminal:
        terminal.answer_hidden("Passphrase of root-private-key.pem:", "open sesame")
        assert terminal.finish() == 0, terminal.screen
    with mooring_on_terminal(*device, "--force", folder=tmp_path) as terminal:
        terminal.answer_hidden("Passphrase of root-private-key.pem:", "open barley")
        assert terminal.finish() == 1
        assert "passphrase" in terminal.screen
        assert "Traceback" not in terminal.screen
    checked = ("cert", "check", "root-cert.pem", "--key", "root-private-key.pem")
    with mooring_on_terminal(*checked, folder=tmp_path) as terminal:
        terminal.answer_hidden("Passphrase of the key:", "open sesame")
        assert terminal.finish() == 0, terminal.screen


def test_verification_on_a_terminal_asks_for_the_code(tmp_path: Path) -> None:
    flags = ("--cn", "quayroot", "--organization", "Quay", "--key", "ec-p256")
    with mooring_on_terminal("cert", "root", *flags, folder=tmp_path) as terminal:
        assert terminal.finish() == 0, terminal.screen
    arguments = ("cert", "verification", "--key", "ec-p256")
    with mooring_on_terminal(*arguments, folder=tmp_path) as terminal:
        terminal.answer("Verification code, exactly as shown:", "6E25DAA2DB2D45B5 ")
        assert terminal.finish() == 0, terminal.screen
    certificate = load_certificate((tmp_path / "verification-cert.pem").read_text())
    assert common_name(certificate) == "6E25DAA2DB2D45B5"


def test_intermediate_on_a_terminal_takes_any_common_name(tmp_path: Path) -> None:
    flags = ("--cn", "quayroot", "--organization", "Quay", "--key", "ec-p256")
    with mooring_on_terminal("cert", "root", *flags, folder=tmp_path) as terminal:
        assert terminal.finish() == 0, terminal.screen
    arguments = ("cert", "intermediate", "--key", "ec-p256")
    with mooring_on_terminal(*arguments, folder=tmp_path) as terminal:
        answer_all(terminal, ".", ".", ".", ".", ".", "Quay line 1", ".")
        assert terminal.finish() == 0, terminal.screen
    assert subject_of(tmp_path / "intermediate-cert.pem") == "CN=Quay line 1"
