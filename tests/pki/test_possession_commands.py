"""The ready command lines for a proof of possession: a shell runs them, and the proof holds."""

from __future__ import annotations

import shlex
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support import authority

from mooring.pki.certificates import common_name, load_certificate
from mooring.pki.keys import dump_key
from mooring.pki.possession import check_possession, new_verification_code
from mooring.pki.possession_commands import ProofFiles, openssl_proof_commands


def run_lines(lines: tuple[str, ...], folder: Path) -> None:
    """Run the lines as a user would who pastes them into a shell."""
    for line in lines:
        subprocess.run(
            line, shell=True, check=True, cwd=folder, capture_output=True, timeout=60, text=True
        )


def test_commands_as_they_are_shown_make_a_proof_that_holds(tmp_path: Path) -> None:
    root = authority.root()
    (tmp_path / "root-cert.pem").write_text(root.certificate_pem)
    (tmp_path / "root-private-key.pem").write_bytes(dump_key(root.key))
    code = new_verification_code()
    now = datetime.now(UTC)

    run_lines(openssl_proof_commands(code).lines, tmp_path)

    proof = load_certificate((tmp_path / "verification-cert.pem").read_bytes())
    check_possession(root.certificate, proof, code=code, code_made_at=now, now=now)


@pytest.mark.parametrize("code", ["AB12", "a/b", "a+b", "a\\b", "it's $HOME", 'a"b; touch x'])
def test_commands_with_awkward_codes_and_file_names_stay_one_value_each(
    tmp_path: Path, code: str
) -> None:
    root = authority.root()
    files = ProofFiles(
        ca="my root's cert.pem",
        ca_key="my $KEY.pem",
        key="proof key.pem",
        request="proof; touch x.csr",
        certificate="proof cert.pem",
    )
    (tmp_path / files.ca).write_text(root.certificate_pem)
    (tmp_path / files.ca_key).write_bytes(dump_key(root.key))

    run_lines(openssl_proof_commands(code, files).lines, tmp_path)

    assert common_name(load_certificate((tmp_path / files.certificate).read_bytes())) == code
    assert not (tmp_path / "x").exists()
    assert not (tmp_path / "x.csr").exists()


def test_commands_for_a_plain_code_need_no_quotes() -> None:
    commands = openssl_proof_commands("0123ABCD")

    assert commands.make_request == (
        "openssl req -new -newkey rsa:2048 -nodes -keyout verification-private-key.pem "
        "-subj /CN=0123ABCD -out verification.csr"
    )
    assert shlex.split(commands.sign)[:3] == ["openssl", "x509", "-req"]
