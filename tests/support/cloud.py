"""A cloud for tests: `mooring cloud serve` as a process, on a loopback address of its own.

The Azure SDKs dial 8883 and 443 whatever one tells them, so several clouds at one time differ in
their address (127.x.y.z), and a file lock per address keeps parallel test processes apart. Take
the fixture by importing it into a ``conftest.py``::

    from tests.support.cloud import cloud  # noqa: F401 - a fixture
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import pytest

from mooring.cloud.application import CloudApplication
from mooring.cloud.frontdoor.limits import DEFAULT_LIMITS
from mooring.cloud.settings import CloudSettings
from mooring.runtime.logs import configure_logs

READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0


def https_port() -> int:
    """Return the port that a cloud of this user serves HTTPS on."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", 443))
        except PermissionError:
            return 9443
        except OSError:  # taken by another: permitted
            pass
    return 443


@contextmanager
def loopback_address() -> Iterator[str]:
    """Lend an address of 127.0.0.0/8 on which nobody else serves, to this process alone."""
    folder = Path(tempfile.gettempdir()) / f"mooring-test-addresses-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    for _ in range(200):
        numbers = (random.randint(*bounds) for bounds in ((10, 250), (0, 255), (1, 254)))
        address = ".".join(("127", *map(str, numbers)))
        descriptor = os.open(folder / address, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for port in (8883, https_port()):
                with socket.socket() as probe:
                    probe.bind((address, port))
        except OSError:
            os.close(descriptor)
            continue
        try:
            yield address
        finally:
            (folder / address).unlink(missing_ok=True)
            os.close(descriptor)
        return
    raise RuntimeError("no loopback address is free")


class CloudClient:
    """What tests ask of a running cloud, by its admin API."""

    state: Path
    address: str

    @property
    def facts(self) -> dict[str, Any]:
        """Return what it says of itself, with connection strings."""
        return dict(self.get("info"))

    @cached_property
    def id_scope(self) -> str:
        """Return the ID scope of its DPS."""
        return str(self.facts["id_scope"])

    @property
    def ca_file(self) -> Path:
        """Return the CA that its clients are to trust."""
        return self.state / "cloud" / "server-ca.pem"

    @cached_property
    def https_url(self) -> str:
        """Return the base of the HTTPS APIs: device, service and resource API."""
        return str(self.facts["service_url"])

    @property
    def api_url(self) -> str:
        """Return the base of the admin API."""
        return f"http://{self.address}:8081/admin/v1"

    def api(self) -> httpx.Client:
        """Return a client of the admin API with the owner token; the caller closes it."""
        token = (self.state / "cloud" / "owner-token").read_text().strip()
        return httpx.Client(
            base_url=f"{self.api_url}/",
            headers={"Authorization": f"Bearer {token}"},
            trust_env=False,
            timeout=30.0,
            verify=False,  # plain HTTP; loading the system's CAs would only take time
        )

    def get(self, path: str, **parameters: Any) -> Any:
        """GET from the admin API; anything but success fails the test."""
        with self.api() as api:
            response = api.get(path, params=parameters)
        assert response.is_success, response.text
        return response.json()

    def enroll(self, registration_id: str, certificate_pem: str, **members: Any) -> dict[str, Any]:
        """Add an individual enrollment for a device's own certificate."""
        slots = {"primary": {"certificate": certificate_pem}}
        return self._put(
            f"dps/enrollments/{registration_id}",
            {"attestation": {"type": "x509", "x509": {"clientCertificates": slots}}, **members},
        )

    def add_ca(self, name: str, certificate_pem: str, *, verified: bool = True) -> dict[str, Any]:
        """Upload a CA certificate, verified unless told otherwise."""
        properties = {"certificate": certificate_pem, "isVerified": verified}
        return self._put(f"dps/certificates/{name}", {"properties": properties})

    def add_group(self, group_id: str, ca_name: str, **members: Any) -> dict[str, Any]:
        """Add an enrollment group of an uploaded CA."""
        references = {"caReferences": {"primary": ca_name}}
        return self._put(
            f"dps/enrollmentGroups/{group_id}",
            {"attestation": {"type": "x509", "x509": references}, **members},
        )

    def add_device(self, device_id: str, sha256_thumbprint: str) -> dict[str, Any]:
        """Add a device to the first hub, pinned to a thumbprint."""
        thumbprints = {"primaryThumbprint": sha256_thumbprint}
        return self._put(
            f"hubs/hub/devices/{device_id}",
            {"authentication": {"type": "selfSigned", "x509Thumbprint": thumbprints}},
        )

    def telemetry(self, **parameters: Any) -> list[dict[str, Any]]:
        """Return stored telemetry of the first hub."""
        return list(self.get("hubs/hub/telemetry", **parameters)["value"])

    def attempts(self, **parameters: Any) -> list[dict[str, Any]]:
        """Return attempt records, newest first."""
        return list(self.get("attempts", **parameters)["value"])

    def _put(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        with self.api() as api:
            response = api.put(path, json=body)
        assert response.is_success, response.text
        return dict(response.json())


@dataclass
class CloudProcess(CloudClient):
    """A cloud in a process of its own."""

    state: Path
    address: str
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def log_file(self) -> Path:
        """Return where its log lines go."""
        return self.state / "cloud.log"

    @property
    def pid(self) -> int:
        """Return the process id."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.state.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "mooring", "cloud", "serve"),
                    *("--state", str(self.state), "--bind", self.address),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
            )
        deadline = time.monotonic() + READY_TIMEOUT_S
        with httpx.Client(trust_env=False, timeout=2.0) as client:
            while True:
                if self.process.poll() is not None:
                    raise RuntimeError(f"the cloud ended: {self.log_file.read_text()}")
                with contextlib.suppress(httpx.HTTPError):
                    if client.get(f"{self.api_url}/health").is_success:
                        return
                if time.monotonic() > deadline:
                    self.kill()
                    raise RuntimeError(f"the cloud is not ready: {self.log_file.read_text()}")
                time.sleep(0.02)

    def stop(self) -> int:
        """End it in good order; return its exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_TIMEOUT_S)

    def kill(self) -> None:
        """End it as a power cut would, but for what the kernel holds."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@contextmanager
def running_cloud(state: Path, **environment: str) -> Iterator[CloudProcess]:
    """Run a cloud in folder `state`, and end it.

    `environment` holds settings as variables, e.g. ``MOORING_CLOUD_RETRY_AFTER_S="2"``.
    """
    with loopback_address() as address:
        process = CloudProcess(state, address, environment)
        process.start()
        try:
            yield process
        finally:
            if process.process is not None and process.process.poll() is None:
                process.stop()


class ShiftedClock:
    """The machine's clock, whose monotonic side can be put forward."""

    def __init__(self) -> None:
        """Start with the right time."""
        self.shift_s = 0.0

    def now(self) -> datetime:
        """Return the present."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic() + self.shift_s


class CloudThread(CloudClient):
    """A cloud on a thread of this process: its parts can be reached, and are covered."""

    def __init__(self, state: Path, address: str, **options: Any) -> None:
        """Run in folder `state`; `options` go to `CloudApplication.start`, or are settings."""
        self.state = state
        self.address = address
        self.clock = ShiftedClock()
        self._options = options
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.application: CloudApplication | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        configure_logs(level="warning")
        self._thread.start()
        limits = self._options.pop("limits", DEFAULT_LIMITS)
        settings = CloudSettings(state_dir=self.state, bind=(self.address,), **self._options)
        self.application = self.run(
            CloudApplication.start(settings, clock=self.clock, limits=limits)
        )

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run `work` on the cloud's loop and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a plain function on the cloud's loop and return its result."""

        async def work() -> Any:
            return function(*arguments)

        return self.run(work())

    def pass_time(self, seconds: float) -> None:
        """Let `seconds` pass for timeouts of connections, at once."""
        assert self.application is not None
        self.clock.shift_s += seconds
        self.call(self.application.front_door.wheel.turn)

    def stop(self) -> None:
        """End it in good order; a second call does nothing."""
        if self._loop.is_closed():
            return
        try:
            if self.application is not None:
                self.run(self.application.close())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(STOP_TIMEOUT_S)
            self._loop.close()


@contextmanager
def cloud_on_thread(state: Path, **options: Any) -> Iterator[CloudThread]:
    """Run a cloud of this process in folder `state`, and end it."""
    with loopback_address() as address:
        cloud = CloudThread(state, address, **options)
        cloud.start()
        try:
            yield cloud
        finally:
            cloud.stop()


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Generator[CloudProcess]:
    """Run one cloud for a test module."""
    with running_cloud(tmp_path_factory.mktemp("cloud")) as process:
        yield process
