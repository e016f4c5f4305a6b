"""`mooring gateway`: serve it, publish, what it trusts."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from mooring.cli import gateway_connection
from mooring.cli.api import gateway_api
from mooring.cli.options import StateOption, TokenOption, UrlOption
from mooring.cli.output import (
    CommandError,
    JsonOption,
    UsageError,
    console,
    emit_json,
    exit_with_error,
    print_facts,
    print_table,
)
from mooring.cli.rendering import read_text, short_time

app = typer.Typer(
    no_args_is_help=True, help="The gateway: its cloud connections, telemetry, trust store."
)
trust = typer.Typer(
    no_args_is_help=True, help="Server CAs the gateway trusts beside the system's own."
)
app.add_typer(gateway_connection.app, name="connection")
app.add_typer(trust, name="trust")


@app.command()
def serve(
    state: StateOption,
    host: Annotated[str | None, typer.Option(help="Address of the REST interface.")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the REST interface.")] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
    log_json: Annotated[bool, typer.Option("--log-json", help="Logs as JSON lines.")] = False,
) -> None:
    """Run the gateway in the foreground until Ctrl-C."""
    from mooring.cli.serving import run_program
    from mooring.gateway import application
    from mooring.gateway.settings import GatewaySettings

    given: dict[str, Any] = {"state_dir": state, "host": host, "port": port}
    run_program(GatewaySettings, given, application.serve, log_level=log_level, log_json=log_json)


@app.command()
def info(
    state: StateOption,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say where the gateway is and how it is."""
    try:
        with gateway_api(state, url, token) as api:
            found = api.get_json("info")
    except CommandError as error:
        exit_with_error(error, as_json=as_json)
    if as_json:
        emit_json(found)
        return
    storage = found["storage"]
    print_facts(
        {
            "API": found["api_url"],
            "version": found["version"],
            "started": short_time(found["started_at"]),
            "state folder": found["state_dir"],
            "storage": " ".join(filter(None, (storage["condition"], storage["reason"]))),
            "connections": "{connected} connected of {configured}".format(**found["connections"]),
        }
    )


@app.command()
def publish(
    pid: Annotated[str, typer.Argument(help="PID of the cloud connection.")],
    message: Annotated[
        str, typer.Argument(help="JSON, or any text with --text; - reads standard input.")
    ],
    state: StateOption,
    text: Annotated[bool, typer.Option("--text", help="Send it as plain text.")] = False,
    properties: Annotated[
        list[str] | None,
        typer.Option("--property", "-p", help="Application property KEY=VALUE, again for each."),
    ] = None,
    message_id: Annotated[str | None, typer.Option(help="A UUID, unless given.")] = None,
    timeout_s: Annotated[
        float, typer.Option("--timeout", min=0.1, max=300, help="Wait this long, seconds.")
    ] = 30.0,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Publish one telemetry message; done when the hub has acknowledged it."""
    body: dict[str, Any] = {"properties": _properties(properties or [], as_json)}
    if message == "-":
        message = sys.stdin.read()
    if text:
        body["text"] = message
    else:
        try:
            body["json"] = json.loads(message)
        except (ValueError, RecursionError) as error:
            fault = "nested too deeply" if isinstance(error, RecursionError) else error
            exit_with_error(
                UsageError(
                    "message-not-json",
                    f"The message is not JSON: {fault}.",
                    "Correct it, or send it as text with --text.",
                    field="MESSAGE",
                ),
                as_json=as_json,
            )
    if message_id is not None:
        body["message_id"] = message_id
    body["timeout_s"] = timeout_s
    try:
        with gateway_api(state, url, token) as api:
            found = api.post_json(
                f"connections/{quote(pid, safe='')}/publish", body, timeout_s=timeout_s + 10
            )
    except CommandError as error:
        exit_with_error(error, as_json=as_json)
    if as_json:
        emit_json(found)
    else:
        console.print(f"acknowledged: {found['message_id']}", markup=False)


def _properties(pairs: list[str], as_json: bool) -> dict[str, str]:
    properties: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            exit_with_error(
                UsageError(
                    "property-malformed",
                    f"--property {pair!r} is not KEY=VALUE.",
                    "Write it as -p key=value.",
                    field="--property",
                ),
                as_json=as_json,
            )
        properties[key] = value
    return properties


# -- trust store --------------------------------------------------------------------------------


@trust.command("add")
def trust_add(
    file: Annotated[Path, typer.Argument(help="PEM file of the server's CA.")],
    state: StateOption,
    name: Annotated[str | None, typer.Option(help="A name to remove it by.")] = None,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Trust servers whose certificate hangs from this CA."""
    body = {"certificate": ""}
    try:
        body["certificate"] = read_text(file)
        if name is not None:
            body["name"] = name
        with gateway_api(state, url, token) as api:
            found = api.post_json("trust", body)["certificates"]
    except CommandError as error:
        exit_with_error(error, as_json=as_json)
    _show_trust("now trusted", found, as_json)


@trust.command("list")
def trust_list(
    state: StateOption,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what is trusted beside the system's own CAs."""
    try:
        with gateway_api(state, url, token) as api:
            found = api.get_json("trust")["certificates"]
    except CommandError as error:
        exit_with_error(error, as_json=as_json)
    _show_trust("trusted server CAs", found, as_json)


@trust.command("remove")
def trust_remove(
    name: Annotated[str, typer.Argument(help="Name or thumbprint.")],
    state: StateOption,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stop trusting a CA; connections that are up stay up."""
    try:
        with gateway_api(state, url, token) as api:
            api.delete(f"trust/{quote(name, safe='')}")
    except CommandError as error:
        exit_with_error(error, as_json=as_json)
    if as_json:
        emit_json({"removed": name})
    else:
        console.print(f"removed {name}.", markup=False)


def _show_trust(title: str, found: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        emit_json(found)
        return
    print_table(
        title,
        ("name", "subject", "expires", "SHA-256 thumbprint"),
        [
            (row["name"], row["subject_name"], row["not_after"][:10], row["sha256_thumbprint"])
            for row in found
        ],
    )
