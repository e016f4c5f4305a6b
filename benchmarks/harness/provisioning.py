"""Mooring's provisioning service as one of the servers: a cloud that was filled beforehand."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.bench import Bench
from harness.credentials import Credentials
from harness.fleet import Fleet
from harness.load import LoadResult
from harness.mooring_cloud import serve_cloud
from harness.seeding import Seed, count_rows, database_bytes, seed_cloud
from harness.servers import Server

DPS_API_VERSION = "2019-03-31"
SOURCES = 200
"""Source addresses of a fleet: a server may bound the handshakes of one address."""

SETTLE_S = 0.3
"""After the load ends the server still closes connections; that belongs to their cost."""


@dataclass(frozen=True, slots=True)
class SeededCloud:
    """A cloud's folder with everything in it, and the address that the cloud is served on."""

    name: str
    state: Path
    bind: str
    id_scope: str

    def check_records(self, count: int) -> None:
        """Compare what is stored with the `count` devices that were told "assigned".

        Raises:
            RuntimeError: There are not as many registration records, or devices of the hub.
        """
        records = count_rows(self.state, "dps_registration")
        devices = count_rows(self.state, "hub_device")
        if (records, devices) != (count, count):
            raise RuntimeError(
                f"{self.name}: {count} devices were told that they are assigned, but there are "
                f"{records} registration records and {devices} devices"
            )

    @property
    def database_bytes(self) -> int:
        """Size of its database file."""
        return database_bytes(self.state)

    @contextmanager
    def serve(self, _folder: Path, _credentials: Credentials, core: int) -> Iterator[Server]:
        """Run the cloud; devices may come at once."""
        with serve_cloud(self.state, self.bind, core) as cloud:
            yield Server(
                self.name,
                cloud.process,
                self.bind,
                cloud.mqtt_port,
                client_id="{n}",
                user=f"{self.id_scope}/registrations/{{n}}/api-version={DPS_API_VERSION}",
            )


def seed(name: str, bench: Bench, bind: str, wanted: Seed) -> SeededCloud:
    """Return a cloud that holds what is `wanted`."""
    bench.progress(f"{name}: writing its enrollments")
    state = bench.folder / f"state-{bind}"
    return SeededCloud(name, state, bind, seed_cloud(state, bind, wanted))


@dataclass(frozen=True, slots=True)
class Registered:
    """A run of registrations: how many, how fast, and what they cost the server."""

    load: LoadResult
    cpu_us: float
    turned_away: int
    p50_ms: float
    p99_ms: float
    max_ms: float


def register(
    bench: Bench,
    server: Server,
    fleet: Fleet,
    *,
    tls: str,
    window: int,
    first: int,
    clients: int,
    count: int,
    wait: bool = False,
) -> Registered:
    """Let `clients` devices of `fleet`, from number `first` on, register `count` times in all."""
    options: dict[str, Any] = {"wait": wait}
    load = bench.load(
        server,
        "register",
        credentials=fleet.credentials_file,
        tls=tls,
        window=window,
        sources=SOURCES,
        first=first,
        clients=clients,
        messages=count,
        **options,
    )
    with load:
        before_s = server.process.cpu_s()
        result = load.go()
    time.sleep(SETTLE_S)
    cpu_s = server.process.cpu_s() - before_s
    return Registered(
        LoadResult(result["count"], result["seconds"], result["cpu_s"]),
        cpu_s / result["count"] * 1e6,
        result["turned_away"],
        result["p50_ms"],
        result["p99_ms"],
        result["max_ms"],
    )
