"""`mooring cloud token`: bearer tokens of the admin API, beside the owner's."""

from __future__ import annotations

from typing import Annotated

import typer

from mooring.cli.calls import CloudCall, command
from mooring.cli.output import emit_json, print_facts, print_hint
from mooring.cli.records import path_to
from mooring.cli.rendering import short_time

app = typer.Typer(
    no_args_is_help=True,
    help="Tokens of the admin API for others than the owner: list, create, revoke.",
)


@command(app, "create")
def token_create(
    call: CloudCall,
    name: Annotated[str, typer.Argument(help="What it is for, e.g. ci.")],
) -> None:
    """Make a token for --token or MOORING_TOKEN. It is shown once and cannot be read again."""
    with call.api() as api:
        found = api.post_json("tokens", {"name": name})
    if call.as_json:
        emit_json(found)
        return
    print_facts({"id": found["token_id"], "name": found["name"], "token": found["token"]})
    print_hint("It is not shown again. Use it by --token, or in the variable MOORING_TOKEN.")


@command(app, "list")
def token_list(call: CloudCall) -> None:
    """List the tokens, without their secrets."""
    with call.api() as api:
        found = api.get_json("tokens")["value"]
    call.show_table(
        found,
        "tokens",
        ("id", "name", "created"),
        lambda row: (row["token_id"], row["name"], short_time(row["created_at"])),
    )


@command(app, "revoke")
def token_revoke(
    call: CloudCall,
    token_id: Annotated[str, typer.Argument(help="Its id, from the list.")],
) -> None:
    """Revoke a token; it is worthless from now on."""
    with call.api() as api:
        api.delete(path_to("tokens", token_id))
    call.say({"revoked": token_id}, f"revoked {token_id}.")
