"""`mooring dps certificate`: CA certificates and proof of possession."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from mooring.cli.api import ApiClient
from mooring.cli.calls import CloudCall, command
from mooring.cli.output import UsageError, console, emit_json, print_facts, print_hint
from mooring.cli.records import IfMatchOption, delete_one, path_to, show_one
from mooring.cli.rendering import read_text

app = typer.Typer(
    no_args_is_help=True, help="CA certificates and proof of possession, for enrollment groups."
)

VERIFICATION_REQUEST = (
    "openssl req -new -newkey rsa:2048 -nodes -keyout verification-private-key.pem "
    "-subj /CN={code} -out verification.csr"
)
VERIFICATION_SIGNING = (
    "openssl x509 -req -in verification.csr -CA root-cert.pem -CAkey root-private-key.pem "
    "-CAcreateserial -days 1 -sha256 -out verification-cert.pem"
)


@command(app, "add")
def certificate_add(
    call: CloudCall,
    name: Annotated[str, typer.Argument(help="A name for the certificate.")],
    file: Annotated[Path, typer.Argument(help="The root or intermediate certificate.")],
    verified: Annotated[
        bool, typer.Option("--verified", help="Set it to Verified on upload, without a proof.")
    ] = False,
) -> None:
    """Upload a CA certificate. It is Unverified until its key is shown to be held."""
    body = {"properties": {"certificate": read_text(file), "isVerified": verified}}
    with call.api() as api:
        found = api.put_json(path_to("dps/certificates", name), body)
    hint = None if verified else f"next: mooring dps certificate code {name}"
    call.show(found, _certificate_facts, hint=hint)


@command(app, "list")
def certificate_list(call: CloudCall) -> None:
    """List the CA certificates with their status."""
    with call.api() as api:
        found = api.get_json("dps/certificates")["value"]
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


@command(app, "show")
def certificate_show(call: CloudCall, name: str) -> None:
    """Show one CA certificate."""
    show_one(call, "dps/certificates", name, _certificate_facts)


@command(app, "code")
def certificate_code(call: CloudCall, name: str) -> None:
    """Generate a verification code; it replaces an earlier one and holds for 24 hours."""
    with call.api() as api:
        found = api.post_json(path_to("dps/certificates", name, "generateVerificationCode"))
    if call.as_json:
        emit_json(found)
        return
    code = found["properties"]["verificationCode"]
    print_facts({"verification code": code})
    print_hint("\nnext, with the CA's key at hand, either")
    _print_command(
        f"mooring cert verification --code {code} --ca root-cert.pem --ca-key root-private-key.pem"
    )
    print_hint("or")
    _print_command(VERIFICATION_REQUEST.format(code=code))
    _print_command(VERIFICATION_SIGNING)
    print_hint("then")
    _print_command(f"mooring dps certificate verify {name} verification-cert.pem")


def _print_command(command: str) -> None:
    console.print(f"  {command}", markup=False, soft_wrap=True)


@command(app, "verify")
def certificate_verify(
    call: CloudCall,
    name: str,
    file: Annotated[
        Path | None, typer.Argument(help="The verification certificate.", show_default=False)
    ] = None,
    ca: Annotated[
        Path | None, typer.Option(help="With --ca-key: the CA certificate; root-cert.pem if not.")
    ] = None,
    ca_key: Annotated[
        Path | None,
        typer.Option(help="Instead of FILE: the CA's key, which makes the proof here and now."),
    ] = None,
    ca_passphrase_file: Annotated[
        Path | None, typer.Option(help="File with the passphrase of an encrypted CA key.")
    ] = None,
) -> None:
    """Show that the CA's key is held, by a certificate with the code as CN, signed by it.

    Give the verification certificate; or --ca-key, and a code is generated, a verification
    certificate made and sent, and the key stays here.
    """
    if (file is None) == (ca_key is None):
        raise UsageError(
            "proof-missing" if file is None else "proof-twice",
            "Neither a verification certificate nor the CA's key is given."
            if file is None
            else "Both a verification certificate and the CA's key are given.",
            "Give one of them: FILE, or --ca-key.",
            field="FILE",
        )
    where = path_to("dps/certificates", name)
    with call.api() as api:
        if file is not None:
            proof = read_text(file)
        else:
            proof = _make_proof(api, where, ca, ca_key, ca_passphrase_file)
        found = api.post_json(f"{where}/verify", {"certificate": proof})
    call.show(found, _certificate_facts)


def _make_proof(
    api: ApiClient, where: str, ca: Path | None, ca_key: Path | None, passphrase_file: Path | None
) -> str:
    """Return a verification certificate for a fresh code of the CA certificate at `where`."""
    from mooring.cli.cert_issuing import load_issuer
    from mooring.pki.certificates import dump_certificate
    from mooring.pki.issuing import issue_verification
    from mooring.runtime.clock import SYSTEM_CLOCK

    # The key first: a wrong file must not cost the code that may be in use elsewhere.
    issuer = load_issuer(ca, ca_key, passphrase_file, Path())
    code = api.post_json(f"{where}/generateVerificationCode")["properties"]["verificationCode"]
    return dump_certificate(issue_verification(code, issuer, now=SYSTEM_CLOCK.now()).certificate)


@command(app, "delete")
def certificate_delete(
    call: CloudCall,
    name: str,
    if_match: IfMatchOption = None,
) -> None:
    """Delete a CA certificate; refused while a group refers to it."""
    delete_one(call, "dps/certificates", name, if_match)


def _date(value: str) -> str:
    """Return the date of Azure's resource API (RFC 1123) as everywhere else here."""
    return parsedate_to_datetime(value).date().isoformat()


def _status(row: dict[str, Any]) -> str:
    return "Verified" if row["properties"]["isVerified"] else "Unverified"


def _certificate_facts(found: dict[str, Any]) -> dict[str, object]:
    properties = found["properties"]
    return {
        "name": found["name"],
        "status": _status(found),
        "subject": properties["subject"],
        "expires": _date(properties["expiry"]),
        "SHA-1 thumbprint": properties["thumbprint"],
        "verification code": properties.get("verificationCode"),
        "etag": found["etag"],
    }
