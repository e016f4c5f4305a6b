"""`mooring gateway connection`: create, configure, connect, and see what happened."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from mooring.cli import gateway_link
from mooring.cli.api import ApiClient, ApiError
from mooring.cli.calls import GatewayCall, command
from mooring.cli.cert_files import read_passphrase
from mooring.cli.gateway_link import PidArgument
from mooring.cli.gateway_showing import print_findings, print_identity, state_text
from mooring.cli.output import (
    CommandError,
    UsageError,
    console,
    emit_json,
    print_facts,
    print_hint,
)
from mooring.cli.records import path_to
from mooring.cli.rendering import read_text

app = typer.Typer(
    no_args_is_help=True,
    help="Cloud connections: factory AzureDpsX509, tab X509MqttDataTransport, Connect.",
)

TRANSPORT_TAB = "X509MqttDataTransport"

_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")


@command(app)
def create(
    call: GatewayCall,
    pid: PidArgument = "AzureDpsX509",
    factory: Annotated[str, typer.Option(help="Cloud Connection Factory PID.")] = "AzureDpsX509",
) -> None:
    """Create a cloud connection, as New Connection does."""
    with call.api() as api:
        found = api.post_json("connections", {"factory_pid": factory, "pid": pid})
    call.say(
        found,
        f"created {found['pid']}.",
        hint=f"next: mooring gateway connection configure {pid} --global-endpoint … "
        "--scope-id … --certificate FILE --private-key FILE",
    )


@command(app, "list")
def list_connections(call: GatewayCall) -> None:
    """List the cloud connections with their status."""
    with call.api() as api:
        found = api.get_json("connections")["connections"]
    call.show_table(
        found,
        "cloud connections",
        ("service PID", "status", "state", "registers as", "hub", "cause"),
        lambda row: (
            row["pid"],
            row["status"],
            state_text(row),
            (row["identity"] or {}).get("registers_as"),
            (row["link"] or {}).get("hub"),
            row["cause"],
        ),
    )


@command(app)
def configure(
    call: GatewayCall,
    pid: PidArgument,
    global_endpoint: Annotated[
        str | None, typer.Option(help="Global device endpoint of the DPS: host, or host:port.")
    ] = None,
    scope_id: Annotated[str | None, typer.Option(help="ID Scope of the DPS.")] = None,
    certificate: Annotated[
        Path | None, typer.Option(help="Device Certificate, PEM; its chain may follow in it.")
    ] = None,
    private_key: Annotated[Path | None, typer.Option(help="Device Private Key, PEM.")] = None,
    passphrase_file: Annotated[
        Path | None, typer.Option(help="File with the passphrase of an encrypted key.")
    ] = None,
    model_id: Annotated[
        str | None, typer.Option(help="Device Model ID, a DTMI without version, or None.")
    ] = None,
    model_version: Annotated[int | None, typer.Option(help="Device Model ID Version.")] = None,
    auto_connect: Annotated[
        bool | None,
        typer.Option("--auto-connect/--no-auto-connect", help="Connect when the gateway starts."),
    ] = None,
    strict: Annotated[
        bool | None,
        typer.Option("--strict/--no-strict", help="The guide's subject rules as errors."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Any other property, TAB:ID=VALUE, e.g. DataService:store.capacity=100."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check only; change nothing.")] = False,
) -> None:
    """Apply settings: all of them, or none and every finding with its remedy."""
    transport: dict[str, Any] = {
        "global.endpoint": global_endpoint,
        "scope.id": scope_id,
        "device.certificate": certificate and read_text(certificate),
        "device.private.key": private_key and read_text(private_key),
        "device.private.key.passphrase": passphrase_file and _passphrase(passphrase_file),
        "device.model.id": model_id,
        "device.model.id.version": model_version,
        "strict.subject.rules": strict,
    }
    tabs = {
        TRANSPORT_TAB: transport,
        "DataService": {"connect.auto-on-startup": auto_connect},
    }
    given: dict[str, dict[str, Any]] = {
        tab: {name: value for name, value in values.items() if value is not None}
        for tab, values in tabs.items()
    }
    for setting in settings or []:
        tab, name, value = _parse_setting(setting)
        given.setdefault(tab, {})[name] = value
    try:
        with call.api() as api:
            path = path_to("connections", pid, "configuration")
            given = {_tab_name(api, path, tab): values for tab, values in given.items() if values}
            found = api.request("PUT", path, body={"tabs": given}, parameters={"dry_run": dry_run})
    except ApiError as error:
        if not call.as_json:
            print_findings(error.findings)
        raise
    if call.as_json:
        emit_json(found)
        return
    print_findings(found["findings"])
    console.print("checked, nothing changed." if dry_run else "applied.")
    print_identity(found["identity"])
    if not dry_run:
        print_hint(f"next: mooring gateway connection connect {pid}")


@command(app)
def show(call: GatewayCall, pid: PidArgument) -> None:
    """Show a connection's settings; of secrets only whether they are set."""
    with call.api() as api:
        found = api.get_json(path_to("connections", pid, "configuration"))
    if call.as_json:
        emit_json(found)
        return
    for tab in found["tabs"]:
        console.print(f"[bold]{escape(tab['name'])}[/]")
        values: dict[str, object] = {
            f"  {name}": _one_line(value) for name, value in tab["values"].items()
        }
        for name, secret in tab["secrets"].items():
            values[f"  {name}"] = "set" if secret.get("set") else "not set"
        print_facts(values)
    print_identity(found["identity"])
    print_findings(found["findings"])


@command(app)
def delete(
    call: GatewayCall,
    pid: PidArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Disconnect and delete a connection with its certificate and key."""
    if not yes:
        if call.as_json or not sys.stdin.isatty():
            raise UsageError(
                "not-confirmed", "Deleting needs a confirmation.", "Add --yes.", field="--yes"
            )
        typer.confirm(f"Delete {pid} with its certificate and key?", abort=True)
    with call.api() as api:
        api.delete(path_to("connections", pid))
    call.say({"deleted": pid}, f"deleted {pid}.")


# Help lists them in the order of the procedure: what the link does comes after what it is.
for _command in (
    gateway_link.connect,
    gateway_link.disconnect,
    gateway_link.status,
    gateway_link.attempts,
):
    command(app)(_command)


def _passphrase(file: Path) -> str:
    """Return the passphrase in `file`.

    Raises:
        CommandError: It cannot be read, or is no text.
    """
    try:
        return read_passphrase(file, field="--passphrase-file").decode()
    except UnicodeDecodeError:
        raise CommandError(
            "passphrase-not-text",
            f"--passphrase-file: {file} is not UTF-8 text.",
            "Encrypt the key anew, with a passphrase that can be typed.",
            field="--passphrase-file",
        ) from None


def _parse_setting(setting: str) -> tuple[str, str, Any]:
    tab, colon, rest = setting.partition(":")
    name, equals, value = rest.partition("=")
    if not (tab and colon and name and equals):
        raise UsageError(
            "setting-malformed",
            f"--set {setting!r} is not TAB:ID=VALUE.",
            "Write it as --set DataService:store.capacity=100.",
            field="--set",
        )
    if value in ("true", "false"):
        return tab, name, value == "true"
    # Longer numbers are out of every range; the gateway says so of the text as well.
    return tab, name, int(value) if _WHOLE_NUMBER.fullmatch(value) else value


def _tab_name(api: ApiClient, path: str, tab: str) -> str:
    """Return the tab's name on this connection, which may carry a suffix (Kura's rule)."""
    names = [str(row["name"]) for row in api.get_json(path)["tabs"]]
    if tab in names:
        return tab
    return next((name for name in names if name.startswith(f"{tab}-")), tab)


def _one_line(value: object) -> str:
    lines = str(value).strip().splitlines() or [""]
    return lines[0] if len(lines) == 1 else f"{lines[0]} … ({len(lines)} lines)"
