"""`mooring dps registration`: records of devices that did register."""

from __future__ import annotations

from typing import Annotated

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
from mooring.cli.rendering import short_time, show_all

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
    show_one("dps/registrations", registration_id, state, url, token, as_json, show_all)


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
