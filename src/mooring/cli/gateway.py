"""`mooring gateway`: serve it, publish, what it trusts."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from mooring.cli import gateway_connection
from mooring.cli.calls import GatewayCall, command
from mooring.cli.options import StateOption
from mooring.cli.output import UsageError, emit_json, print_facts
from mooring.cli.records import path_to
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


@command(app)
def info(call: GatewayCall) -> None:
    """Say where the gateway is and how it is."""
    with call.api() as api:
        found = api.get_json("info")
    if call.as_json:
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


@command(app)
def publish(
    call: GatewayCall,
    pid: Annotated[str, typer.Argument(help="PID of the cloud connection.")],
    message: Annotated[
        str, typer.Argument(help="JSON, or any text with --text; - reads standard input.")
    ],
    text: Annotated[bool, typer.Option("--text", help="Send it as plain text.")] = False,
    properties: Annotated[
        list[str] | None,
        typer.Option("--property", "-p", help="Application property KEY=VALUE, again for each."),
    ] = None,
    message_id: Annotated[str | None, typer.Option(help="A UUID, unless given.")] = None,
    timeout_s: Annotated[
        float, typer.Option("--timeout", min=0.1, max=300, help="Wait this long, seconds.")
    ] = 30.0,
) -> None:
    """Publish one telemetry message; done when the hub has acknowledged it."""
    body: dict[str, Any] = {"properties": _properties(properties or [])}
    if message == "-":
        message = sys.stdin.read()
    if text:
        body["text"] = message
    else:
        try:
            body["json"] = json.loads(message)
        except (ValueError, RecursionError) as error:
            fault = "nested too deeply" if isinstance(error, RecursionError) else error
            raise UsageError(
                "message-not-json",
                f"The message is not JSON: {fault}.",
                "Correct it, or send it as text with --text.",
                field="MESSAGE",
            ) from None
    if message_id is not None:
        body["message_id"] = message_id
    body["timeout_s"] = timeout_s
    with call.api() as api:
        found = api.post_json(
            path_to("connections", pid, "publish"), body, timeout_s=timeout_s + 10
        )
    call.say(found, f"acknowledged: {found['message_id']}")


def _properties(pairs: list[str]) -> dict[str, str]:
    properties: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise UsageError(
                "property-malformed",
                f"--property {pair!r} is not KEY=VALUE.",
                "Write it as -p key=value.",
                field="--property",
            )
        properties[key] = value
    return properties


# -- trust store --------------------------------------------------------------------------------


@command(trust, "add")
def trust_add(
    call: GatewayCall,
    file: Annotated[Path, typer.Argument(help="PEM file of the server's CA.")],
    name: Annotated[str | None, typer.Option(help="A name to remove it by.")] = None,
) -> None:
    """Trust servers whose certificate hangs from this CA."""
    body = {"certificate": read_text(file)}
    if name is not None:
        body["name"] = name
    with call.api() as api:
        found = api.post_json("trust", body)["certificates"]
    _show_trust(call, "now trusted", found)


@command(trust, "list")
def trust_list(call: GatewayCall) -> None:
    """List what is trusted beside the system's own CAs."""
    with call.api() as api:
        found = api.get_json("trust")["certificates"]
    _show_trust(call, "trusted server CAs", found)


@command(trust, "remove")
def trust_remove(
    call: GatewayCall,
    name: Annotated[str, typer.Argument(help="Name or thumbprint.")],
) -> None:
    """Stop trusting a CA; connections that are up stay up."""
    with call.api() as api:
        api.delete(path_to("trust", name))
    call.say({"removed": name}, f"removed {name}.")


def _show_trust(call: GatewayCall, title: str, found: list[dict[str, Any]]) -> None:
    call.show_table(
        found,
        title,
        ("name", "subject", "expires", "SHA-256 thumbprint"),
        lambda row: (
            row["name"],
            row["subject_name"],
            row["not_after"][:10],
            row["sha256_thumbprint"],
        ),
    )
