"""The unmodified Azure SDKs as programs of their own, so that nothing of ours is loaded in them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from mooring.pki.certificates import dump_certificate
from mooring.pki.issuing import Issued
from mooring.pki.keys import dump_key
from mooring.testing import ThrowAwayCloud

HERE = Path(__file__).parent
TIMEOUT_S = 90


@dataclass(frozen=True)
class Run:
    """What an SDK's program said and how it ended."""

    exit_status: int
    events: list[dict[str, Any]]
    errors: str

    def event(self, name: str) -> dict[str, Any]:
        """Return the event `name`, which must have happened."""
        found = [event for event in self.events if event["event"] == name]
        assert found, f"no {name!r} in {self.events}\n{self.errors}"
        return found[0]


@dataclass(frozen=True)
class PythonSdk:
    """azure-iot-device from PyPI."""

    websockets: bool = False
    name = "python"

    @property
    def label(self) -> str:
        """Return what tells it from the others, fit for a device's name."""
        return _label(self)

    def transport_of(self, kind: str) -> str | None:
        """Return what the records of its attempts of `kind` say of the transport."""
        return "websocket" if self.websockets else None

    def run(self, cloud: ThrowAwayCloud, options: dict[str, Any]) -> Run:
        """Run its program."""
        options = {**options, "websockets": self.websockets}
        return _run([sys.executable, str(HERE / "python_device.py"), json.dumps(options)], {})


@dataclass(frozen=True)
class NodeSdk:
    """azure-iot-device and azure-iot-provisioning-device from npm.

    Over MQTT; with `http` it registers over HTTPS by azure-iot-provisioning-device-http, which
    dials 443 and nothing else.
    """

    websockets: bool = False
    http: bool = False
    name = "node"

    @property
    def label(self) -> str:
        """Return what tells it from the others, fit for a device's name."""
        return f"{self.name}http" if self.http else _label(self)

    def transport_of(self, kind: str) -> str | None:
        """Return what the records of its attempts of `kind` say of the transport."""
        if self.http and kind == "registration":
            return "https"
        return "websocket" if self.websockets else None

    def run(self, cloud: ThrowAwayCloud, options: dict[str, Any]) -> Run:
        """Run its program; it trusts what NODE_EXTRA_CA_CERTS names."""
        options = {**options, "websockets": self.websockets, "http": self.http}
        return run_node("device.js", options, cloud.environment())


Sdk: TypeAlias = PythonSdk | NodeSdk

Step: TypeAlias = tuple[str, dict[str, Any]]


class PythonServiceSdk:
    """azure-iothub-provisioningserviceclient from PyPI."""

    name = "python"

    def run(self, cloud: ThrowAwayCloud, *steps: Step) -> list[dict[str, Any]]:
        """Do `steps`; return what is told of each."""
        program = [sys.executable, str(HERE / "python_service.py")]
        options = json.dumps(_service_options(cloud, steps))
        return _outcomes(_run([*program, options], cloud.environment()), steps)


class NodeServiceSdk:
    """azure-iot-provisioning-service from npm; dials 443 and nothing else."""

    name = "node"

    def run(self, cloud: ThrowAwayCloud, *steps: Step) -> list[dict[str, Any]]:
        """Do `steps`; return what is told of each."""
        options = _service_options(cloud, steps)
        return _outcomes(run_node("service.js", options, cloud.environment()), steps)


ServiceSdk: TypeAlias = PythonServiceSdk | NodeServiceSdk


class PythonHubSdk:
    """azure-iot-hub from PyPI."""

    name = "python"

    def run(self, cloud: ThrowAwayCloud, *steps: Step) -> list[dict[str, Any]]:
        """Do `steps` at the first hub; return what is told of each."""
        program = [sys.executable, str(HERE / "python_hub.py")]
        options = json.dumps(_hub_options(cloud, steps))
        return _outcomes(_run([*program, options], cloud.environment()), steps)


class NodeHubSdk:
    """azure-iothub from npm; dials 443 and nothing else."""

    name = "node"

    def run(self, cloud: ThrowAwayCloud, *steps: Step) -> list[dict[str, Any]]:
        """Do `steps` at the first hub; return what is told of each."""
        options = _hub_options(cloud, steps)
        return _outcomes(run_node("hub.js", options, cloud.environment()), steps)


HubSdk: TypeAlias = PythonHubSdk | NodeHubSdk


def _label(sdk: Sdk) -> str:
    return f"{sdk.name}ws" if sdk.websockets else sdk.name


def options(
    cloud: ThrowAwayCloud, folder: Path, issued: Issued, registration_id: str, **members: Any
) -> dict[str, Any]:
    """Write certificate and key to `folder` and return what the programs take."""
    cert_file, key_file = folder / "device.pem", folder / "device.key"
    cert_file.write_text(dump_certificate(issued.certificate))
    key_file.write_bytes(dump_key(issued.key))
    return {
        **_options(cloud, registration_id),
        "certFile": str(cert_file),
        "keyFile": str(key_file),
        **members,
    }


def key_options(
    cloud: ThrowAwayCloud, symmetric_key: str, registration_id: str, **members: Any
) -> dict[str, Any]:
    """Return what the programs take for a device that has a symmetric key, base64."""
    return {**_options(cloud, registration_id), "symmetricKey": symmetric_key, **members}


def _options(cloud: ThrowAwayCloud, registration_id: str) -> dict[str, Any]:
    return {
        "endpoint": cloud.global_endpoint,
        "idScope": cloud.id_scope,
        "registrationId": registration_id,
        "caFile": str(cloud.ca_file),
    }


def _service_options(cloud: ThrowAwayCloud, steps: tuple[Step, ...]) -> dict[str, Any]:
    return {"connectionString": cloud.dps_connection_string, "steps": steps}


def _hub_options(cloud: ThrowAwayCloud, steps: tuple[Step, ...]) -> dict[str, Any]:
    return {"connectionString": cloud.hub_connection_string(), "steps": steps}


def _outcomes(run: Run, steps: tuple[Step, ...]) -> list[dict[str, Any]]:
    assert run.exit_status == 0, run
    assert [event["event"] for event in run.events] == [name for name, _ in steps], run
    return run.events


def need_node() -> None:
    """Skip the test where the SDKs for Node cannot run."""
    if shutil.which("node") is None:
        pytest.skip("Node is missing: apt-get install nodejs npm")
    if not (HERE / "node" / "node_modules").exists():
        pytest.skip("the Azure SDKs for Node are missing: run tests/install-tools.sh")


def run_node(program: str, options: dict[str, Any], environment: dict[str, str]) -> Run:
    """Run a program with Azure's SDKs for Node."""
    need_node()
    return _run(["node", str(HERE / "node" / program), json.dumps(options)], environment)


def _run(command: list[str], environment: dict[str, str]) -> Run:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env={**os.environ, **environment},
    )
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return Run(done.returncode, events, done.stderr[-2000:])
