"""What the commands of `mooring cert` share: the subject, the issuer, the files, the refusals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mooring.cli.cert_files import (
    CertificateFiles,
    UsageFault,
    exit_code_of,
    read_input,
    read_passphrase,
)
from mooring.cli.cert_prompts import (
    ask_new_passphrase,
    ask_passphrase,
    ask_subject,
    on_terminal,
)
from mooring.cli.cert_report import print_issued
from mooring.cli.output import EXIT_FAILED, EXIT_USAGE, CommandError, exit_with_error
from mooring.pki.errors import (
    CodeInvalid,
    CommonNameMissing,
    CommonNameNotLowerAlphanumeric,
    KeyEncrypted,
    PathLengthInvalid,
    PkiError,
    SubjectFieldInvalid,
    SubjectOnlyCommonName,
    ValidityInvalid,
)
from mooring.pki.issuing import Issued, Issuer
from mooring.pki.keys import PrivateKey, dump_key
from mooring.pki.lint import Purpose
from mooring.pki.names import Subject, check_identity_subject
from mooring.pki.pem import take_certificates, take_private_key
from mooring.runtime.clock import SYSTEM_CLOCK

_WRONG_COMMAND = (
    CodeInvalid,
    CommonNameMissing,
    CommonNameNotLowerAlphanumeric,
    PathLengthInvalid,
    SubjectFieldInvalid,
    SubjectOnlyCommonName,
    ValidityInvalid,
)
"""Refusals of what was said on the command line itself: exit code 2. The rest is exit code 1."""


@contextmanager
def reporting(as_json: bool) -> Iterator[None]:
    """Turn every refusal into one sentence, its remedy and the exit code."""
    try:
        yield
    except (PkiError, CommandError) as error:
        default = EXIT_USAGE if isinstance(error, _WRONG_COMMAND) else EXIT_FAILED
        exit_with_error(error, as_json=as_json, exit_code=exit_code_of(error, default))


@dataclass(frozen=True, slots=True)
class Output:
    """Where a new certificate goes, and how its key is kept."""

    purpose: Purpose
    folder: Path
    force: bool
    encrypt: bool
    passphrase_file: Path | None
    as_json: bool

    def refuse_existing(self) -> None:
        """Refuse to replace a file, unless told to; called before anybody is asked anything.

        Raises:
            FileExists: A file is there, and `force` is not set.
        """
        if not self.force:
            CertificateFiles.of(self.purpose, self.folder).refuse_existing()

    def make(self, issue: Callable[[datetime], Issued]) -> None:
        """Ask for the passphrase, issue, write and tell."""
        passphrase = self._new_passphrase()
        issued = issue(SYSTEM_CLOCK.now())
        files = CertificateFiles.of(self.purpose, self.folder).write(
            issued, dump_key(issued.key, passphrase=passphrase)
        )
        print_issued(
            self.purpose, issued, files, encrypted=passphrase is not None, as_json=self.as_json
        )

    def _new_passphrase(self) -> bytes | None:
        if self.passphrase_file is not None:
            return read_passphrase(self.passphrase_file)
        return ask_new_passphrase() if self.encrypt else None


def complete_subject(given: Subject, output: Output, *, identity: bool) -> Subject:
    """Return `given`, asking for the rest when there is no common name and somebody to ask.

    Args:
        given: What the flags said.
        output: Its files are looked at before the first question.
        identity: The guide's subject rules hold.

    Raises:
        PkiError: The flags break a rule.
        CommandError: No common name and nobody to ask, or a file is there already.
    """
    if given.common_name:
        if identity:
            check_identity_subject(given)
        output.refuse_existing()
        return given
    if given.common_name is not None or not on_terminal():
        raise missing("common_name", "--cn", "the Common Name")
    output.refuse_existing()
    return ask_subject(given, identity=identity)


def missing(field: str, flag: str, what: str) -> UsageFault:
    return UsageFault(
        f"{field.replace('_', '-')}-missing",
        f"{field}: empty or not given, and there is no terminal to ask for it.",
        f"Give {what} with {flag}.",
        field=field,
    )


def load_issuer(
    ca: Path | None, ca_key: Path | None, passphrase_file: Path | None, folder: Path
) -> Issuer:
    """Return the CA that signs, by default the root in `folder`."""
    certificate_file = ca or folder / "root-cert.pem"
    key_file = ca_key or folder / "root-private-key.pem"
    intake = take_certificates(
        read_input(certificate_file, field="ca"), field=f"ca ({certificate_file})"
    )
    key = load_ca_key(key_file, passphrase_file)
    return Issuer(intake.leaf, key, intake.certificates[1:])


def load_ca_key(
    path: Path,
    passphrase_file: Path | None,
    *,
    options: tuple[str, str] = ("ca-key", "ca-passphrase-file"),
) -> PrivateKey:
    """Return the private key in `path`, asking for its passphrase where it needs one.

    Args:
        path: PEM file.
        passphrase_file: Holds the passphrase on its first line.
        options: What the command calls the two; named in errors.

    Raises:
        CommandError: A file cannot be read, or there is a passphrase to ask for and nobody to ask.
        PkiError: It holds no private key, or the passphrase is wrong.
    """
    key_option, secret_option = options
    text = read_input(path, field=key_option)
    field = f"{key_option} ({path})"
    passphrase = None
    if passphrase_file is not None:
        passphrase = read_passphrase(passphrase_file, field=secret_option)
    try:
        return take_private_key(text, passphrase=passphrase, field=field).key
    except KeyEncrypted:
        if not on_terminal():
            raise UsageFault(
                "key-encrypted",
                f"{field}: the key is encrypted and no passphrase was given.",
                f"Give --{secret_option} with the passphrase on the first line of the file.",
                field=secret_option,
            ) from None
    return take_private_key(
        text, passphrase=ask_passphrase(f"Passphrase of {path}"), field=field
    ).key


def passphrase_for(key_text: bytes | None, passphrase_file: Path | None) -> bytes | None:
    """Return the passphrase for `check`, asked for only where the key turns out to need one."""
    if passphrase_file is not None:
        return read_passphrase(passphrase_file)
    if key_text is None or not on_terminal():
        return None
    try:
        take_private_key(key_text)
    except KeyEncrypted:
        return ask_passphrase("Passphrase of the key")
    except PkiError:
        return None  # the check itself will say what is wrong with it
    return None
