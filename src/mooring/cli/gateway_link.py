"""`mooring gateway connection connect|disconnect|status|attempts`: a connection's link."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer
from rich.markup import escape

from mooring.cli.api import ApiClient
from mooring.cli.calls import GatewayCall
from mooring.cli.gateway_showing import print_identity, print_outlook, print_status, state_text
from mooring.cli.output import emit_json, error_console, print_table
from mooring.cli.records import path_to
from mooring.cli.rendering import print_attempts, short_time

WATCH_INTERVAL_S = 5.0
"""One question to the gateway waits this long for news."""

PidArgument = Annotated[str, typer.Argument(help="Cloud Connection Service PID.")]


def connect(
    call: GatewayCall,
    pid: PidArgument,
    timeout_s: Annotated[
        float,
        typer.Option("--timeout", min=0, max=290, help="Wait this long, seconds; 0 does not wait."),
    ] = 120.0,
) -> None:
    """Connect, and say when it is Connected, or at which stage it failed, why, and what to do."""
    with call.api() as api:
        found = api.post_json(path_to("connections", pid, "connect"))
        if timeout_s > 0:
            found = _watch(api, pid, found, timeout_s, quiet=call.as_json)
        attempts = api.get_json(path_to("connections", pid, "attempts"), limit=1)
    if call.as_json:
        emit_json(found)
    elif found["state"] == "CONNECTED":
        print_attempts(attempts["attempts"])
        print_status(found)
    elif found["cause"] is not None:
        print_attempts(attempts["attempts"])
        print_outlook(found)
    else:
        print_status(found)
    if timeout_s > 0 and found["state"] != "CONNECTED":
        raise typer.Exit(1)


def disconnect(call: GatewayCall, pid: PidArgument) -> None:
    """Disconnect in good order; it stays down until connect or a restart of the gateway."""
    with call.api() as api:
        found = api.post_json(path_to("connections", pid, "disconnect"))
    if call.as_json:
        emit_json(found)
    else:
        print_status(found)


def status(
    call: GatewayCall,
    pid: PidArgument,
    history: Annotated[
        bool, typer.Option("--history", help="The last transitions as well.")
    ] = False,
) -> None:
    """Show how a connection stands: state, stage, cause, remedy, next attempt."""
    with call.api() as api:
        found = api.get_json(path_to("connections", pid))
    if call.as_json:
        emit_json(found)
        return
    print_status(found)
    print_identity(found["identity"])
    if history:
        print_table(
            "history",
            ("time", "state", "stage", "detail"),
            [
                (short_time(row["at"]), row["state"], row["stage"], row["detail"])
                for row in found["history"]
            ],
        )


def attempts(
    call: GatewayCall,
    pid: Annotated[
        str | None, typer.Argument(help="Of this connection; of all if not given.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most this many, newest first.")] = 20,
    wire_id: Annotated[
        str | None, typer.Option(help="Only those that saw this id ($rid, operation, tracking).")
    ] = None,
) -> None:
    """List attempts: how far each came, why it failed, what to do."""
    path = "attempts" if pid is None else path_to("connections", pid, "attempts")
    with call.api() as api:
        found = api.get_json(path, limit=limit, wire_id=wire_id)["attempts"]
    if call.as_json:
        emit_json(found)
    else:
        print_attempts(found)


def _watch(
    api: ApiClient, pid: str, found: dict[str, Any], timeout_s: float, *, quiet: bool
) -> dict[str, Any]:
    """Follow the connection until it is up, has failed once, or time is over."""
    deadline = time.monotonic() + timeout_s
    revision, shown = -1, ""
    while True:
        if not quiet and (text := state_text(found)) != shown:
            error_console.print(f"[dim]{escape(text)}[/]")
            shown = text
        tried = found["state"] in ("BACKOFF", "FAILED_PERMANENT", "DISABLED")
        remaining = deadline - time.monotonic()
        if found["state"] == "CONNECTED" or (tried and revision >= 0) or remaining <= 0:
            return found
        revision = found["revision"]
        found = api.get_json(
            path_to("connections", pid, "status"),
            revision=revision,
            wait_s=min(WATCH_INTERVAL_S, remaining),
        )
