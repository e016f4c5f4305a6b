"""Unmodified Azure SDKs register through our DPS and send telemetry to our hub.

The clients are separate programs (`python_device.py`, `node/device.js`), so that nothing of ours
is loaded into them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.interop.sdks import Run, Sdk, key_options, options
from tests.support.sastokens import derive_key, new_key

from mooring.pki.certificates import dump_certificate
from mooring.pki.issuing import Issued, Issuer, issue_device, issue_root
from mooring.pki.keys import KeyAlgorithm
from mooring.pki.names import Subject
from mooring.testing import ThrowAwayCloud

MESSAGES = 3

pytestmark = pytest.mark.interop


def _root(common_name: str, **members: Any) -> Issued:
    subject = Subject(common_name=common_name, organization="Quay")
    return issue_root(subject, now=datetime.now(UTC), **members)


def _expect_connected(
    run: Run,
    cloud: ThrowAwayCloud,
    device_id: str,
    sdk: Sdk,
    *,
    authentication: str = "selfSigned",
) -> None:
    origin = sdk.name
    assert run.exit_status == 0, run
    registered = run.event("registered")
    assert registered["status"] == "assigned"
    assert registered["assignedHub"] == cloud.address
    assert registered["deviceId"] == device_id
    events = cloud.telemetry(device_id)
    assert [event["body"] for event in events] == [{"number": n} for n in range(MESSAGES)]
    assert [event["properties"] for event in events] == [{"origin": f"{origin} & co"}] * MESSAGES
    assert events[0]["systemProperties"]["message-id"] == f"{origin}-0"
    device = cloud.get_device(device_id)
    assert device["authentication"]["type"] == authentication
    for record in cloud.attempts(device_id=device_id):
        assert record["context"].get("transport") == sdk.transport_of(record["kind"])


@pytest.mark.exercises(
    "azure-iot-device (PyPI)",
    "device.mqtt.register",
    "device.mqtt.poll",
    "device.ws",
    "device.x509",
)
@pytest.mark.exercises(
    "azure-iot-provisioning-device-mqtt (npm)",
    "device.mqtt.register",
    "device.mqtt.poll",
    "device.ws",
    "device.x509",
)
@pytest.mark.exercises(
    "azure-iot-provisioning-device-http (npm)",
    "device.https.register",
    "device.https.status",
    "device.x509",
)
def test_individual_enrollment_registers_and_sends(
    sdk: Sdk, cloud: ThrowAwayCloud, tmp_path: Path
) -> None:
    name = f"individual{sdk.label}"
    root = _root(name)
    cloud.enroll(name, dump_certificate(root.certificate))

    run = sdk.run(cloud, options(cloud, tmp_path, root, name, messages=MESSAGES))

    _expect_connected(run, cloud, name, sdk)
    state = cloud.get_enrollment(name)["registrationState"]
    assert state["status"] == "assigned"


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.RSA_2048, KeyAlgorithm.EC_P256])
def test_group_enrollment_registers_and_sends(
    sdk: Sdk, cloud: ThrowAwayCloud, tmp_path: Path, algorithm: KeyAlgorithm
) -> None:
    suffix = f"{sdk.label}{algorithm.value.replace('-', '')}"
    root = _root(f"root{suffix}", algorithm=algorithm)
    issuer = Issuer(root.certificate, root.key)
    subject = Subject(common_name=f"group{suffix}", organization="Quay")
    device = issue_device(subject, issuer, algorithm=algorithm, now=datetime.now(UTC))
    cloud.add_ca(f"ca-{suffix}", dump_certificate(root.certificate))
    cloud.add_group(f"plant-{suffix}", f"ca-{suffix}")

    run = sdk.run(cloud, options(cloud, tmp_path, device, f"group{suffix}", messages=MESSAGES))

    _expect_connected(run, cloud, f"group{suffix}", sdk)
    records = cloud.registrations(f"plant-{suffix}")
    assert [record["registrationId"] for record in records] == [f"group{suffix}"]


def test_individual_enrollment_with_another_device_id_sends_as_that_device(
    sdk: Sdk, cloud: ThrowAwayCloud, tmp_path: Path
) -> None:
    name = f"renamed{sdk.label}"
    root = _root(name)
    cloud.enroll(name, dump_certificate(root.certificate), deviceId=f"Pump.{sdk.label}")

    run = sdk.run(cloud, options(cloud, tmp_path, root, name, messages=MESSAGES))

    _expect_connected(run, cloud, f"Pump.{sdk.label}", sdk)


@pytest.mark.exercises("azure-iot-device (PyPI)", "device.symmetric-key")
@pytest.mark.exercises("azure-iot-provisioning-device-mqtt (npm)", "device.symmetric-key")
@pytest.mark.exercises("azure-iot-provisioning-device-http (npm)", "device.symmetric-key")
def test_individual_enrollment_by_symmetric_key_registers_and_sends(
    sdk: Sdk, cloud: ThrowAwayCloud
) -> None:
    name = f"keyed{sdk.label}"
    keys = {"primaryKey": new_key(), "secondaryKey": new_key()}
    attestation = {"type": "symmetricKey", "symmetricKey": keys}
    cloud.calls.put_enrollment(name, {"registrationId": name, "attestation": attestation})

    run = sdk.run(cloud, key_options(cloud, keys["secondaryKey"], name, messages=MESSAGES))

    _expect_connected(run, cloud, name, sdk, authentication="sas")


def test_group_enrollment_by_symmetric_key_registers_and_sends(
    sdk: Sdk, cloud: ThrowAwayCloud
) -> None:
    name = f"groupkeyed{sdk.label}"
    keys = {"primaryKey": new_key(), "secondaryKey": new_key()}
    attestation = {"type": "symmetricKey", "symmetricKey": keys}
    group = {"enrollmentGroupId": f"keys-{name}", "attestation": attestation}
    cloud.calls.put_group(f"keys-{name}", group)
    key = derive_key(keys["primaryKey"], name)

    run = sdk.run(cloud, key_options(cloud, key, name, messages=MESSAGES))

    _expect_connected(run, cloud, name, sdk, authentication="sas")
    records = cloud.registrations(f"keys-{name}")
    assert [record["registrationId"] for record in records] == [name]
