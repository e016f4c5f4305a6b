"""The questions of the guide, asked on a terminal in OpenSSL's order."""

from __future__ import annotations

import sys
from dataclasses import replace

import typer

from mooring.cli.cert_files import UsageFault, check_passphrase
from mooring.cli.output import error_console
from mooring.pki.errors import CommonNameNotLowerAlphanumeric, PkiError
from mooring.pki.names import Subject, answer_or_none, check_identity_subject

_QUESTIONS = (
    ("country", "Country Name (2 letter code)"),
    ("state", "State or Province Name"),
    ("locality", "Locality Name"),
    ("organization", "Organization Name"),
    ("organizational_unit", "Organization Unit Name"),
    ("common_name", "Common Name"),
    ("email", "Email Address"),
)


def on_terminal() -> bool:
    """Return whether somebody is there to be asked."""
    return sys.stdin.isatty()


def ask_subject(given: Subject, *, identity: bool) -> Subject:
    """Return `given` with what is missing asked for.

    Args:
        given: What the flags said; those fields are not asked for.
        identity: The guide's subject rules (C3, C4) hold. A breach is refused at the question,
            with the nearest Common Name that would do offered as the answer.
    """
    error_console.print(
        "The fields of the certificate's subject. Enter a period, or nothing, to leave one blank."
    )
    subject = given
    for attribute, label in _QUESTIONS:
        if getattr(given, attribute) is None:
            subject = _ask(subject, attribute, label, identity=identity)
    while identity and not subject.other_fields:
        _say("At least one field besides the Common Name must be filled, or Azure will refuse.")
        subject = _ask(subject, "organization", "Organization Name", identity=identity)
    return subject


def _ask(subject: Subject, attribute: str, label: str, *, identity: bool) -> Subject:
    """Return `subject` with `attribute` answered, asking until the answer will do."""
    offer = ""
    while True:
        answer = typer.prompt(label, default=offer, show_default=bool(offer), err=True)
        try:
            answered = replace(subject, **{attribute: answer_or_none(answer)})
            if attribute == "common_name":
                _check_common_name(answered.common_name, identity=identity)
        except PkiError as error:
            _say(error.message)
            offer = error.proposed if isinstance(error, CommonNameNotLowerAlphanumeric) else ""
        else:
            return answered


def _check_common_name(name: str | None, *, identity: bool) -> None:
    # The other rule, C3, can only be judged when every question has been answered.
    probe = Subject(common_name=name, organization="-")
    if identity or not name:
        check_identity_subject(probe)


def ask_code() -> str:
    """Return the verification code, asked for."""
    return str(typer.prompt("Verification code, exactly as shown", err=True)).strip()


def ask_new_passphrase() -> bytes:
    """Return a passphrase that was typed twice alike.

    Raises:
        UsageFault: Nobody is there to be asked.
    """
    if not on_terminal():
        raise UsageFault(
            "passphrase-missing",
            "encrypt: a passphrase is needed, and there is no terminal to ask for it.",
            "Give --passphrase-file with the passphrase on the first line of the file.",
            field="passphrase-file",
        )
    typed = typer.prompt(
        "Passphrase of the new key", hide_input=True, confirmation_prompt=True, err=True
    )
    passphrase = str(typed).encode()
    check_passphrase(passphrase, field="passphrase")
    return passphrase


def ask_passphrase(question: str) -> bytes:
    """Return the passphrase of an existing key, asked for."""
    return str(typer.prompt(question, hide_input=True, err=True)).encode()


def _say(text: str) -> None:
    error_console.print(text, markup=False, soft_wrap=True)
