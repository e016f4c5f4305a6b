"""`mooring hub query`: a query over the twins of a hub's devices."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from mooring.cli.calls import HubCall
from mooring.cli.output import emit_json, print_table
from mooring.cli.records import LimitOption
from mooring.cli.rendering import short_time

_TWIN_COLUMNS = ("device id", "status", "connection", "last activity", "version", "tags")


def query(
    call: HubCall,
    text: Annotated[
        str,
        typer.Argument(
            metavar="QUERY",
            help="Such as \"SELECT * FROM devices WHERE tags.site = 'north'\"; Azure documents the "
            "language.",
        ),
    ],
    limit: LimitOption = None,
) -> None:
    """Ask the twins of a hub's devices, in IoT Hub's query language; one row each.

    SELECT names what is shown, * whole twins; with --json they are shown whole.
    """
    with call.api() as api:
        found = list(api.query(text, limit=limit))
    rows = [row for _, row in found]
    if call.as_json:
        emit_json(rows)
    elif found and found[0][0] == "Twin":
        print_table("twins", _TWIN_COLUMNS, [_twin_cells(row) for row in rows])
    else:
        columns = tuple(dict.fromkeys(name for row in rows for name in row))
        print_table("rows", columns, [_cells(row, columns) for row in rows])


def _twin_cells(twin: dict[str, Any]) -> Sequence[object]:
    last = str(twin["lastActivityTime"])
    return (
        twin["deviceId"],
        twin["status"],
        twin["connectionState"],
        "never" if last.startswith("0001-") else short_time(last),
        twin["version"],
        _text(twin["tags"]),
    )


def _cells(row: dict[str, Any], columns: Sequence[str]) -> Sequence[object]:
    return [_text(row[name]) if name in row else None for name in columns]


def _text(value: Any) -> str:
    """Return a text as it is, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
