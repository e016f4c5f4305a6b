"""`mooring dps certificate`: CA certificates and proof of possession."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from mooring.cli.azure_api import ANY, AzureApi
from mooring.cli.calls import DpsCall, command
from mooring.cli.output import UsageError, console, emit_json, print_facts, print_hint
from mooring.cli.records import IfMatchOption
from mooring.cli.rendering import read_text, short_datetime

app = typer.Typer(
    no_args_is_help=True, help="CA certificates and proof of possession, for enrollment groups."
)

CertificateName = Annotated[str, typer.Argument(help="Its name.", metavar="NAME")]


@command(app)
def add(
    call: DpsCall,
    name: Annotated[str, typer.Argument(help="A name for the certificate.")],
    file: Annotated[Path, typer.Argument(help="The root or intermediate certificate.")],
    verified: Annotated[
        bool, typer.Option("--verified", help="Set it to Verified on upload, without a proof.")
    ] = False,
) -> None:
    """Upload a CA certificate. It is Unverified until its key is shown to be held."""
    body = {"properties": {"certificate": read_text(file), "isVerified": verified}}
    with call.api() as api:
        found = api.put_json(_path(api, name), body)
    hint = None if verified else f"next: {call.group} certificate code {name}"
    call.show(found, _facts, hint=hint)


@command(app, "list")
def list_certificates(call: DpsCall) -> None:
    """List the CA certificates with their status."""
    with call.api() as api:
        found = api.get_json(api.resource("certificates"))["value"]
    call.show_table(
        found,
        "CA certificates",
        ("name", "status", "subject", "expires", "SHA-1 thumbprint"),
        lambda row: (
            row["name"],
            _status(row),
            row["properties"]["subject"],
            _date(row["properties"]["expiry"]),
            row["properties"]["thumbprint"],
        ),
    )


@command(app)
def show(call: DpsCall, name: CertificateName) -> None:
    """Show one CA certificate, and the verification code that waits for its proof."""
    with call.api() as api:
        found = api.get_json(_path(api, name))
    call.show(found, _facts)


@command(app)
def update(
    call: DpsCall,
    name: CertificateName,
    file: Annotated[
        Path | None,
        typer.Argument(help="The certificate to put in its place.", show_default=False),
    ] = None,
    verified: Annotated[
        bool, typer.Option("--verified", help="Set it to Verified, without a proof.")
    ] = False,
    if_match: IfMatchOption = None,
) -> None:
    """Replace a CA certificate, or take it as verified. A new one has yet to be verified."""
    if file is None and not verified:
        raise UsageError(
            "nothing-to-change",
            "It is not said what is to be changed.",
            "Give FILE, or --verified.",
            field="FILE",
        )
    with call.api() as api:
        present = api.get_json(_path(api, name))
        text = present["properties"]["certificate"] if file is None else read_text(file)
        properties: dict[str, Any] = {"certificate": text}
        if verified:
            properties["isVerified"] = True
        found = api.put_json(
            _path(api, name), {"properties": properties}, if_match=if_match or present["etag"]
        )
    call.show(found, _facts)


@command(app)
def code(call: DpsCall, name: CertificateName) -> None:
    """Generate a verification code; it replaces an earlier one and holds for 24 hours."""
    with call.api() as api:
        found = _generate_code(api, name)
    if call.as_json:
        emit_json(found)
        return
    _print_next_steps(call.group, name, found["properties"]["verificationCode"])


@command(app)
def verify(
    call: DpsCall,
    name: CertificateName,
    file: Annotated[
        Path | None, typer.Argument(help="The verification certificate.", show_default=False)
    ] = None,
    with_key: Annotated[
        Path | None,
        typer.Option(help="Instead of FILE: the CA's key, which makes the proof here and now."),
    ] = None,
    passphrase_file: Annotated[
        Path | None,
        typer.Option(help="Passphrase of that key, on the first line; asked for on a terminal."),
    ] = None,
) -> None:
    """Show that the CA's key is held, by a certificate with the code as CN, signed by it.

    Give the verification certificate; or --with-key, and a code is generated unless one waits, a
    verification certificate made and sent, and the key stays here.
    """
    if (file is None) == (with_key is None):
        raise UsageError(
            "proof-missing" if file is None else "proof-twice",
            "Neither a verification certificate nor the CA's key is given."
            if file is None
            else "Both a verification certificate and the CA's key are given.",
            "Give one of them: FILE, or --with-key.",
            field="FILE",
        )
    proof = None if file is None else read_text(file)
    with call.api() as api:
        if proof is None:
            assert with_key is not None
            proof = _make_proof(api, name, with_key, passphrase_file)
        found = api.post_json(f"{_path(api, name)}/verify", {"certificate": proof}, if_match=ANY)
    call.show(found, _facts)


@command(app)
def delete(call: DpsCall, name: CertificateName, if_match: IfMatchOption = None) -> None:
    """Delete a CA certificate; refused while an enrollment refers to it."""
    with call.api() as api:
        present = api.get_json(_path(api, name))
        api.delete(_path(api, name), if_match=if_match or present["etag"])
    call.say({"deleted": name}, f"deleted {name}.")


def _path(api: AzureApi, name: str) -> str:
    return api.resource("certificates", name)


def _generate_code(api: AzureApi, name: str) -> dict[str, Any]:
    found: dict[str, Any] = api.post_json(
        f"{_path(api, name)}/generateVerificationCode", if_match=ANY
    )
    return found


def _make_proof(api: AzureApi, name: str, key_file: Path, passphrase_file: Path | None) -> str:
    """Return a verification certificate for the code of the CA certificate `name`.

    Raises:
        CommandError: The key cannot be read.
        PkiError: It is not that of the certificate.
    """
    from mooring.cli.cert_issuing import load_ca_key
    from mooring.pki.certificates import dump_certificate, load_certificate
    from mooring.pki.issuers import Issuer, check_issuer
    from mooring.pki.issuing import issue_verification
    from mooring.runtime.clock import SYSTEM_CLOCK

    key = load_ca_key(key_file, passphrase_file, options=("with-key", "passphrase-file"))
    found = api.get_json(_path(api, name))
    issuer = Issuer(load_certificate(found["properties"]["certificate"], field=name), key)
    now = SYSTEM_CLOCK.now()
    # The key first: a wrong one must not cost a code.
    check_issuer(issuer, now=now, for_ca=False)
    waiting = found["properties"].get("verificationCode")
    text = waiting or _generate_code(api, name)["properties"]["verificationCode"]
    return dump_certificate(issue_verification(text, issuer, now=now).certificate)


def _print_next_steps(group: str, name: str, text: str) -> None:
    from mooring.pki.possession_commands import openssl_proof_commands

    print_facts({"verification code": text})
    print_hint("\nnext, with the CA's key at hand, in one step")
    _print_command(f"{group} certificate verify {name} --with-key root-private-key.pem")
    print_hint("or, where the key is, either")
    _print_command(
        f"mooring cert verification --code {text} --ca root-cert.pem --ca-key root-private-key.pem"
    )
    print_hint("or")
    for line in openssl_proof_commands(text).lines:
        _print_command(line)
    print_hint("then")
    _print_command(f"{group} certificate verify {name} verification-cert.pem")


def _print_command(line: str) -> None:
    console.print(f"  {line}", markup=False, soft_wrap=True)


def _date(value: str) -> str:
    """Return the date of Azure's resource API (RFC 1123) as everywhere else here."""
    return parsedate_to_datetime(value).date().isoformat()


def _status(row: dict[str, Any]) -> str:
    return "Verified" if row["properties"]["isVerified"] else "Unverified"


def _facts(found: dict[str, Any]) -> dict[str, object]:
    properties = found["properties"]
    code_ends = properties.get("verificationCodeExpiry")
    return {
        "name": found["name"],
        "status": _status(found),
        "subject": properties["subject"],
        "expires": _date(properties["expiry"]),
        "SHA-1 thumbprint": properties["thumbprint"],
        "verification code": properties.get("verificationCode"),
        "code expires": code_ends and short_datetime(parsedate_to_datetime(code_ends)),
        "etag": found["etag"],
    }
