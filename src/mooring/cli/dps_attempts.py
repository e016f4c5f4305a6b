"""`mooring dps attempts`: what devices tried, as a list or as it happens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any

import typer

from mooring.cli.api import ApiClient
from mooring.cli.calls import CloudCall
from mooring.cli.output import CommandError, console, emit_json
from mooring.cli.rendering import print_attempts

DEFAULT_LIMIT = 20


class Result(StrEnum):
    """How an attempt ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Kind(StrEnum):
    """What was tried."""

    REGISTRATION = "registration"
    HUB_CONNECTION = "hub-connection"
    HUB_SESSION = "hub-session"
    UNKNOWN = "unknown"


def attempts(
    call: CloudCall,
    registration_id: Annotated[str | None, typer.Option(help="Only of this one.")] = None,
    device_id: Annotated[str | None, typer.Option(help="Only of this device of a hub.")] = None,
    thumbprint: Annotated[
        str | None, typer.Option(help="Only with this certificate, SHA-256.")
    ] = None,
    result: Annotated[Result | None, typer.Option(help="Only those that ended so.")] = None,
    kind: Annotated[
        Kind | None,
        typer.Option(
            help="Only of this kind; hub-session is what ended a connection, unknown what broke "
            "off before it said what it wanted."
        ),
    ] = None,
    wire_id: Annotated[
        str | None, typer.Option(help="Only those that saw this id ($rid, operation, tracking).")
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Show them as they happen, until Ctrl-C.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1000,
            show_default=f"{DEFAULT_LIMIT}; with --watch none of those before",
            help="At most this many that were before.",
        ),
    ] = None,
) -> None:
    """Show what devices tried, on DPS and hub: how far each came, why it failed, what to do.

    Attempts that matched no enrollment are kept as well. The list has the newest first, with
    identical ones counted; --watch shows each as it ends. With --json one list; with --watch one
    JSON object a line.
    """
    wanted = {
        "registration_id": registration_id,
        "device_id": device_id,
        "thumbprint": thumbprint,
        "result": result,
        "kind": kind,
        "wire_id": wire_id,
    }
    with call.api() as api:
        if watch:
            _watch(call, api, wanted, limit)
            return
        found = api.get_json("attempts", limit=limit or DEFAULT_LIMIT, **wanted)["value"]
    if call.as_json:
        emit_json(found)
    else:
        print_attempts(found)


def _watch(call: CloudCall, api: ApiClient, wanted: dict[str, Any], limit: int | None) -> None:
    """Show attempts as they end; Ctrl-C is how this is meant to end.

    Raises:
        CommandError: The cloud ended.
    """
    try:
        for attempt in _stream(call, api, wanted, limit):
            if call.as_json:
                typer.echo(json.dumps(attempt, ensure_ascii=False))
            elif "missed" in attempt:
                console.print(
                    f"[yellow]{attempt['missed']} more came too fast to be shown here; "
                    "`mooring dps attempts` lists them.[/]",
                    soft_wrap=True,
                )
            else:
                print_attempts([attempt])
    except KeyboardInterrupt:
        return
    raise CommandError(
        "cloud-ended",
        f"The cloud at {api.base_url} has ended, and the watch with it.",
        "Start it again: mooring up, or mooring cloud serve.",
    )


def _stream(
    call: CloudCall, api: ApiClient, wanted: dict[str, Any], limit: int | None
) -> Iterator[dict[str, Any]]:
    with api.stream_lines("attempts/follow", **wanted) as lines:
        for line in lines:  # the first one is empty and says that the watch has begun
            if line:
                yield json.loads(line)
            elif limit is not None:
                # Only now, so that nothing falls between the list and the watch.
                before = api.get_json("attempts", limit=limit, **wanted)["value"]
                limit = None
                yield from reversed(before)
