"""`mooring gateway connection`: create, configure, connect, and see what happened."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.markup import escape

from mooring.cli import gateway_link
from mooring.cli.api import ApiClient, ApiError, gateway_api
from mooring.cli.cert_files import read_passphrase
from mooring.cli.gateway_link import PidArgument
from mooring.cli.gateway_showing import print_findings, print_identity, state_text
from mooring.cli.options import StateOption, TokenOption, UrlOption
from mooring.cli.output import (
    CommandError,
    JsonOption,
    UsageError,
    console,
    emit_json,
    exit_with_error,
    print_facts,
    print_hint,
    print_table,
)
from mooring.cli.rendering import read_text

app = typer.Typer(
    no_args_is_help=True,
    help="Cloud connections: factory AzureDpsX509, tab X509MqttDataTransport, Connect.",
)

TRANSPORT_TAB = "X509MqttDataTransport"

_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")


@app.command()
def create(
    state: StateOption,
    pid: PidArgument = "AzureDpsX509",
    factory: Annotated[str, typer.Option(help="Cloud Connection Factory PID.")] = "AzureDpsX509",
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create a cloud connection, as New Connection does."""
    try:
        with gateway_api(state, url, token) as api:
            found = api.post_json("connections", {"factory_pid": factory, "pid": pid})
    except CommandError as error:
        exit_with_error(error, as_json=as_json)
    if as_json:
        emit_json(found)
    else:
        console.print(f"created {found['pid']}.", markup=False)
        print_hint(
            f"next: mooring gateway connection configure {pid} --global-endpoint … --scope-id … "
            "--certificate FILE --private-key FILE"
        )


@app.command("list")
def list_connections(
    state: StateOption,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the cloud connections with their status."""
    try:
        with gateway_api(state, url, token) as api:
            found = api.get_json("connections")["connections"]
    except CommandError as error:
        exit_with_error(error, as_json=as_json)
    if as_json:
        emit_json(found)
        return
    print_table(
        "cloud connections",
        ("service PID", "status", "state", "registers as", "hub", "cause"),
        [
            (
                row["pid"],
                row["status"],
                state_text(row),
                (row["identity"] or {}).get("registers_as"),
                (row["link"] or {}).get("hub"),
                row["cause"],
            )
            for row in found
        ],
    )


@app.command()
def configure(
    pid: PidArgument,
    state: StateOption,
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
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Apply settings: all of them, or none and every finding with its remedy."""
    try:
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
            tab, name, value = _parse_setting(setting, as_json)
            given.setdefault(tab, {})[name] = value
        with gateway_api(state, url, token) as api:
            path = f"connections/{quote(pid, safe='')}/configuration"
            given = {_tab_name(api, path, tab): values for tab, values in given.items() if values}
            found = api.request("PUT", path, body={"tabs": given}, parameters={"dry_run": dry_run})
    except ApiError as error:
        if not as_json:
            print_findings(error.findings)
        exit_with_error(error, as_json=as_json)
    except CommandError as error:
        exit_with_error(error, as_json=as_json)
    if as_json:
        emit_json(found)
        return
    print_findings(found["findings"])
    console.print("checked, nothing changed." if dry_run else "applied.")
    print_identity(found["identity"])
    if not dry_run:
        print_hint(f"next: mooring gateway connection connect {pid}")


@app.command()
def show(
    pid: PidArgument,
    state: StateOption,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a connection's settings; of secrets only whether they are set."""
    try:
        with gateway_api(state, url, token) as api:
            found = api.get_json(f"connections/{quote(pid, safe='')}/configuration")
    except CommandError as error:
        exit_with_error(error, as_json=as_json)
    if as_json:
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


@app.command()
def delete(
    pid: PidArgument,
    state: StateOption,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Disconnect and delete a connection with its certificate and key."""
    if not yes:
        if as_json or not sys.stdin.isatty():
            exit_with_error(
                UsageError(
                    "not-confirmed", "Deleting needs a confirmation.", "Add --yes.", field="--yes"
                ),
                as_json=as_json,
            )
        typer.confirm(f"Delete {pid} with its certificate and key?", abort=True)
    try:
        with gateway_api(state, url, token) as api:
            api.delete(f"connections/{quote(pid, safe='')}")
    except CommandError as error:
        exit_with_error(error, as_json=as_json)
    if as_json:
        emit_json({"deleted": pid})
    else:
        console.print(f"deleted {pid}.", markup=False)


# Help lists them in the order of the procedure: what the link does comes after what it is.
for _command in (
    gateway_link.connect,
    gateway_link.disconnect,
    gateway_link.status,
    gateway_link.attempts,
):
    app.command()(_command)


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


def _parse_setting(setting: str, as_json: bool) -> tuple[str, str, Any]:
    tab, colon, rest = setting.partition(":")
    name, equals, value = rest.partition("=")
    if not (tab and colon and name and equals):
        exit_with_error(
            UsageError(
                "setting-malformed",
                f"--set {setting!r} is not TAB:ID=VALUE.",
                "Write it as --set DataService:store.capacity=100.",
                field="--set",
            ),
            as_json=as_json,
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
