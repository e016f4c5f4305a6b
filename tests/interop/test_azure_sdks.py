"""Unmodified Azure SDKs register through our DPS and send telemetry to our hub.

The clients are separate programs (`python_device.py`, `node/device.js`), so that nothing of ours
is loaded into them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.support.cloud import CloudProcess

from mooring.pki.certificates import dump_certificate
from mooring.pki.issuing import Issued, Issuer, issue_device, issue_root
from mooring.pki.keys import KeyAlgorithm, dump_key
from mooring.pki.names import Subject

HERE = Path(__file__).parent
MESSAGES = 3
TIMEOUT_S = 90

pytestmark = pytest.mark.interop


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


class PythonSdk:
    """azure-iot-device from PyPI."""

    name = "python"

    def run(self, cloud: CloudProcess, options: dict[str, Any]) -> Run:
        """Run its program."""
        return _run([sys.executable, str(HERE / "python_device.py"), json.dumps(options)], {})


class NodeSdk:
    """azure-iot-device and azure-iot-provisioning-device over MQTT, from npm."""

    name = "node"

    def run(self, cloud: CloudProcess, options: dict[str, Any]) -> Run:
        """Run its program; it trusts what NODE_EXTRA_CA_CERTS names."""
        if shutil.which("node") is None:
            pytest.skip("Node is missing: apt-get install nodejs npm")
        if not (HERE / "node" / "node_modules").exists():
            pytest.skip("the Azure SDKs for Node are missing: run tests/install-tools.sh")
        environment = {"NODE_EXTRA_CA_CERTS": str(cloud.ca_file)}
        return _run(["node", str(HERE / "node" / "device.js"), json.dumps(options)], environment)


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


@pytest.fixture(params=[PythonSdk(), NodeSdk()], ids=lambda sdk: sdk.name)
def sdk(request: pytest.FixtureRequest) -> PythonSdk | NodeSdk:
    return request.param


def _options(
    cloud: CloudProcess, folder: Path, issued: Issued, registration_id: str, *, chain: str = ""
) -> dict[str, Any]:
    cert_file, key_file = folder / "device.pem", folder / "device.key"
    cert_file.write_text(dump_certificate(issued.certificate) + chain)
    key_file.write_bytes(dump_key(issued.key))
    return {
        "endpoint": cloud.facts["global_endpoint"],
        "idScope": cloud.facts["id_scope"],
        "registrationId": registration_id,
        "certFile": str(cert_file),
        "keyFile": str(key_file),
        "caFile": str(cloud.ca_file),
        "messages": MESSAGES,
    }


def _root(common_name: str, **members: Any) -> Issued:
    subject = Subject(common_name=common_name, organization="Quay")
    return issue_root(subject, now=datetime.now(UTC), **members)


def _expect_connected(run: Run, cloud: CloudProcess, device_id: str, origin: str) -> None:
    assert run.exit_status == 0, run
    registered = run.event("registered")
    assert registered["status"] == "assigned"
    assert registered["assignedHub"] == cloud.address
    assert registered["deviceId"] == device_id
    events = cloud.telemetry(deviceId=device_id)
    assert [event["body"] for event in events] == [{"number": n} for n in range(MESSAGES)]
    assert [event["properties"] for event in events] == [{"origin": f"{origin} & co"}] * MESSAGES
    assert events[0]["systemProperties"]["message-id"] == f"{origin}-0"
    device = cloud.get(f"hubs/hub/devices/{device_id}")
    assert device["authentication"]["type"] == "selfSigned"


def test_individual_enrollment_registers_and_sends(
    sdk: PythonSdk | NodeSdk, cloud: CloudProcess, tmp_path: Path
) -> None:
    name = f"individual{sdk.name}"
    root = _root(name)
    cloud.enroll(name, dump_certificate(root.certificate))

    run = sdk.run(cloud, _options(cloud, tmp_path, root, name))

    _expect_connected(run, cloud, name, sdk.name)
    state = cloud.get(f"dps/enrollments/{name}")["registrationState"]
    assert state["status"] == "assigned"


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.RSA_2048, KeyAlgorithm.EC_P256])
def test_group_enrollment_registers_and_sends(
    sdk: PythonSdk | NodeSdk, cloud: CloudProcess, tmp_path: Path, algorithm: KeyAlgorithm
) -> None:
    suffix = f"{sdk.name}{algorithm.value.replace('-', '')}"
    root = _root(f"root{suffix}", algorithm=algorithm)
    issuer = Issuer(root.certificate, root.key)
    subject = Subject(common_name=f"group{suffix}", organization="Quay")
    device = issue_device(subject, issuer, algorithm=algorithm, now=datetime.now(UTC))
    cloud.add_ca(f"ca-{suffix}", dump_certificate(root.certificate))
    cloud.add_group(f"plant-{suffix}", f"ca-{suffix}")

    run = sdk.run(cloud, _options(cloud, tmp_path, device, f"group{suffix}"))

    _expect_connected(run, cloud, f"group{suffix}", sdk.name)
    records = cloud.get("dps/registrations", enrollmentGroupId=f"plant-{suffix}")["value"]
    assert [record["registrationId"] for record in records] == [f"group{suffix}"]


def test_individual_enrollment_with_another_device_id_sends_as_that_device(
    sdk: PythonSdk | NodeSdk, cloud: CloudProcess, tmp_path: Path
) -> None:
    name = f"renamed{sdk.name}"
    root = _root(name)
    cloud.enroll(name, dump_certificate(root.certificate), deviceId=f"Pump.{sdk.name}")

    run = sdk.run(cloud, _options(cloud, tmp_path, root, name))

    _expect_connected(run, cloud, f"Pump.{sdk.name}", sdk.name)
