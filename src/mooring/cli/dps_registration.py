"""`mooring dps registration`: records of devices that did register."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mooring.cli.calls import DpsCall, command
from mooring.cli.records import IfMatchOption, LimitOption, path_to
from mooring.cli.rendering import short_time

app = typer.Typer(no_args_is_help=True, help="Records of devices that did register.")

RegistrationId = Annotated[
    str, typer.Argument(help="Its registration id.", metavar="REGISTRATION_ID")
]


@command(app, "list")
def list_registrations(
    call: DpsCall,
    group: Annotated[str | None, typer.Option("--group", help="Only those of a group.")] = None,
    limit: LimitOption = None,
) -> None:
    """List the registration records."""
    path = "registrations" if group is None else path_to("registrations", group)
    with call.api() as api:
        found = list(api.query(path, limit=limit))
    call.show_table(
        found,
        "registration records",
        ("registration id", "status", "device id", "hub", "last updated", "error"),
        lambda row: (
            row["registrationId"],
            row["status"],
            row.get("deviceId"),
            row.get("assignedHub"),
            short_time(row["lastUpdatedDateTimeUtc"]),
            row.get("errorMessage"),
        ),
    )


@command(app)
def show(call: DpsCall, registration_id: RegistrationId) -> None:
    """Show one registration record."""
    with call.api() as api:
        found = api.get_json(path_to("registrations", registration_id))
    call.show(found, _facts)


@command(app)
def delete(call: DpsCall, registration_id: RegistrationId, if_match: IfMatchOption = None) -> None:
    """Delete a registration record; the next attempt is a first one. The hub's device stays."""
    with call.api() as api:
        api.delete(path_to("registrations", registration_id), if_match=if_match)
    call.say({"deleted": registration_id}, f"deleted {registration_id}.")


def _facts(found: dict[str, Any]) -> dict[str, object]:
    error = " ".join(
        str(found[name]) for name in ("errorCode", "errorMessage") if found.get(name) is not None
    )
    return {
        "registration id": found["registrationId"],
        "status": found["status"],
        "substatus": found.get("substatus"),
        "device id": found.get("deviceId"),
        "assigned hub": found.get("assignedHub"),
        "enrollment group": found.get("enrollmentGroupId"),
        "created": short_time(found.get("createdDateTimeUtc")),
        "last updated": short_time(found.get("lastUpdatedDateTimeUtc")),
        "error": error or None,
        "SHA-256 thumbprint": found.get("thumbprint"),
        "etag": found.get("etag"),
    }
