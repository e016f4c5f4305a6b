"""`mooring dps certificate`: CA certificates and proof of possession."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from mooring.cli.api import cloud_api
from mooring.cli.options import StateOption, TokenOption, UrlOption
from mooring.cli.output import (
    CommandError,
    JsonOption,
    console,
    emit_json,
    exit_with_error,
    print_facts,
    print_table,
)
from mooring.cli.records import (
    IfMatchOption,
    delete_one,
)
from mooring.cli.rendering import read_text, show

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


@app.command("add")
def certificate_add(
    name: Annotated[str, typer.Argument(help="A name for the certificate.")],
    file: Annotated[Path, typer.Argument(help="The root or intermediate certificate.")],
    state: StateOption,
    verified: Annotated[
        bool, typer.Option("--verified", help="Set it to Verified on upload, without a proof.")
    ] = False,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Upload a CA certificate. It is Unverified until its key is shown to be held."""
    try:
        body = {"properties": {"certificate": read_text(file), "isVerified": verified}}
        with cloud_api(state, url, token) as api:
            found = api.put_json(f"dps/certificates/{quote(name, safe='')}", body)
    except CommandError as error:
        exit_with_error(error, as_json=as_json)
    show(found, as_json, _certificate_facts)
    if not verified and not as_json:
        console.print(f"[dim]next:[/] mooring dps certificate code {name}")


@app.command("list")
def certificate_list(
    state: StateOption,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the CA certificates with their status."""
    try:
        with cloud_api(state, url, token) as api:
            found = api.get_json("dps/certificates")["value"]
    except CommandError as error:
        exit_with_error(error, as_json=as_json)
    if as_json:
        emit_json(found)
        return
    print_table(
        "CA certificates",
        ("name", "status", "subject", "expires", "SHA-1 thumbprint"),
        [
            (
                row["name"],
                _status(row),
                row["properties"]["subject"],
                row["properties"]["expiry"],
                row["properties"]["thumbprint"],
            )
            for row in found
        ],
    )


@app.command("show")
def certificate_show(
    name: str,
    state: StateOption,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one CA certificate."""
    try:
        with cloud_api(state, url, token) as api:
            found = api.get_json(f"dps/certificates/{quote(name, safe='')}")
    except CommandError as error:
        exit_with_error(error, as_json=as_json)
    show(found, as_json, _certificate_facts)


@app.command("code")
def certificate_code(
    name: str,
    state: StateOption,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Generate a verification code; it replaces an earlier one and holds for 24 hours."""
    try:
        with cloud_api(state, url, token) as api:
            found = api.post_json(
                f"dps/certificates/{quote(name, safe='')}/generateVerificationCode"
            )
    except CommandError as error:
        exit_with_error(error, as_json=as_json)
    if as_json:
        emit_json(found)
        return
    code = found["properties"]["verificationCode"]
    print_facts({"verification code": code})
    console.print("\n[dim]next, with the CA's key at hand, either[/]")
    console.print(
        f"  mooring cert verification --code {code} "
        "--ca root-cert.pem --ca-key root-private-key.pem",
        markup=False,
        soft_wrap=True,
    )
    console.print("[dim]or[/]")
    for line in (
        VERIFICATION_REQUEST.format(code=code),
        VERIFICATION_SIGNING,
    ):
        console.print(f"  {line}", markup=False, soft_wrap=True)
    console.print("[dim]then[/]")
    console.print(f"  mooring dps certificate verify {name} verification-cert.pem", markup=False)


@app.command("verify")
def certificate_verify(
    name: str,
    file: Annotated[Path, typer.Argument(help="The verification certificate.")],
    state: StateOption,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show that the CA's key is held, by a certificate with the code as CN, signed by it."""
    try:
        body = {"certificate": read_text(file)}
        with cloud_api(state, url, token) as api:
            found = api.post_json(f"dps/certificates/{quote(name, safe='')}/verify", body)
    except CommandError as error:
        exit_with_error(error, as_json=as_json)
    show(found, as_json, _certificate_facts)


@app.command("delete")
def certificate_delete(
    name: str,
    state: StateOption,
    if_match: IfMatchOption = None,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete a CA certificate; refused while a group refers to it."""
    delete_one("dps/certificates", name, state, if_match, url, token, as_json)


def _status(row: dict[str, Any]) -> str:
    return "Verified" if row["properties"]["isVerified"] else "Unverified"


def _certificate_facts(found: dict[str, Any]) -> dict[str, object]:
    properties = found["properties"]
    return {
        "name": found["name"],
        "status": _status(found),
        "subject": properties["subject"],
        "expires": properties["expiry"],
        "SHA-1 thumbprint": properties["thumbprint"],
        "verification code": properties.get("verificationCode"),
        "etag": found["etag"],
    }
