"""What commands on a collection of records have in common: list, show, switch, delete."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any
from urllib.parse import quote

import typer

from mooring.cli.api import ApiClient
from mooring.cli.calls import Call

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


def path_to(collection: str, name: str, *more: str) -> str:
    """Return the path of the record `name` in `collection`, and of what is below it."""
    return "/".join((collection, quote(name, safe=""), *more))


def list_pages(
    api: ApiClient, path: str, limit: int | None, **parameters: Any
) -> list[dict[str, Any]]:
    """Return all rows of a paged collection, or the first `limit`."""
    rows: list[dict[str, Any]] = []
    continuation: str | None = None
    while limit is None or len(rows) < limit:
        page = api.get_json(path, continuation=continuation, **parameters)
        rows += page["value"]
        continuation = page.get("continuation")
        if not continuation:
            break
    return rows[:limit]


def show_one(
    call: Call,
    path: str,
    name: str,
    facts: Callable[[dict[str, Any]], Mapping[str, object]],
) -> None:
    """Show the record `name` of the collection at `path`."""
    with call.api() as api:
        found = api.get_json(path_to(path, name))
    call.show(found, facts)


def switch_one(call: Call, path: str, name: str, provisioning_status: str) -> None:
    """Set ``provisioningStatus`` of one record."""
    with call.api() as api:
        where = path_to(path, name)
        found = api.get_json(where)
        found["provisioningStatus"] = provisioning_status
        found = api.put_json(where, found, if_match=found["etag"])
    call.say(found, f"{name} is {found['provisioningStatus']}.")


def delete_one(call: Call, path: str, name: str, if_match: str | None) -> None:
    """Delete one record."""
    with call.api() as api:
        api.delete(path_to(path, name), if_match=if_match)
    call.say({"deleted": name}, f"deleted {name}.")
