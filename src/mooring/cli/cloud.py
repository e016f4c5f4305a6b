"""`mooring cloud serve|info|reset`: the self-hosted DPS and IoT Hub."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from mooring.cli import cloud_token
from mooring.cli.calls import CloudCall, command
from mooring.cli.options import StateOption
from mooring.cli.output import (
    CommandError,
    JsonOption,
    UsageError,
    console,
    emit_json,
    exit_with_error,
    print_facts,
)
from mooring.cli.rendering import print_https_fallback

app = typer.Typer(
    no_args_is_help=True,
    help="The self-hosted cloud: serve it, say where everything is, reset it.",
)
app.add_typer(cloud_token.app, name="token")


@app.command()
def serve(
    state: StateOption,
    bind: Annotated[
        list[str] | None,
        typer.Option(help="Address to listen on, again for each; 127.0.0.1 and ::1 if not given."),
    ] = None,
    mqtt_port: Annotated[
        int | None,
        typer.Option(help="Port of MQTT over TLS. Azure's SDKs dial 8883 and nothing else."),
    ] = None,
    https_port: Annotated[
        int | None,
        typer.Option(
            help="Port of HTTPS and MQTT over WebSocket; 443, or 9443 where that is not permitted."
        ),
    ] = None,
    admin_port: Annotated[int | None, typer.Option(help="Port of the admin API.")] = None,
    host_name: Annotated[
        str | None,
        typer.Option(help="Host name of the DPS and of the first hub; localhost if not given."),
    ] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
    log_json: Annotated[bool, typer.Option("--log-json", help="Logs as JSON lines.")] = False,
) -> None:
    """Run the cloud in the foreground until Ctrl-C.

    Everything else is set by environment variables: see docs/settings.md.
    """
    # Imported here, so that `mooring --help` does not pay for the whole cloud.
    from mooring.cli.serving import run_program
    from mooring.cloud import application
    from mooring.cloud.settings import CloudSettings

    given: dict[str, Any] = {
        "state_dir": state,
        "bind": tuple(bind) if bind else None,
        "mqtt_port": mqtt_port,
        "https_port": https_port,
        "admin_port": admin_port,
        "host_name": host_name,
    }
    run_program(CloudSettings, given, application.serve, log_level=log_level, log_json=log_json)


@command(app)
def info(call: CloudCall) -> None:
    """Say where everything is: ID scope, endpoint, ports, server CA, connection strings.

    The answer holds secrets (connection strings) and is for the owner of the state folder. It
    comes from the running cloud; exit code 1 if none runs.
    """
    with call.api() as api:
        facts = api.get_json("info")
    if call.as_json:
        emit_json(facts)
        return
    storage = facts["storage"]
    shown: dict[str, object] = {
        "Global device endpoint": facts["global_endpoint"],
        "ID Scope": facts["id_scope"],
        "HTTPS": facts["service_url"],
        "ports": ", ".join(f"{name} {port}" for name, port in facts["ports"].items()),
        "server CA": facts["ca_file"],
        "storage": " ".join(filter(None, (storage["state"], storage["reason"]))),
        "DPS connection string": facts.get("dps_connection_string"),
    }
    for hub in facts["hubs"]:
        shown[f"IoT Hub {hub.get('name', '')}".strip()] = hub["host_name"]
        shown["  connection string"] = hub.get("connection_string")
    print_facts({name: value for name, value in shown.items() if value is not None})
    print_https_fallback(facts["https_fallback"])
    console.print("\n[dim]An SDK trusts this cloud by its server CA:[/]")
    ca_file = facts["ca_file"]
    print_facts(
        {
            "Python device SDK": f"server_verification_cert=open({ca_file!r}).read()",
            "Node SDKs": f"NODE_EXTRA_CA_CERTS={ca_file}",
            "Python REST SDKs": f"REQUESTS_CA_BUNDLE={ca_file}",
        }
    )


@app.command()
def reset(
    state: StateOption,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete all of the cloud's state: enrollments, devices, telemetry, server CA, tokens.

    The gateway's state and certificates made elsewhere stay. Refused while the cloud runs.
    """
    folder = state / "cloud"
    if not folder.exists():
        exit_with_error(
            CommandError("no-cloud", f"There is no cloud in {state}.", "Name another --state."),
            as_json=as_json,
        )
    if not yes:
        if as_json:
            exit_with_error(
                UsageError(
                    "not-confirmed", "Deleting needs a confirmation.", "Add --yes.", field="--yes"
                ),
                as_json=True,
            )
        typer.confirm(f"Delete everything in {folder}?", abort=True)
    try:
        _delete(folder)
    except CommandError as error:
        exit_with_error(error, as_json=as_json)
    if as_json:
        emit_json({"deleted": str(folder)})
    else:
        console.print(f"deleted {folder}")


def _delete(folder: Path) -> None:
    """Delete the cloud's folder while holding its lock, so that no cloud can be running in it."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)
    except BlockingIOError:
        raise CommandError(
            "cloud-running",
            f"The cloud in {folder} is running.",
            "End it first: mooring down, or Ctrl-C where it was started.",
        ) from None
    except OSError as error:
        raise CommandError(
            "not-deleted", f"{folder} could not be deleted: {error}", "Mend its permissions."
        ) from None
    finally:
        os.close(descriptor)
