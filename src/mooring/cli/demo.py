"""`mooring demo`: from nothing to connected, each way of the procedure, as a live table.

Always in a throw-away state folder on a loopback address of its own, so that it runs beside
anything else. What happens on the wire is what happens for everybody: the demo only calls the
REST APIs of a real cloud and a real gateway.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import RenderableType
from rich.live import Live
from rich.markup import escape

from mooring.cli.api_access import cloud_api
from mooring.cli.demo_table import CONNECTING, Progress, demo_view
from mooring.cli.demo_ways import WAYS, Stand, walk
from mooring.cli.output import (
    EXIT_INTERRUPTED,
    CommandError,
    JsonOption,
    UsageError,
    console,
    emit_json,
    error_console,
    exit_with_error,
)
from mooring.cli.processes import Child, on_end_signals, wait_ready
from mooring.cli.supervising import trust_cloud
from mooring.runtime.loopback import STANDARD_PORTS, NoAddressFree, lend_loopback_address

PORTS = (*STANDARD_PORTS, 8080)
"""Those of the cloud, and the gateway's REST API."""


def demo(
    ways: Annotated[
        list[str] | None,
        typer.Argument(help=f"{', '.join(WAYS)}; all if none is named.", metavar="[WAY]..."),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the state folder and say where it is.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Perform the procedure from nothing, each way end to end, as a live table.

    Fresh certificates, CA upload and proof of possession, enrollment, registration, connection,
    telemetry read back. Everything happens in a throw-away folder on an address of its own, beside
    whatever runs, and nothing is left behind. Exit code 1 if a way fails.
    """
    try:
        chosen = _choose(ways or list(WAYS))
        folder = Path(tempfile.mkdtemp(prefix="mooring-demo-"))
        try:
            with lend_loopback_address(PORTS) as address:
                report = asyncio.run(_run_until_end(chosen, folder, address, as_json))
        finally:
            if keep:
                error_console.print(f"[dim]kept[/] {folder}", soft_wrap=True)
            else:
                shutil.rmtree(folder, ignore_errors=True)
    except (CommandError, NoAddressFree) as error:
        exit_with_error(error, as_json=as_json)
    if report is None:
        error_console.print("ended before it was done; nothing is left behind.")
        raise typer.Exit(EXIT_INTERRUPTED)
    if as_json:
        emit_json(report)
    else:
        _print_outcome(report, chosen)
    if not report["ok"]:
        raise typer.Exit(1)


def _choose(names: list[str]) -> list[Progress]:
    for name in names:
        if name not in WAYS:
            raise UsageError(
                "way-unknown",
                f"There is no way {name!r}.",
                f"Give one of: {', '.join(WAYS)}.",
                field="WAY",
            )
    return [Progress(name, WAYS[name][0]) for name in dict.fromkeys(names)]


async def _run_until_end(
    ways: list[Progress], folder: Path, address: str, as_json: bool
) -> dict[str, Any] | None:
    """Run the demo; None if it was ended by Ctrl-C or a signal, with everything cleared away."""
    run = asyncio.create_task(_run(ways, folder, address, as_json))
    interrupted = False

    def end() -> None:
        nonlocal interrupted
        # A second Ctrl-C must not end the clearing away.
        if not interrupted:
            interrupted = True
            run.cancel()

    on_end_signals(end)
    try:
        return await run
    except asyncio.CancelledError:
        return None


async def _run(ways: list[Progress], folder: Path, address: str, as_json: bool) -> dict[str, Any]:
    began = time.monotonic()
    setup = Progress("setup", "Setup")
    cloud = Child(
        "cloud",
        ["cloud", "serve", "--state", str(folder), "--bind", address, "--log-level", "warning"],
        log=folder / "cloud.log",
    )
    gateway = Child(
        "gateway",
        ["gateway", "serve", "--state", str(folder), "--host", address, "--log-level", "warning"],
        log=folder / "gateway.log",
    )
    start_line = threading.Barrier(len(ways))
    with _live(setup, ways, as_json):
        try:
            with setup.stage("start cloud and gateway") as row:
                row.detail = f"on {address}"
                await asyncio.gather(cloud.start(), gateway.start())
                await asyncio.gather(*(wait_ready(child, folder) for child in (cloud, gateway)))
            with setup.stage("trust the cloud's server CA"):
                await asyncio.to_thread(trust_cloud, folder)
                facts = await asyncio.to_thread(_facts, folder)
            stand = Stand(folder, facts, start_line)
            await asyncio.gather(*(asyncio.to_thread(walk, way, stand) for way in ways))
            with setup.stage("stop cloud and gateway"):
                await _stop(gateway, cloud)
        finally:
            # After Ctrl-C the ways' threads end by this: their calls fail, and nobody waits.
            start_line.abort()
            await _stop(gateway, cloud)
    return {
        "ok": all(way.ok for way in ways),
        "seconds": round(time.monotonic() - began, 3),
        "retry_after_seconds": facts["retry_after_s"],
        "address": address,
        "setup": [stage.to_json() for stage in setup.stages],
        "ways": [way.to_json() for way in ways],
    }


async def _stop(*children: Child) -> None:
    for child in children:
        await child.stop()


def _facts(folder: Path) -> dict[str, Any]:
    with cloud_api(folder) as cloud:
        facts: dict[str, Any] = cloud.get_json("info")
    return facts


def _print_outcome(report: dict[str, Any], ways: list[Progress]) -> None:
    for way in ways:
        if way.ok:
            continue
        where, why = way.failure()
        error_console.print(
            f"[bold red]{escape(way.title)}[/] failed at {escape(where)}: {escape(why)}",
            soft_wrap=True,
        )
    if not report["ok"]:
        return
    slowest = max(float(way["connect_seconds"]) for way in report["ways"])
    console.print(
        f"all done in {report['seconds']:.1f} s. {CONNECTING}: {slowest:.2f} s at most, of which "
        f"{report['retry_after_seconds']} s are ordered by DPS (retry-after, as Azure)."
    )


@contextmanager
def _live(setup: Progress, ways: list[Progress], as_json: bool) -> Iterator[None]:
    if as_json:
        yield
        return
    if not console.is_terminal:
        try:
            yield
        finally:
            console.print(demo_view(setup, ways, whole=True))
        return
    whole = False

    def view() -> RenderableType:
        return demo_view(setup, ways, whole=whole)

    with Live(console=console, refresh_per_second=10, get_renderable=view):
        try:
            yield
        finally:
            whole = True
