"""Mooring's cloud as one of the servers: `mooring cloud serve` in a folder that is thrown away.

The devices are made over the admin API, pinned to the thumbprints of the benchmark's client
certificates (a hub does not compare the CN of a pinned certificate, so one serves all of them).
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from harness.credentials import Credentials
from harness.processes import ServerProcess, free_port
from harness.servers import Server

BIND = "127.0.0.40"
"""An address of its own, so that a cloud that is running already is not disturbed."""

HUB_API_VERSION = "2021-04-12"
NAME = "Mooring hub"


def mooring_cloud(
    *, devices: int
) -> Callable[[Path, Credentials, int], AbstractContextManager[Server]]:
    """Return a factory of a cloud whose first hub knows devices ``bench-0`` … of that number."""

    @contextmanager
    def factory(folder: Path, credentials: Credentials, core: int) -> Iterator[Server]:
        state = _state(folder)
        with serve_cloud(state, BIND, core) as cloud:
            cloud.process.wait_until_listening(BIND, cloud.admin_port)
            host_name = _create_devices(state, cloud.admin_port, credentials, devices)
            yield Server(
                NAME,
                cloud.process,
                BIND,
                cloud.mqtt_port,
                client_id="bench-{n}",
                user=f"{host_name}/bench-{{n}}/?api-version={HUB_API_VERSION}",
                topic="devices/bench-{n}/messages/events/",
            )

    return factory


@dataclass(frozen=True, slots=True)
class ServedCloud:
    """A running cloud and where it listens."""

    process: ServerProcess
    mqtt_port: int
    admin_port: int


@contextmanager
def serve_cloud(state: Path, bind: str, core: int) -> Iterator[ServedCloud]:
    """Run ``mooring cloud serve`` over the folder `state`; devices may come, its API is next."""
    port, admin_port = free_port(bind), free_port(bind)
    command = [
        *(sys.executable, "-m", "mooring", "cloud", "serve", "--state", str(state)),
        *("--bind", bind, "--mqtt-port", str(port), "--admin-port", str(admin_port)),
        *("--https-port", "0", "--log-level", "warning"),
    ]
    log_file = state.with_name(f"{state.name}.log")
    with ServerProcess(command, core=core, log_file=log_file) as process:
        process.wait_until_listening(bind, port)
        yield ServedCloud(process, port, admin_port)


def count_telemetry(folder: Path) -> int:
    """Return how many messages the log of the cloud in `folder` holds, read from its own file."""
    database = _state(folder) / "cloud" / "cloud.db"
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM hub_telemetry").fetchone()
    return int(count)


def _state(folder: Path) -> Path:
    return folder / "mooring-state"


def _create_devices(state: Path, admin_port: int, credentials: Credentials, count: int) -> str:
    """Create the devices and return the host name of the first hub."""
    token = (state / "cloud" / "owner-token").read_text().strip()
    thumbprint_of = {name: c.sha256_thumbprint for name, c in credentials.clients.items()}
    with httpx.Client(
        base_url=f"http://{BIND}:{admin_port}/admin/v1/",
        headers={"Authorization": f"Bearer {token}"},
        trust_env=False,
        timeout=60,
    ) as api:
        hub = _checked(api.get("hubs"))["value"][0]
        for number in range(count):
            device_id = f"bench-{number}"
            body = {
                "deviceId": device_id,
                "authentication": {
                    "type": "selfSigned",
                    "x509Thumbprint": {
                        "primaryThumbprint": thumbprint_of["ec"],
                        "secondaryThumbprint": thumbprint_of["rsa"],
                    },
                },
            }
            _checked(api.put(f"hubs/{hub['name']}/devices/{device_id}", json=body))
    return str(hub["hostName"])


def _checked(response: httpx.Response) -> dict[str, list[dict[str, str]]]:
    if response.is_error:
        raise RuntimeError(f"the cloud's API answered {response.status_code}: {response.text}")
    document: dict[str, list[dict[str, str]]] = json.loads(response.content)
    return document
