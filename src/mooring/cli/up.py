"""`mooring up`, `status` and `down`: cloud and gateway together under one supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer

from mooring.cli.api import cloud_api, gateway_api, read_facts
from mooring.cli.options import StateOption
from mooring.cli.output import (
    CommandError,
    JsonOption,
    console,
    emit_json,
    exit_with_error,
    print_facts,
)
from mooring.cli.processes import READY_TIMEOUT_S, Child, stop_requested, wait_ready
from mooring.runtime.backoff import Backoff
from mooring.runtime.statefolder import ensure_folder, write_file

BindOption = Annotated[
    list[str] | None,
    typer.Option("--bind", help="Address for the cloud to listen on; may be given several times."),
]


def up(
    state: StateOption,
    bind: BindOption = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return when all is ready; end it by `mooring down`.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Start cloud and gateway together and say where everything is.

    Runs until Ctrl-C, or with --detach in the background. A second `mooring up` on the same
    state folder says that one is running and changes nothing.
    """
    try:
        ensure_folder(state)
        lock = _try_lock(state)
        if lock is None:
            _report_running(state, as_json)
            return
        if detach:
            # The detached supervisor takes the lock itself.
            os.close(lock)
            _detach(state, bind or [])
            _report_running(state, as_json, started=True)
            return
        try:
            asyncio.run(_supervise(state, bind or [], as_json))
        finally:
            (state / "up.json").unlink(missing_ok=True)
            os.close(lock)
    except CommandError as error:
        exit_with_error(error, as_json=as_json)


def status(state: StateOption, as_json: JsonOption = False) -> None:
    """Say whether `mooring up` is running and how its parts are. Exit status 1 if it is not."""
    running = _running(state)
    if running is None:
        exit_with_error(
            CommandError(
                "not-running", f"Nothing is up in {state}.", "Start it: mooring up --detach"
            ),
            as_json=as_json,
        )
    report: dict[str, Any] = {"state": str(state), "pid": running["pid"], "since": running["since"]}
    for part, api in (("cloud", cloud_api), ("gateway", gateway_api)):
        try:
            with api(state) as client:
                report[part] = {"up": True, "url": str(client.base_url)} | client.get_json("info")
        except CommandError as error:
            report[part] = {"up": False, "problem": error.message}
    if as_json:
        emit_json(report)
    else:
        print_facts({"up since": running["since"], "process": running["pid"], "state": state})
        for part in ("cloud", "gateway"):
            console.print(f"[bold]{part}[/] {'up' if report[part]['up'] else '[red]down[/]'}")
            for name in ("url", "problem"):
                if name in report[part]:
                    print_facts({f"  {name}": report[part][name]})
    if not (report["cloud"]["up"] and report["gateway"]["up"]):
        raise typer.Exit(1)


def down(state: StateOption, as_json: JsonOption = False) -> None:
    """End a running `mooring up` in good order; done as well if nothing runs."""
    running = _running(state)
    if running is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(running["pid"], signal.SIGTERM)
        deadline = time.monotonic() + 60
        while _running(state) is not None:
            if time.monotonic() > deadline:
                exit_with_error(
                    CommandError(
                        "does-not-end",
                        f"Process {running['pid']} did not end within 60 s.",
                        f"See {state / 'up.log'}; as a last resort: kill -9 {running['pid']}",
                    ),
                    as_json=as_json,
                )
            time.sleep(0.05)
    ended = running is not None
    if as_json:
        emit_json({"ended": ended, "pid": running["pid"] if running else None})
    else:
        console.print("ended." if ended else f"nothing is up in {state}.")


def _try_lock(state: Path) -> int | None:
    """Return a descriptor that holds the supervisor's lock, None if another holds it."""
    descriptor = os.open(state / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _running(state: Path) -> dict[str, Any] | None:
    """Return what the running supervisor wrote down, None if there is none."""
    try:
        facts: dict[str, Any] = json.loads((state / "up.json").read_text())
        process = psutil.Process(facts["pid"])
        # A process id may have been given to a stranger since.
        if abs(process.create_time() - facts["created"]) > 2 or not process.is_running():
            return None
    except (OSError, ValueError, KeyError, psutil.Error):
        return None
    return facts


def _report_running(state: Path, as_json: bool, *, started: bool = False) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while (running := _running(state)) is None and time.monotonic() < deadline:
        time.sleep(0.1)  # the other one is just starting
    if running is None:
        raise CommandError(
            "starting",
            f"Another `mooring up` holds {state} but does not get ready.",
            f"See {state / 'up.log'}, or wait and try again.",
        )
    if as_json:
        emit_json({"already_running": not started, **running})
        return
    if not started:
        console.print(f"already up since {running['since']} (process {running['pid']}).")
    _print_where(running)


def _detach(state: Path, bind: list[str]) -> None:
    log = os.open(state / "up.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    arguments = [argument for address in bind for argument in ("--bind", address)]
    process = subprocess.Popen(
        [sys.executable, "-m", "mooring", "up", "--state", str(state), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    os.close(log)
    deadline = time.monotonic() + READY_TIMEOUT_S * 2
    while (running := _running(state)) is None or running["pid"] != process.pid:
        if process.poll() is not None:
            raise CommandError(
                "did-not-start",
                (state / "up.log").read_text(errors="replace").strip()
                or f"It ended with status {process.returncode}.",
                "Mend what it says, then start again.",
            )
        if time.monotonic() > deadline:
            process.terminate()
            raise CommandError(
                "not-ready", "It did not get ready in time.", f"See {state / 'up.log'}."
            )
        time.sleep(0.05)


async def _supervise(state: Path, bind: list[str], as_json: bool) -> None:
    stop = await stop_requested()
    arguments = [argument for address in bind for argument in ("--bind", address)]
    cloud = Child(
        "cloud",
        ["cloud", "serve", "--state", str(state), *arguments],
        log=ensure_folder(state / "cloud") / "cloud.log",
    )
    gateway = Child(
        "gateway",
        ["gateway", "serve", "--state", str(state)],
        log=ensure_folder(state / "gateway") / "gateway.log",
    )
    children = (cloud, gateway)
    if not as_json:
        console.print("starting cloud and gateway ...")
    try:
        starting = asyncio.create_task(_start_all(state, cloud, gateway))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            return
        await starting
        facts = _facts(state)
        write_file(state / "up.json", json.dumps(facts, indent=2) + "\n")
        if as_json:
            emit_json(facts)
        else:
            _print_where(facts)
            console.print("\n[dim]Ctrl-C ends both.[/]")
        keepers = [asyncio.create_task(_keep(state, child)) for child in children]
        await stopping
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)
    finally:
        if not as_json:
            console.print("\nending gateway and cloud ...")
        # The gateway first: it says goodbye to a cloud that still answers.
        for child in reversed(children):
            await child.stop()
        if not as_json:
            console.print("ended.")


async def _start_all(state: Path, cloud: Child, gateway: Child) -> None:
    await asyncio.gather(cloud.start(), gateway.start())
    await asyncio.gather(*(_ready(state, child) for child in (cloud, gateway)))
    await asyncio.to_thread(_trust_cloud, state)


def _trust_cloud(state: Path) -> None:
    """Put the cloud's server CA into the gateway's trust store, so that nobody has to."""
    certificate = Path(read_facts(state, "cloud")["ca_file"]).read_text()
    with gateway_api(state) as api:
        api.post_json("trust", {"name": "mooring-cloud", "certificate": certificate})


async def _ready(state: Path, child: Child) -> None:
    def health_url() -> str | None:
        try:
            facts = read_facts(state, child.name)
        except CommandError:
            return None
        return f"{facts['api_url']}/health" if facts.get("pid") == child.pid else None

    await wait_ready(child, health_url)


async def _keep(state: Path, child: Child) -> None:
    """Start a child again that ended by itself, ever more slowly."""
    backoff = Backoff(base_s=1, cap_s=30)
    while True:
        began = time.monotonic()
        code = await child.wait()
        if time.monotonic() - began > 60:
            backoff.reset()
        delay_s = backoff.next_delay_s()
        console.print(
            f"[red]the {child.name} ended by itself (status {code})[/]; see its log in "
            f"{state / child.name}; starting it again in {delay_s:.0f} s"
        )
        await child.stop()
        await asyncio.sleep(delay_s)
        await child.start()


def _facts(state: Path) -> dict[str, Any]:
    cloud = read_facts(state, "cloud")
    gateway = read_facts(state, "gateway")
    return {
        "pid": os.getpid(),
        "created": psutil.Process().create_time(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "state": str(state),
        "id_scope": cloud["id_scope"],
        "global_endpoint": cloud["global_endpoint"],
        "hubs": cloud["hubs"],
        "ca_file": cloud["ca_file"],
        "cloud_url": cloud["api_url"],
        "gateway_url": gateway["api_url"],
    }


def _print_where(facts: dict[str, Any]) -> None:
    print_facts(
        {
            "Global device endpoint": facts["global_endpoint"],
            "ID Scope": facts["id_scope"],
            "IoT Hub": ", ".join(hub["host_name"] for hub in facts["hubs"]),
            "server CA": facts["ca_file"],
            "cloud API": facts["cloud_url"],
            "gateway API": facts["gateway_url"],
            "state folder": facts["state"],
        }
    )
