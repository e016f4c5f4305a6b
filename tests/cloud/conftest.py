"""A cloud of this process for a module's tests, and devices that talk to it byte by byte."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support.certificates import Credential, certify, key_of
from tests.support.cloud import CloudThread, cloud_on_thread
from tests.support.rawhttp import RawHttp
from tests.support.rawmqtt import RawMqtt
from tests.support.rawwebsocket import RawMqttOverWebSocket, RawWebSocket

from mooring.pki.certificates import sha256_thumbprint


@dataclass
class Device:
    """A device with a certificate, and how it dials the cloud."""

    cloud: CloudThread
    name: str
    credential: Credential | None
    files: tuple[Path, Path] | None
    websocket: bool = False

    @property
    def thumbprint(self) -> str:
        """Return the SHA-256 thumbprint of its certificate."""
        assert self.credential is not None
        return sha256_thumbprint(self.credential.certificate)

    @property
    def pem(self) -> str:
        """Return its certificate."""
        assert self.credential is not None
        return self.credential.pem.decode()

    @property
    def dps_user_name(self) -> str:
        """Return what it says to DPS."""
        return f"{self.cloud.id_scope}/registrations/{self.name}/api-version=2019-03-31"

    @property
    def hub_user_name(self) -> str:
        """Return what it says to the first hub."""
        return f"{self.cloud.address}/{self.name}/?api-version=2021-04-12"

    @contextmanager
    def dial(self) -> Iterator[RawMqtt]:
        """Open a TLS connection with its certificate, and a WebSocket in it if it uses one."""
        if self.websocket:
            with self.dial_websocket() as websocket:
                assert websocket.open().status == 101
                yield RawMqttOverWebSocket(websocket)
            return
        certificate, key = self.files or (None, None)
        with RawMqtt(
            self.cloud.address,
            8883,
            ca_file=self.cloud.ca_file,
            cert_file=certificate,
            key_file=key,
        ) as raw:
            yield raw

    @contextmanager
    def at_dps(self) -> Iterator[RawMqtt]:
        """Connect to DPS and subscribe."""
        with self.dial() as raw:
            assert raw.connect(self.name, self.dps_user_name) == 0
            assert raw.subscribe("$dps/registrations/res/#") == 1
            yield raw

    @contextmanager
    def over_https(self, **options: Any) -> Iterator[RawHttp]:
        """Open an HTTPS connection with its certificate."""
        with RawHttp(*self._https, **self._https_trust, **options) as raw:
            yield raw

    @contextmanager
    def dial_websocket(self, **options: Any) -> Iterator[RawWebSocket]:
        """Open an HTTPS connection with its certificate, which may become a WebSocket."""
        with RawWebSocket(*self._https, **self._https_trust, **options) as websocket:
            yield websocket

    @property
    def _https(self) -> tuple[str, int]:
        return self.cloud.address, self.cloud.https_port

    @property
    def _https_trust(self) -> dict[str, Path | None]:
        certificate, key = self.files or (None, None)
        return {"ca_file": self.cloud.ca_file, "cert_file": certificate, "key_file": key}

    @property
    def dps_path(self) -> str:
        """Return where its registration is under the HTTPS listener."""
        return f"/{self.cloud.id_scope}/registrations/{self.name}"

    @contextmanager
    def at_hub(self, **options: Any) -> Iterator[RawMqtt]:
        """Connect to the first hub, which must let it in."""
        with self.dial() as raw:
            assert raw.connect(self.name, self.hub_user_name, **options) == 0
            yield raw

    def attempts(self, **parameters: Any) -> list[dict[str, Any]]:
        """Return the cloud's records of its attempts at DPS, newest first."""
        return self.cloud.attempts(registration_id=self.name, **parameters)

    def hub_attempts(self, **parameters: Any) -> list[dict[str, Any]]:
        """Return the cloud's records of its attempts at the hub, newest first."""
        found = self.cloud.attempts(device_id=self.name, **parameters)
        return [record for record in found if record["kind"] != "registration"]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, websocket: bool) -> Generator[CloudThread]:
    """Run one cloud for a test module, and another if its devices also use WebSocket."""
    with cloud_on_thread(tmp_path_factory.mktemp("cloud")) as running:
        yield running


MakeDevice = Callable[..., Device]


OVER_BOTH_CARRIERS = pytest.mark.parametrize(
    "websocket", [False, True], indirect=True, ids=["tls", "websocket"]
)
"""Runs a test, or as ``pytestmark`` a module's tests, over TLS and over WebSocket in TLS."""


@pytest.fixture(scope="module")
def websocket(request: pytest.FixtureRequest) -> bool:
    """Return whether devices dial by WebSocket; see `OVER_BOTH_CARRIERS`."""
    return bool(getattr(request, "param", False))


@pytest.fixture
def make_device(cloud: CloudThread, tmp_path: Path, websocket: bool) -> MakeDevice:
    """Return a maker of devices; each has a fresh name, and a self-signed certificate."""

    def make(
        name: str | None = None,
        *,
        credential: Credential | None = None,
        above: tuple[Credential, ...] = (),
        certificate: bool = True,
        of: CloudThread | None = None,
    ) -> Device:
        name = name or f"gw{secrets.token_hex(4)}"
        if credential is None and certificate:
            credential = certify(name, key_of("ec"))
        files = None if credential is None else credential.write(tmp_path, *above)
        return Device(of or cloud, name, credential, files, websocket)

    return make


@pytest.fixture
def enrolled(cloud: CloudThread, make_device: MakeDevice) -> Device:
    """Return a device that has an individual enrollment."""
    device = make_device()
    cloud.enroll(device.name, device.pem)
    return device


@pytest.fixture
def hub_device(cloud: CloudThread, make_device: MakeDevice) -> Device:
    """Return a device that the hub knows."""
    device = make_device()
    cloud.add_device(device.name, device.thumbprint)
    return device
