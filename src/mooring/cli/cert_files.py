"""The files of `mooring cert`: read within limits, written under the guide's names."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mooring.cli.output import EXIT_USAGE, CommandError
from mooring.pki.certificates import dump_certificate
from mooring.pki.issuing import Issued
from mooring.runtime.statefolder import ensure_folder, write_file

MAX_INPUT_BYTES = 1024 * 1024
"""Read from one file: four times what `mooring.pki.pem` takes, so that its own message about the
size is the one that is shown, and /dev/zero ends somewhere."""

MAX_PASSPHRASE_BYTES = 1023
"""OpenSSL's own limit on a passphrase (PEM_BUFSIZE less the terminator)."""

CERTIFICATE_MODE = 0o644
"""A certificate is public: it is shown to everybody who is connected to."""


class UsageFault(CommandError):
    """The command line itself was wrong; ends the command with exit code 2."""

    exit_code = EXIT_USAGE


class FileExists(CommandError):
    """An output file is there already and `--force` was not given."""


def read_input(path: Path, *, field: str) -> bytes:
    """Return the content of `path`, or of standard input for ``-``.

    Raises:
        CommandError: It cannot be read.
    """
    try:
        if str(path) == "-":
            return sys.stdin.buffer.read(MAX_INPUT_BYTES)
        with path.open("rb") as file:
            return file.read(MAX_INPUT_BYTES)
    except OSError as error:
        raise CommandError(
            "file-unreadable",
            f"{field}: {path} cannot be read ({error.strerror or error}).",
            "Check the path, and whether the file may be read by you.",
            field=field,
        ) from error


def read_passphrase(path: Path, *, field: str = "passphrase-file") -> bytes:
    """Return the first line of `path`, without its line end.

    Raises:
        CommandError: It cannot be read, is empty, or longer than `MAX_PASSPHRASE_BYTES`.
    """
    content = read_input(path, field=field)
    passphrase = content.partition(b"\n")[0].removesuffix(b"\r")
    check_passphrase(passphrase, field=field)
    return passphrase


def check_passphrase(passphrase: bytes, *, field: str) -> None:
    """Refuse a passphrase that no key can be encrypted with.

    Raises:
        CommandError: Empty, or longer than `MAX_PASSPHRASE_BYTES`.
    """
    if not 1 <= len(passphrase) <= MAX_PASSPHRASE_BYTES:
        fault = "is empty" if not passphrase else f"has {len(passphrase)} bytes"
        raise CommandError(
            "passphrase-invalid",
            f"{field}: the passphrase {fault}.",
            f"Give 1 to {MAX_PASSPHRASE_BYTES} bytes, on the first line.",
            field=field,
        )


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Where one certificate, its key and its chain go. `key` is None where no key is kept."""

    certificate: Path
    key: Path | None
    chain: Path

    @classmethod
    def of(cls, purpose: str, folder: Path) -> CertificateFiles:
        """Return the guide's file names for `purpose`, in `folder`."""
        certificate = "device.crt" if purpose == "device" else f"{purpose}-cert.pem"
        # Nobody needs the verification certificate's key: it proves another key, the CA's.
        key = None if purpose == "verification" else folder / f"{purpose}-private-key.pem"
        return cls(folder / certificate, key, folder / f"{purpose}-chain.pem")

    def refuse_existing(self) -> None:
        """Refuse to go on where a file would be replaced.

        Raises:
            FileExists: One of the files is there.
        """
        there = [
            path for path in (self.certificate, self.key, self.chain) if path and path.exists()
        ]
        if there:
            raise FileExists(
                "file-exists",
                f"{', '.join(map(str, there))}: there already; a key that is replaced is lost "
                "for ever.",
                "Choose another folder with --out-dir, or replace with --force.",
                field="out-dir",
            )

    def write(self, issued: Issued, key_pem: bytes) -> dict[str, str | None]:
        """Write the files and return their paths: certificate, private_key, chain (or None).

        The chain is written where something besides a root stands above the certificate; one
        left over from before is removed.

        Raises:
            CommandError: A file cannot be written.
        """
        try:
            ensure_folder(self.certificate.parent)
            if self.key is not None:
                write_file(self.key, key_pem)
            _write_public(self.certificate, dump_certificate(issued.certificate))
            has_chain = len(issued.presented_chain) > 1
            if has_chain:
                _write_public(self.chain, issued.chain_pem)
            else:
                self.chain.unlink(missing_ok=True)
        except OSError as error:
            raise CommandError(
                "file-unwritable",
                f"out-dir: {error.filename or self.certificate.parent} cannot be written "
                f"({error.strerror or error}).",
                "Choose a folder with --out-dir that you may write to.",
                field="out-dir",
            ) from error
        return {
            "certificate": str(self.certificate),
            "private_key": None if self.key is None else str(self.key),
            "chain": str(self.chain) if has_chain else None,
        }


def _write_public(path: Path, content: str) -> None:
    write_file(path, content)
    path.chmod(CERTIFICATE_MODE)


def exit_code_of(error: Any, default: int) -> int:
    """Return the exit code that `error` carries, else `default`."""
    code = getattr(error, "exit_code", default)
    return code if isinstance(code, int) else default
