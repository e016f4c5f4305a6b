"""What commands on a collection of records have in common: options, paths, pages."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from mooring.cli.api import ApiClient

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
