"""What commands on a collection of records have in common: list, show, switch, delete."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from mooring.cli.api import cloud_api
from mooring.cli.output import CommandError, console, emit_json, exit_with_error
from mooring.cli.rendering import show

IfMatchOption = Annotated[
    str | None,
    typer.Option(
        "--if-match", help="Only if the record still has this etag; * replaces whatever is there."
    ),
]
DisabledOption = Annotated[
    bool, typer.Option("--disabled", help="Make it disabled: its devices are refused.")
]
LimitOption = Annotated[
    int | None, typer.Option("--limit", min=1, help="At most this many; all if not given.")
]


def list_pages(
    path: str,
    state: Path,
    limit: int | None,
    url: str | None,
    token: str | None,
    as_json: bool,
    **parameters: Any,
) -> list[dict[str, Any]]:
    """Return all rows of a paged collection, or the first `limit`."""
    rows: list[dict[str, Any]] = []
    continuation: str | None = None
    try:
        with cloud_api(state, url, token) as api:
            while limit is None or len(rows) < limit:
                page = api.get_json(path, continuation=continuation, **parameters)
                rows += page["value"]
                continuation = page.get("continuation")
                if not continuation:
                    break
    except CommandError as error:
        exit_with_error(error, as_json=as_json)
    return rows[:limit]


def show_one(
    path: str,
    name: str,
    state: Path,
    url: str | None,
    token: str | None,
    as_json: bool,
    facts: Callable[[dict[str, Any]], Mapping[str, object]],
) -> None:
    """Show the record `name` of the collection at `path`."""
    try:
        with cloud_api(state, url, token) as api:
            found = api.get_json(f"{path}/{quote(name, safe='')}")
    except CommandError as error:
        exit_with_error(error, as_json=as_json)
    show(found, as_json, facts)


def switch_one(
    path: str,
    name: str,
    provisioning_status: str,
    state: Path,
    url: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    """Set ``provisioningStatus`` of one record."""
    try:
        with cloud_api(state, url, token) as api:
            where = f"{path}/{quote(name, safe='')}"
            found = api.get_json(where)
            found["provisioningStatus"] = provisioning_status
            found = api.put_json(where, found, if_match=found["etag"])
    except CommandError as error:
        exit_with_error(error, as_json=as_json)
    if as_json:
        emit_json(found)
    else:
        console.print(f"{name} is {found['provisioningStatus']}.")


def delete_one(
    path: str,
    name: str,
    state: Path,
    if_match: str | None,
    url: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    """Delete one record."""
    try:
        with cloud_api(state, url, token) as api:
            api.delete(f"{path}/{quote(name, safe='')}", if_match=if_match)
    except CommandError as error:
        exit_with_error(error, as_json=as_json)
    if as_json:
        emit_json({"deleted": name})
    else:
        console.print(f"deleted {name}.")
