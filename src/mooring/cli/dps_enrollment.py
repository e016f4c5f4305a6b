"""`mooring dps enrollment`: individual enrollments."""

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
    emit_json,
    exit_with_error,
    print_table,
)
from mooring.cli.records import (
    DisabledOption,
    IfMatchOption,
    LimitOption,
    delete_one,
    list_pages,
    show_one,
    switch_one,
)
from mooring.cli.rendering import read_text, short_time, show

app = typer.Typer(no_args_is_help=True, help="Individual enrollments: one device each.")

CertificateFile = Annotated[
    Path, typer.Option("--certificate", help="The device's own certificate, PEM or DER.")
]


@app.command("add")
def enrollment_add(
    certificate: CertificateFile,
    state: StateOption,
    secondary: Annotated[
        Path | None, typer.Option("--secondary", help="A second certificate, for roll-over.")
    ] = None,
    registration_id: Annotated[
        str | None, typer.Option(help="The certificate's CN, unless given.")
    ] = None,
    device_id: Annotated[
        str | None,
        typer.Option(help="IoT Hub Device ID; the registration id, unless given."),
    ] = None,
    disabled: DisabledOption = False,
    if_match: IfMatchOption = None,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let one device register with its own certificate (the guide's root, say)."""
    from mooring.pki.certificates import common_name
    from mooring.pki.errors import PkiError
    from mooring.pki.pem import take_certificates

    try:
        text = read_text(certificate)
        name = registration_id or common_name(take_certificates(text).certificates[0])
        if not name:
            raise CommandError(
                "common-name-missing",
                f"{certificate} has no common name to take the registration id from.",
                "Give --registration-id, or make a certificate with a CN.",
                field="--registration-id",
            )
        slots: dict[str, Any] = {"primary": {"certificate": text}}
        if secondary is not None:
            slots["secondary"] = {"certificate": read_text(secondary)}
        body: dict[str, Any] = {
            "registrationId": name,
            "attestation": {"type": "x509", "x509": {"clientCertificates": slots}},
            "provisioningStatus": "disabled" if disabled else "enabled",
        }
        if device_id is not None:
            body["deviceId"] = device_id
        with cloud_api(state, url, token) as api:
            found = api.put_json(f"dps/enrollments/{quote(name, safe='')}", body, if_match=if_match)
    except (CommandError, PkiError) as error:
        exit_with_error(error, as_json=as_json)
    show(found, as_json, _enrollment_facts)


@app.command("list")
def enrollment_list(
    state: StateOption,
    limit: LimitOption = None,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the individual enrollments with their registration status."""
    found = list_pages("dps/enrollments", state, limit, url, token, as_json)
    if as_json:
        emit_json(found)
        return
    print_table(
        "individual enrollments",
        ("registration id", "device id", "status", "registration status", "assigned hub"),
        [
            (
                row["registrationId"],
                row.get("deviceId") or row["registrationId"],
                row["provisioningStatus"],
                (row.get("registrationState") or {}).get("status", "unassigned"),
                (row.get("registrationState") or {}).get("assignedHub"),
            )
            for row in found
        ],
    )


@app.command("show")
def enrollment_show(
    registration_id: str,
    state: StateOption,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one individual enrollment and whether its device is assigned."""
    show_one("dps/enrollments", registration_id, state, url, token, as_json, _enrollment_facts)


@app.command("enable")
def enrollment_enable(
    registration_id: str,
    state: StateOption,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let the device of a disabled enrollment register again."""
    switch_one("dps/enrollments", registration_id, "enabled", state, url, token, as_json)


@app.command("disable")
def enrollment_disable(
    registration_id: str,
    state: StateOption,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Refuse the device from now on, even where a group would take it."""
    switch_one("dps/enrollments", registration_id, "disabled", state, url, token, as_json)


@app.command("delete")
def enrollment_delete(
    registration_id: str,
    state: StateOption,
    if_match: IfMatchOption = None,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete an individual enrollment and its registration record; the hub's device stays."""
    delete_one("dps/enrollments", registration_id, state, if_match, url, token, as_json)


def _enrollment_facts(found: dict[str, Any]) -> dict[str, object]:
    registered = found.get("registrationState") or {}
    slots = found["attestation"]["x509"]["clientCertificates"]
    return {
        "registration id": found["registrationId"],
        "device id": found.get("deviceId") or found["registrationId"],
        "status": found["provisioningStatus"],
        "primary certificate": slots["primary"]["info"]["subjectName"],
        "  SHA-256 thumbprint": slots["primary"]["info"]["sha256Thumbprint"],
        "  expires": short_time(slots["primary"]["info"]["notAfterUtc"]),
        "registration status": registered.get("status", "unassigned"),
        "assigned hub": registered.get("assignedHub"),
        "last registered": short_time(registered.get("lastUpdatedDateTimeUtc")),
        "etag": found["etag"],
    }
