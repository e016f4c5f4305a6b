"""`mooring cloud token`: bearer tokens of the admin API, beside the owner's."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer

from mooring.cli.api import cloud_api
from mooring.cli.options import StateOption, TokenOption, UrlOption
from mooring.cli.output import (
    CommandError,
    JsonOption,
    console,
    emit_json,
    exit_with_error,
    print_facts,
    print_hint,
    print_table,
)
from mooring.cli.rendering import short_time

app = typer.Typer(
    no_args_is_help=True,
    help="Tokens of the admin API for others than the owner: list, create, revoke.",
)


@app.command("create")
def token_create(
    name: Annotated[str, typer.Argument(help="What it is for, e.g. ci.")],
    state: StateOption,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token for --token or MOORING_TOKEN. It is shown once and cannot be read again."""
    try:
        with cloud_api(state, url, token) as api:
            found = api.post_json("tokens", {"name": name})
    except CommandError as error:
        exit_with_error(error, as_json=as_json)
    if as_json:
        emit_json(found)
        return
    print_facts({"id": found["token_id"], "name": found["name"], "token": found["token"]})
    print_hint("It is not shown again. Use it by --token, or in the variable MOORING_TOKEN.")


@app.command("list")
def token_list(
    state: StateOption,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the tokens, without their secrets."""
    try:
        with cloud_api(state, url, token) as api:
            found = api.get_json("tokens")["value"]
    except CommandError as error:
        exit_with_error(error, as_json=as_json)
    if as_json:
        emit_json(found)
        return
    print_table(
        "tokens",
        ("id", "name", "created"),
        [(row["token_id"], row["name"], short_time(row["created_at"])) for row in found],
    )


@app.command("revoke")
def token_revoke(
    token_id: Annotated[str, typer.Argument(help="Its id, from the list.")],
    state: StateOption,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Revoke a token; it is worthless from now on."""
    try:
        with cloud_api(state, url, token) as api:
            api.delete(f"tokens/{quote(token_id, safe='')}")
    except CommandError as error:
        exit_with_error(error, as_json=as_json)
    if as_json:
        emit_json({"revoked": token_id})
    else:
        console.print(f"revoked {token_id}.", markup=False)
