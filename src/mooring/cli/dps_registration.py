"""`mooring dps registration`: records of devices that did register."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mooring.cli.calls import CloudCall, command
from mooring.cli.records import (
    IfMatchOption,
    LimitOption,
    delete_one,
    list_pages,
    show_one,
)
from mooring.cli.rendering import short_time

app = typer.Typer(no_args_is_help=True, help="Records of devices that did register.")


@command(app, "list")
def registration_list(
    call: CloudCall,
    group: Annotated[str | None, typer.Option("--group", help="Only those of a group.")] = None,
    limit: LimitOption = None,
) -> None:
    """List the registration records."""
    with call.api() as api:
        found = list_pages(api, "dps/registrations", limit, enrollmentGroupId=group)
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


@command(app, "show")
def registration_show(call: CloudCall, registration_id: str) -> None:
    """Show one registration record."""
    show_one(call, "dps/registrations", registration_id, _facts)


@command(app, "delete")
def registration_delete(
    call: CloudCall,
    registration_id: str,
    if_match: IfMatchOption = None,
) -> None:
    """Delete a registration record; the next attempt is a first one. The hub's device stays."""
    delete_one(call, "dps/registrations", registration_id, if_match)


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
