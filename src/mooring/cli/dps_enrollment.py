"""`mooring dps enrollment`: individual enrollments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mooring.cli.calls import CloudCall, command
from mooring.cli.output import CommandError
from mooring.cli.records import (
    DisabledOption,
    IfMatchOption,
    LimitOption,
    delete_one,
    list_pages,
    path_to,
    show_one,
    switch_one,
)
from mooring.cli.rendering import read_text, short_time

app = typer.Typer(no_args_is_help=True, help="Individual enrollments: one device each.")

CertificateFile = Annotated[
    Path, typer.Option("--certificate", help="The device's own certificate, PEM or DER.")
]


@command(app, "add")
def enrollment_add(
    call: CloudCall,
    certificate: CertificateFile,
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
) -> None:
    """Let one device register with its own certificate (the guide's root, say)."""
    from mooring.pki.certificates import common_name
    from mooring.pki.pem import take_certificates

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
    with call.api() as api:
        found = api.put_json(path_to("dps/enrollments", name), body, if_match=if_match)
    call.show(found, _enrollment_facts)


@command(app, "list")
def enrollment_list(
    call: CloudCall,
    limit: LimitOption = None,
) -> None:
    """List the individual enrollments with their registration status."""
    with call.api() as api:
        found = list_pages(api, "dps/enrollments", limit)
    call.show_table(
        found,
        "individual enrollments",
        ("registration id", "device id", "status", "registration status", "assigned hub"),
        lambda row: (
            row["registrationId"],
            row.get("deviceId") or row["registrationId"],
            row["provisioningStatus"],
            (row.get("registrationState") or {}).get("status", "unassigned"),
            (row.get("registrationState") or {}).get("assignedHub"),
        ),
    )


@command(app, "show")
def enrollment_show(call: CloudCall, registration_id: str) -> None:
    """Show one individual enrollment and whether its device is assigned."""
    show_one(call, "dps/enrollments", registration_id, _enrollment_facts)


@command(app, "enable")
def enrollment_enable(call: CloudCall, registration_id: str) -> None:
    """Let the device of a disabled enrollment register again."""
    switch_one(call, "dps/enrollments", registration_id, "enabled")


@command(app, "disable")
def enrollment_disable(call: CloudCall, registration_id: str) -> None:
    """Refuse the device from now on, even where a group would take it."""
    switch_one(call, "dps/enrollments", registration_id, "disabled")


@command(app, "delete")
def enrollment_delete(
    call: CloudCall,
    registration_id: str,
    if_match: IfMatchOption = None,
) -> None:
    """Delete an individual enrollment and its registration record; the hub's device stays."""
    delete_one(call, "dps/enrollments", registration_id, if_match)


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
