"""`mooring dps registration`: records of devices that did register."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mooring.cli.options import StateOption, TokenOption, UrlOption
from mooring.cli.output import (
    JsonOption,
    emit_json,
    print_table,
)
from mooring.cli.records import (
    IfMatchOption,
    LimitOption,
    delete_one,
    list_pages,
    show_one,
)
from mooring.cli.rendering import short_time

app = typer.Typer(no_args_is_help=True, help="Records of devices that did register.")


@app.command("list")
def registration_list(
    state: StateOption,
    group: Annotated[str | None, typer.Option("--group", help="Only those of a group.")] = None,
    limit: LimitOption = None,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the registration records."""
    found = list_pages(
        "dps/registrations", state, limit, url, token, as_json, enrollmentGroupId=group
    )
    if as_json:
        emit_json(found)
        return
    print_table(
        "registration records",
        ("registration id", "status", "device id", "hub", "last updated", "error"),
        [
            (
                row["registrationId"],
                row["status"],
                row.get("deviceId"),
                row.get("assignedHub"),
                short_time(row["lastUpdatedDateTimeUtc"]),
                row.get("errorMessage"),
            )
            for row in found
        ],
    )


@app.command("show")
def registration_show(
    registration_id: str,
    state: StateOption,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one registration record."""
    show_one("dps/registrations", registration_id, state, url, token, as_json, _facts)


@app.command("delete")
def registration_delete(
    registration_id: str,
    state: StateOption,
    if_match: IfMatchOption = None,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete a registration record; the next attempt is a first one. The hub's device stays."""
    delete_one("dps/registrations", registration_id, state, if_match, url, token, as_json)


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
