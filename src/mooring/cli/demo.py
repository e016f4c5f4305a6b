"""`mooring demo`: from nothing to connected, each way of the procedure, as a live table.

Always in a throw-away state folder on a loopback address of its own, so that it runs beside
anything else. What happens on the wire is what happens for everybody: the demo only calls the
REST APIs of a real cloud and a real gateway.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from mooring.cli.api import ApiClient, cloud_api, gateway_api, read_facts
from mooring.cli.output import (
    EXIT_USAGE,
    CommandError,
    JsonOption,
    console,
    emit_json,
    error_console,
    exit_with_error,
)
from mooring.cli.processes import Child, wait_ready

CONNECT_TIMEOUT_S = 60.0
"""The guide allows two minutes; here all is on one machine."""

TELEMETRY_TIMEOUT_S = 15.0


@dataclass
class StageResult:
    """One row of the table: `seconds` and `ok` are None while it runs."""

    name: str
    seconds: float | None = None
    ok: bool | None = None
    detail: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the row as JSON-ready values."""
        seconds = None if self.seconds is None else round(self.seconds, 3)
        return {"name": self.name, "seconds": seconds, "ok": self.ok, "detail": self.detail}


@dataclass
class Way:
    """One way of the procedure and how far it has come."""

    name: str
    title: str
    walk: Callable[[Way, Stand], None]
    stages: list[StageResult] = field(default_factory=list)
    ok: bool | None = None
    seconds: float = 0.0
    connect_seconds: float | None = None

    @contextmanager
    def stage(self, name: str) -> Iterator[StageResult]:
        """Time a stage; an error marks it failed and goes on upwards."""
        row = StageResult(name)
        self.stages.append(row)
        began = time.monotonic()
        try:
            yield row
        except BaseException:
            row.ok = False
            raise
        else:
            row.ok = True
        finally:
            row.seconds = time.monotonic() - began

    def to_json(self) -> dict[str, Any]:
        """Return the way as JSON-ready values."""
        return {
            "way": self.name,
            "ok": bool(self.ok),
            "seconds": round(self.seconds, 3),
            "connect_seconds": None
            if self.connect_seconds is None
            else round(self.connect_seconds, 3),
            "stages": [stage.to_json() for stage in self.stages],
        }


@dataclass
class Stand:
    """What the ways share: the running cloud and gateway, and the start of all connections."""

    state: Path
    facts: dict[str, Any]
    start_line: threading.Barrier

    @contextmanager
    def apis(self) -> Iterator[tuple[ApiClient, ApiClient]]:
        """Open clients of the cloud and of the gateway."""
        with cloud_api(self.state) as cloud, gateway_api(self.state) as gateway:
            yield cloud, gateway


def demo(
    ways: Annotated[
        list[str] | None,
        typer.Argument(
            help="dps-individual, dps-group; both if none is named.", metavar="[WAY]..."
        ),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the state folder and say where it is.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Perform the procedure from nothing, each way end to end, as a live table.

    Fresh certificates, upload and proof of possession, enrollment, registration, connection,
    telemetry read back. Exit status 1 if a way fails.
    """
    chosen = _choose(ways or list(WAYS), as_json)
    folder = Path(tempfile.mkdtemp(prefix="mooring-demo-"))
    try:
        report = asyncio.run(_run(chosen, folder, as_json))
    except CommandError as error:
        exit_with_error(error, as_json=as_json)
    finally:
        if keep:
            error_console.print(f"[dim]kept[/] {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    if as_json:
        emit_json(report)
    if not report["ok"]:
        raise typer.Exit(1)


def _choose(names: list[str], as_json: bool) -> list[Way]:
    for name in names:
        if name not in WAYS:
            exit_with_error(
                CommandError(
                    "way-unknown",
                    f"There is no way {name!r}.",
                    f"Give one of: {', '.join(WAYS)}.",
                    field="WAY",
                ),
                as_json=as_json,
                exit_code=EXIT_USAGE,
            )
    return [Way(name, *WAYS[name]) for name in dict.fromkeys(names)]


async def _run(ways: list[Way], folder: Path, as_json: bool) -> dict[str, Any]:
    began = time.monotonic()
    setup = Way("setup", "Setup", _individual)
    address = _free_address()
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
    with _live([setup, *ways], as_json):
        try:
            with setup.stage("start cloud and gateway") as row:
                await asyncio.gather(cloud.start(), gateway.start())
                await asyncio.gather(*(_ready(folder, child) for child in (cloud, gateway)))
                row.detail = f"on {address}"
            with setup.stage("trust the cloud's server CA"):
                facts = await asyncio.to_thread(_trust, folder)
            stand = Stand(folder, facts, threading.Barrier(len(ways)))
            await asyncio.gather(*(asyncio.to_thread(_walk, way, stand) for way in ways))
            with setup.stage("stop cloud and gateway"):
                await gateway.stop()
                await cloud.stop()
            setup.ok = True
        finally:
            await gateway.stop()
            await cloud.stop()
            # The table is redrawn by a thread; give it the last word.
            await asyncio.sleep(0)
    for way in ways:
        if not way.ok and not as_json:
            failed = next((stage for stage in way.stages if stage.ok is False), None)
            if failed is not None:
                error_console.print(
                    f"[bold red]{escape(way.title)}[/] failed at {escape(failed.name)}: "
                    f"{escape(failed.detail)}"
                )
    return {
        "ok": all(way.ok for way in ways),
        "seconds": round(time.monotonic() - began, 3),
        "retry_after_seconds": facts.get("retry_after_s"),
        "setup": [stage.to_json() for stage in setup.stages],
        "ways": [way.to_json() for way in ways],
    }


def _walk(way: Way, stand: Stand) -> None:
    began = time.monotonic()
    try:
        way.walk(way, stand)
        way.ok = True
    except (CommandError, threading.BrokenBarrierError) as error:
        way.ok = False
        # Nobody waits at the start line for one that will not come.
        stand.start_line.abort()
        failed = next((stage for stage in way.stages if stage.ok is False), None)
        if failed is not None and not failed.detail:
            failed.detail = (
                f"{error.message} {error.remedy}"
                if isinstance(error, CommandError)
                else "another way failed before its connection"
            )
    finally:
        way.seconds = time.monotonic() - began


# -- the ways -----------------------------------------------------------------------------------


def _individual(way: Way, stand: Stand) -> None:
    """Way 1: the self-signed root is the device's certificate (rows C1, D1, D2, D5, G1-G5)."""
    from mooring.pki.issuing import issue_root
    from mooring.pki.names import Subject

    name = f"gateway{secrets.token_hex(3)}"
    with way.stage("make the root certificate") as row:
        root = issue_root(Subject(common_name=name, organization="Demo"), now=datetime.now(UTC))
        certificate, key = _pem(root)
        row.detail = f"CN {name}"
    with stand.apis() as (cloud, gateway):
        with way.stage("add the individual enrollment"):
            slots = {"primary": {"certificate": certificate}}
            cloud.put_json(
                f"dps/enrollments/{name}",
                {
                    "registrationId": name,
                    "attestation": {"type": "x509", "x509": {"clientCertificates": slots}},
                },
            )
        _connect(way, stand, gateway, "AzureDpsX509-individual", certificate, key)
        with way.stage("registration status") as row:
            found = cloud.get_json(f"dps/enrollments/{name}")["registrationState"]
            _expect(found["status"] == "assigned", f"status is {found['status']}")
            row.detail = f"assigned to {found['assignedHub']}"
        _telemetry(way, cloud, gateway, "AzureDpsX509-individual", name)


def _group(way: Way, stand: Stand) -> None:
    """Way 2: a device certificate under a verified root (rows C6, C7, D3, D4, D6)."""
    from mooring.pki.issuing import Issuer, issue_device, issue_root, issue_verification
    from mooring.pki.names import Subject

    suffix = secrets.token_hex(3)
    name, authority = f"gateway{suffix}", f"root{suffix}"
    now = datetime.now(UTC)
    with way.stage("make root and device certificates") as row:
        root = issue_root(Subject(common_name=authority, organization="Demo"), now=now)
        issuer = Issuer(root.certificate, root.key)
        device = issue_device(Subject(common_name=name, organization="Demo"), issuer, now=now)
        certificate, key = _pem(device)
        row.detail = f"CN {name}"
    with stand.apis() as (cloud, gateway):
        with way.stage("upload the root"):
            body = {"properties": {"certificate": _pem(root)[0]}}
            cloud.put_json(f"dps/certificates/{authority}", body)
        with way.stage("verify by proof of possession"):
            found = cloud.post_json(f"dps/certificates/{authority}/generateVerificationCode")
            code = found["properties"]["verificationCode"]
            proof = issue_verification(code, issuer, now=now)
            found = cloud.post_json(
                f"dps/certificates/{authority}/verify", {"certificate": _pem(proof)[0]}
            )
            _expect(found["properties"]["isVerified"], "the root is not verified")
        with way.stage("add the enrollment group"):
            cloud.put_json(
                f"dps/enrollmentGroups/plant-{suffix}",
                {
                    "enrollmentGroupId": f"plant-{suffix}",
                    "attestation": {
                        "type": "x509",
                        "x509": {"caReferences": {"primary": authority}},
                    },
                },
            )
        _connect(way, stand, gateway, "AzureDpsX509-group", certificate, key)
        with way.stage("registration record") as row:
            records = cloud.get_json("dps/registrations", enrollmentGroupId=f"plant-{suffix}")
            found = records["value"][0]
            _expect(found["status"] == "assigned", f"status is {found['status']}")
            row.detail = f"assigned to {found['assignedHub']}"
        _telemetry(way, cloud, gateway, "AzureDpsX509-group", name)


WAYS: dict[str, tuple[str, Callable[[Way, Stand], None]]] = {
    "dps-individual": ("DPS individual enrollment", _individual),
    "dps-group": ("DPS enrollment group", _group),
}


def _connect(
    way: Way, stand: Stand, gateway: ApiClient, pid: str, certificate: str, key: str
) -> None:
    with way.stage("configure the cloud connection") as row:
        gateway.post_json("connections", {"factory_pid": "AzureDpsX509", "pid": pid})
        gateway.put_json(
            f"connections/{pid}/configuration",
            {
                "tabs": {
                    _transport_tab(gateway, pid): {
                        "global.endpoint": stand.facts["global_endpoint"],
                        "scope.id": stand.facts["id_scope"],
                        "device.certificate": certificate,
                        "device.private.key": key,
                    }
                }
            },
        )
        row.detail = pid
    with way.stage("wait for the other ways"):
        stand.start_line.wait(CONNECT_TIMEOUT_S)
    overall = StageResult("Connect to Connected")
    way.stages.append(overall)
    began = time.monotonic()
    gateway.post_json(f"connections/{pid}/connect")
    try:
        attempt = _await_connected(gateway, pid, overall, began)
    except CommandError as error:
        overall.ok, overall.detail = False, f"{error.message} {error.remedy}"
        raise
    finally:
        overall.seconds = time.monotonic() - began
    overall.ok = True
    overall.detail = f"retry-after {stand.facts.get('retry_after_s', 3)} s ordered by DPS"
    way.connect_seconds = overall.seconds
    way.stages += [
        StageResult(
            f"  {stage['name']}",
            stage["duration_ms"] / 1000,
            stage["outcome"] == "passed",
            stage["detail"],
        )
        for stage in attempt["stages"]
    ]


def _transport_tab(gateway: ApiClient, pid: str) -> str:
    """Return the name that the tab X509MqttDataTransport has on this connection."""
    tabs = gateway.get_json(f"connections/{pid}/configuration")["tabs"]
    return next(str(tab["name"]) for tab in tabs if tab["name"].startswith("X509MqttDataTransport"))


def _await_connected(
    gateway: ApiClient, pid: str, row: StageResult, began: float
) -> dict[str, Any]:
    while True:
        status = gateway.get_json(f"connections/{pid}/status")
        row.detail = status["state"].lower()
        row.seconds = time.monotonic() - began
        if status["state"] == "CONNECTED":
            found: dict[str, Any] = gateway.get_json(f"connections/{pid}/attempts")["attempts"][0]
            return found
        if status["cause"] is not None:
            raise CommandError(
                status["code"],
                f"Stage {status['failed_stage']}: {status['cause']}",
                status["remedy"],
            )
        if row.seconds > CONNECT_TIMEOUT_S:
            raise CommandError(
                "not-connected",
                f"Still {status['state']} after {CONNECT_TIMEOUT_S:.0f} s.",
                "See the stages.",
            )
        time.sleep(0.02)


def _telemetry(way: Way, cloud: ApiClient, gateway: ApiClient, pid: str, device_id: str) -> None:
    mark = secrets.token_hex(8)
    with way.stage("send telemetry, acknowledged"):
        gateway.post_json(f"connections/{pid}/publish", {"json": {"mark": mark}})
    with way.stage("read it back from the hub") as row:
        hub = cloud.get_json("hubs")["value"][0]["name"]
        deadline = time.monotonic() + TELEMETRY_TIMEOUT_S
        while True:
            events = cloud.get_json(f"hubs/{hub}/telemetry", deviceId=device_id)["value"]
            if any(mark in str(event["body"]) for event in events):
                row.detail = f"{len(events)} message of {device_id}"
                return
            _expect(time.monotonic() < deadline, "the message is not in the hub's log")
            time.sleep(0.05)


def _expect(condition: bool, message: str) -> None:
    if not condition:
        raise CommandError("demo-failed", message, "This is a defect of Mooring: report it.")


def _pem(issued: Any) -> tuple[str, str]:
    from mooring.pki.certificates import dump_certificate
    from mooring.pki.keys import dump_key

    return dump_certificate(issued.certificate), dump_key(issued.key).decode()


# -- the stand and the table --------------------------------------------------------------------


def _free_address() -> str:
    """Return a loopback address of our own on which nobody serves 8883."""
    for _ in range(50):
        address = f"127.{random.randint(1, 254)}.{random.randint(0, 254)}.{random.randint(2, 254)}"  # noqa: S311 - a name, not a secret
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((address, 8883))
            return address
    raise CommandError(
        "no-address",
        "No loopback address is free for port 8883.",
        "The demo needs Linux, where all of 127.0.0.0/8 is this machine.",
    )


async def _ready(folder: Path, child: Child) -> None:
    def health_url() -> str | None:
        try:
            facts = read_facts(folder, child.name)
        except CommandError:
            return None
        return f"{facts['api_url']}/health" if facts.get("pid") == child.pid else None

    await wait_ready(child, health_url)


def _trust(folder: Path) -> dict[str, Any]:
    """Let the gateway trust the cloud; return the cloud's public facts."""
    with cloud_api(folder) as cloud, gateway_api(folder) as gateway:
        facts: dict[str, Any] = cloud.get_json("info")
        certificate = Path(facts["ca_file"]).read_text()
        gateway.post_json("trust", {"name": "mooring-cloud", "certificate": certificate})
    return facts


@contextmanager
def _live(ways: list[Way], as_json: bool) -> Iterator[None]:
    if as_json:
        yield
        return
    with Live(console=console, refresh_per_second=10, get_renderable=lambda: _table(ways)):
        yield


def _table(ways: list[Way]) -> Table:
    table = Table(title="Mooring: from a bare key to Connected", title_justify="left")
    table.add_column("way")
    table.add_column("stage")
    table.add_column("seconds", justify="right")
    table.add_column("")
    table.add_column("detail", overflow="fold")
    for way in ways:
        for number, stage in enumerate(list(way.stages)):
            table.add_row(
                escape(way.title) if number == 0 else "",
                escape(stage.name),
                "" if stage.seconds is None else f"{stage.seconds:.3f}",
                {True: "[green]✓[/]", False: "[red]✗[/]", None: "[yellow]…[/]"}[stage.ok],
                escape(stage.detail),
            )
        table.add_section()
    return table
