"""`mooring up`, `status` and `down`: cloud and gateway together."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from mooring.cli.api_access import cloud_api, gateway_api
from mooring.cli.options import StateOption
from mooring.cli.output import (
    CommandError,
    JsonOption,
    console,
    emit_json,
    exit_with_error,
    print_facts,
)
from mooring.cli.processes import READY_TIMEOUT_S
from mooring.cli.rendering import print_https_fallback, short_time
from mooring.cli.supervising import (
    Addresses,
    running_facts,
    supervise,
    supervisor_pid,
    take_lock,
)
from mooring.runtime.statefolder import ensure_folder

DOWN_TIMEOUT_S = 60.0
"""Above the time that both parts together may take to end (`processes.STOP_TIMEOUT_S`)."""

POLL_S = 0.05


def up(
    state: StateOption,
    bind: Annotated[
        list[str] | None,
        typer.Option(
            "--bind", help="Address to listen on, again for each; 127.0.0.1 and ::1 if not given."
        ),
    ] = None,
    gateway_host: Annotated[
        str | None,
        typer.Option(
            help="Loopback address of the gateway's REST interface; the first --bind that is one, "
            "else 127.0.0.1."
        ),
    ] = None,
    gateway_port: Annotated[
        int | None, typer.Option(help="Port of the gateway's REST interface; 8080 if not given.")
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return when all is ready; end it by `mooring down`.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Start cloud and gateway together and say where everything is.

    Runs until Ctrl-C, or with --detach in the background. A second `mooring up` on the same state
    folder says that one is running and changes nothing; one on another folder runs beside it if
    it has an address of its own, for instance --bind 127.0.0.2.
    """
    try:
        addresses = _checked(state, tuple(bind or ()), gateway_host, gateway_port)
        ensure_folder(state)
        lock = take_lock(state)
        if lock is None:
            _report_running(state, as_json)
            return
        if detach:
            # The detached supervisor takes the lock itself.
            os.close(lock)
            facts = _detach(state, addresses)
            if as_json:
                emit_json({"already_running": False, **facts})
            else:
                _print_where(facts)
                console.print("\n[dim]`mooring down` ends both.[/]")
            return
        # The lock goes with the process, so that whoever waits for it (`down`) waits for its end.
        _run_here(state, addresses, as_json)
    except CommandError as error:
        exit_with_error(error, as_json=as_json)


def status(state: StateOption, as_json: JsonOption = False) -> None:
    """Say whether `mooring up` is running and how its parts are. Exit code 1 if not all is well."""
    running = running_facts(state)
    if running is None:
        exit_with_error(_nothing_up(state), as_json=as_json)
    report: dict[str, Any] = {"state": str(state), "pid": running["pid"], "since": running["since"]}
    for part, api in (("cloud", cloud_api), ("gateway", gateway_api)):
        try:
            with api(state) as client:
                report[part] = {"up": True, "url": client.base_url, **client.get_json("info")}
        except CommandError as error:
            report[part] = {"up": False, "problem": error.message}
    if as_json:
        # Connection strings are for `cloud info`; a status is pasted into reports.
        report["cloud"].pop("dps_connection_string", None)
        for hub in report["cloud"].get("hubs", ()):
            hub.pop("connection_string", None)
        emit_json(report)
    else:
        print_facts(
            {"up since": short_time(running["since"]), "process": running["pid"], "state": state}
        )
        for part in ("cloud", "gateway"):
            _print_part(part, report[part])
    if not (report["cloud"]["up"] and report["gateway"]["up"]):
        raise typer.Exit(1)


def down(state: StateOption, as_json: JsonOption = False) -> None:
    """End a running `mooring up` in good order; done as well if nothing runs."""
    pid = supervisor_pid(state)
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + DOWN_TIMEOUT_S
        while supervisor_pid(state) == pid:
            if time.monotonic() > deadline:
                exit_with_error(
                    CommandError(
                        "does-not-end",
                        f"Process {pid} did not end within {DOWN_TIMEOUT_S:.0f} s.",
                        f"See the logs in {state}; as a last resort: kill -9 {pid}",
                    ),
                    as_json=as_json,
                )
            time.sleep(POLL_S)
    if as_json:
        emit_json({"ended": pid is not None, "pid": pid})
    else:
        console.print(
            f"nothing is up in {state}." if pid is None else "ended.", markup=False, soft_wrap=True
        )


def _checked(
    state: Path, bind: tuple[str, ...], gateway_host: str | None, gateway_port: int | None
) -> Addresses:
    """Return the addresses, refused here rather than in a child's log if they are wrong."""
    from mooring.cli.serving import checked_settings
    from mooring.cloud.settings import CloudSettings
    from mooring.gateway.settings import GatewaySettings

    checked = checked_settings(CloudSettings, {"state_dir": state, "bind": bind or None})
    if gateway_host is None and bind:
        loopback = (a for a in checked.bind if ipaddress.ip_address(a).is_loopback)
        gateway_host = next(loopback, None)
    # In the command's own words: the gateway's settings call them host and port.
    if gateway_port is not None and not 0 <= gateway_port <= 65_535:
        raise typer.BadParameter(f"{gateway_port} is not a port.", param_hint="--gateway-port")
    checked_settings(GatewaySettings, {"state_dir": state, "host": gateway_host})
    return Addresses(bind, gateway_host, gateway_port)


def _run_here(state: Path, addresses: Addresses, as_json: bool) -> None:
    """Supervise in this process until the end is asked for."""

    def on_ready(facts: dict[str, Any]) -> None:
        if as_json:
            emit_json({"already_running": False, **facts})
            return
        _print_where(facts)
        console.print("\n[dim]Ctrl-C ends both. How to go on: docs/guide.md[/]")

    def on_ending() -> None:
        if not as_json:
            console.print("\nending gateway and cloud ...")

    if not as_json:
        console.print("starting cloud and gateway ...")
    asyncio.run(supervise(state, addresses, on_ready=on_ready, on_ending=on_ending))
    if not as_json:
        console.print("ended.")


def _detach(state: Path, addresses: Addresses) -> dict[str, Any]:
    """Start a supervisor in a session of its own and return where everything is.

    Raises:
        CommandError: It did not start; in the words of the supervisor.
    """
    options = [*addresses.cloud_arguments()]
    if addresses.gateway_host is not None:
        options += ["--gateway-host", addresses.gateway_host]
    if addresses.gateway_port is not None:
        options += ["--gateway-port", str(addresses.gateway_port)]
    log = os.open(state / "up.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "mooring", "up", "--state", str(state), "--json", *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            text=True,
        )
    finally:
        os.close(log)
    # The supervisor bounds each part's start itself; this is for a supervisor that hangs.
    watchdog = threading.Timer(READY_TIMEOUT_S * 2, process.kill)
    watchdog.start()
    try:
        document = _read_document(process)
    except KeyboardInterrupt:
        process.terminate()
        raise
    finally:
        watchdog.cancel()
    if document is None:
        said = (state / "up.log").read_text(errors="replace").strip()
        raise CommandError(
            "did-not-start",
            f"The supervisor ended with status {process.wait()}. {said}".rstrip(),
            f"See {state / 'up.log'} and try again.",
        )
    if "error" in document:
        process.wait()
        refused = document["error"]
        raise CommandError(refused["code"], refused["message"], refused["remedy"])
    document.pop("already_running")
    return document


def _read_document(process: subprocess.Popen[str]) -> dict[str, Any] | None:
    """Return the first JSON document that `process` prints, None if it ends without one."""
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if line == "}\n":  # the only line of an indented document without an indent
            document: dict[str, Any] = json.loads(text)
            return document
    return None


def _nothing_up(state: Path) -> CommandError:
    if supervisor_pid(state) is not None:
        return CommandError(
            "starting", f"`mooring up` is just starting in {state}.", "Ask again in a moment."
        )
    return CommandError("not-running", f"Nothing is up in {state}.", "Start it: mooring up")


def _report_running(state: Path, as_json: bool) -> None:
    """Say where everything is that another supervisor runs, once it is ready."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    while (running := running_facts(state)) is None:
        if supervisor_pid(state) is None:
            raise CommandError(
                "did-not-start",
                f"Another `mooring up` in {state} was about to start and ended.",
                "See what it said, or start it again.",
            )
        if time.monotonic() > deadline:
            raise CommandError(
                "starting",
                f"Another `mooring up` holds {state} but does not get ready.",
                "End it (mooring down) and start again.",
            )
        time.sleep(POLL_S)
    if as_json:
        emit_json({"already_running": True, **running})
        return
    console.print(
        f"already up since {short_time(running['since'])} (process {running['pid']}); "
        "nothing changed."
    )
    _print_where(running)


def _print_part(name: str, part: dict[str, Any]) -> None:
    console.print(f"[bold]{name}[/] {'[green]up[/]' if part['up'] else '[red]down[/]'}")
    shown: dict[str, object] = {"  API": part.get("url"), "  problem": part.get("problem")}
    if part["up"]:
        storage = part["storage"]
        condition = storage.get("state") or storage.get("condition")
        shown["  storage"] = " ".join(filter(None, (condition, storage["reason"])))
        connections = part["connections"]
        shown["  connections"] = (
            f"{connections['open']} open, {connections['hub_devices']} of hub devices"
            if name == "cloud"
            else f"{connections['connected']} connected of {connections['configured']}"
        )
    print_facts({name: value for name, value in shown.items() if value is not None})


def _print_where(facts: dict[str, Any]) -> None:
    print_facts(
        {
            "Global device endpoint": facts["global_endpoint"],
            "ID Scope": facts["id_scope"],
            "IoT Hub": ", ".join(hub["host_name"] for hub in facts["hubs"]),
            "HTTPS": facts["service_url"],
            "server CA": facts["ca_file"],
            "cloud API": facts["cloud_url"],
            "gateway API": facts["gateway_url"],
            "state folder": facts["state"],
        }
    )
    print_https_fallback(facts["https_fallback"])
