"""OpenSSL's commands for a proof of possession, ready to be pasted into a shell.

The file names are those of the guide "X.509 Provisioning and Connection".
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

VALID_DAYS = 1
"""The proof is used once, at once."""


@dataclass(frozen=True, slots=True)
class ProofFiles:
    """The CA that is there, and the files that the commands make."""

    ca: str = "root-cert.pem"
    ca_key: str = "root-private-key.pem"
    key: str = "verification-private-key.pem"
    request: str = "verification.csr"
    certificate: str = "verification-cert.pem"


@dataclass(frozen=True, slots=True)
class ProofCommands:
    """Command lines for a POSIX shell, to be run in this order."""

    make_request: str
    sign: str

    @property
    def lines(self) -> tuple[str, str]:
        """Return both, first things first."""
        return self.make_request, self.sign


def openssl_proof_commands(code: str, files: ProofFiles | None = None) -> ProofCommands:
    """Return the commands that make the verification certificate for `code`.

    The second asks for the passphrase where the CA's key is encrypted.
    """
    files = files or ProofFiles()
    return ProofCommands(
        make_request=shlex.join(
            (
                *("openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes"),
                *("-keyout", files.key, "-subj", f"/CN={_escape(code)}", "-out", files.request),
            )
        ),
        sign=shlex.join(
            (
                *("openssl", "x509", "-req", "-in", files.request, "-CA", files.ca),
                *("-CAkey", files.ca_key, "-CAcreateserial", "-days", str(VALID_DAYS)),
                *("-sha256", "-out", files.certificate),
            )
        ),
    )


def _escape(value: str) -> str:
    """Return `value` so that OpenSSL's ``-subj`` takes it as one value."""
    for special in "\\/+":
        value = value.replace(special, f"\\{special}")
    return value
