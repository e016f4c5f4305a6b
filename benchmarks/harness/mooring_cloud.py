"""Mooring's cloud as one of the servers: `mooring cloud serve` in a folder that is thrown away.

The devices are made over the admin API, pinned to the thumbprints of the benchmark's client
certificates (a hub does not compare the CN of a pinned certificate, so one serves all of them).
"""

from __future__ import annotations

import base64
import hmac
import json
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx

from harness.credentials import Credentials
from harness.processes import ServerProcess, free_port
from harness.servers import Server, ServiceApi

BIND = "127.0.0.40"
"""An address of its own, so that a cloud that is running already is not disturbed."""

HUB_API_VERSION = "2021-04-12"
NAME = "Mooring hub"
SERVICE_POLICY = "service"
TOKEN_LIFE_S = 24 * 3600
AT_ONCE = 8
"""Devices that are created together: they share a commit."""


def mooring_cloud(
    *, devices: int
) -> Callable[[Path, Credentials, int], AbstractContextManager[Server]]:
    """Return a factory of a cloud whose first hub knows devices ``bench-0`` … of that number."""

    @contextmanager
    def factory(folder: Path, credentials: Credentials, core: int) -> Iterator[Server]:
        state = _state(folder)
        with serve_cloud(state, BIND, core) as cloud:
            cloud.process.wait_until_listening(BIND, cloud.admin_port)
            with _admin_api(state, cloud.admin_port) as api:
                hub = _checked(api.get("hubs"))["value"][0]
                host_name = hub["hostName"]
                _create_devices(api, hub["name"], credentials, devices)
                token = _service_token(api, hub["name"], host_name)
                service_api = ServiceApi(cloud.https_port, host_name, token)
            yield Server(
                NAME,
                cloud.process,
                BIND,
                cloud.mqtt_port,
                client_id="bench-{n}",
                user=f"{host_name}/bench-{{n}}/?api-version={HUB_API_VERSION}",
                topic="devices/bench-{n}/messages/events/",
                service_api=service_api,
            )

    return factory


@dataclass(frozen=True, slots=True)
class ServedCloud:
    """A running cloud and where it listens."""

    process: ServerProcess
    mqtt_port: int
    admin_port: int
    https_port: int


@contextmanager
def serve_cloud(state: Path, bind: str, core: int) -> Iterator[ServedCloud]:
    """Run ``mooring cloud serve`` over the folder `state`; devices may come, its API is next."""
    port, https_port, admin_port = (free_port(bind) for _ in range(3))
    command = [
        *(sys.executable, "-m", "mooring", "cloud", "serve", "--state", str(state)),
        *("--bind", bind, "--mqtt-port", str(port), "--admin-port", str(admin_port)),
        *("--https-port", str(https_port), "--log-level", "warning"),
    ]
    log_file = state.with_name(f"{state.name}.log")
    with ServerProcess(command, core=core, log_file=log_file) as process:
        process.wait_until_listening(bind, port)
        yield ServedCloud(process, port, admin_port, https_port)


def count_telemetry(folder: Path) -> int:
    """Return how many messages the log of the cloud in `folder` holds, read from its own file."""
    return _ask(folder, "SELECT count(*) FROM hub_telemetry")


def count_telemetry_with(folder: Path, *properties: str) -> int:
    """Return how many of them have each of these texts in their properties."""
    conditions = " AND ".join("instr(properties, ?) > 0" for _ in properties)
    return _ask(folder, f"SELECT count(*) FROM hub_telemetry WHERE {conditions}", *properties)


def count_reported_patches(folder: Path) -> int:
    """Return how many patches of reported properties the cloud in `folder` has kept."""
    # A twin begins with version 1.
    return _ask(folder, "SELECT coalesce(sum(reported_version - 1), 0) FROM hub_twin")


def count_desired_patches(folder: Path) -> int:
    """Return how many patches of desired properties the cloud in `folder` has kept."""
    return _ask(folder, "SELECT coalesce(sum(desired_version - 1), 0) FROM hub_twin")


def _ask(folder: Path, query: str, *parameters: str) -> int:
    database = _state(folder) / "cloud" / "cloud.db"
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        (count,) = connection.execute(query, parameters).fetchone()
    return int(count)


def _state(folder: Path) -> Path:
    return folder / "mooring-state"


def _admin_api(state: Path, port: int) -> httpx.Client:
    token = (state / "cloud" / "owner-token").read_text().strip()
    return httpx.Client(
        base_url=f"http://{BIND}:{port}/admin/v1/",
        headers={"Authorization": f"Bearer {token}"},
        trust_env=False,
        timeout=60,
    )


def _create_devices(api: httpx.Client, hub_name: str, credentials: Credentials, count: int) -> None:
    thumbprint_of = {name: c.sha256_thumbprint for name, c in credentials.clients.items()}

    def create(number: int) -> None:
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
        _checked(api.put(f"hubs/{hub_name}/devices/{device_id}", json=body))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in pool.map(create, range(count)):
            pass


def _service_token(api: httpx.Client, hub_name: str, host_name: str) -> str:
    """Return a token of the policy `SERVICE_POLICY`, as a service SDK makes it."""
    policies = _checked(api.get(f"hubs/{hub_name}/policies"))["value"]
    (policy,) = [policy for policy in policies if policy["keyName"] == SERVICE_POLICY]
    resource = quote(host_name, safe="")
    expires_at_s = int(time.time()) + TOKEN_LIFE_S
    digest = hmac.digest(
        base64.b64decode(policy["primaryKey"]), f"{resource}\n{expires_at_s}".encode(), "sha256"
    )
    signature = quote(base64.b64encode(digest), safe="")
    return (
        f"SharedAccessSignature sr={resource}&sig={signature}&se={expires_at_s}"
        f"&skn={SERVICE_POLICY}"
    )


def _checked(response: httpx.Response) -> dict[str, list[dict[str, str]]]:
    if response.is_error:
        raise RuntimeError(f"the cloud's API answered {response.status_code}: {response.text}")
    document: dict[str, list[dict[str, str]]] = json.loads(response.content)
    return document
