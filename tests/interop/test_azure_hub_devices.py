"""Unmodified Azure device SDKs at our hub: telemetry, twin, methods, cloud-to-device messages.

The clients are programs of their own (`python_hub_device.py`, `node/hub_device.js`).
"""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.interop.programs import NodeHubDevice, PythonHubDevice, write_credential
from tests.support.cloud import CloudProcess
from tests.support.hub_api import HubClient, hub_client

from mooring.pki.certificates import dump_certificate, sha256_thumbprint
from mooring.pki.issuing import Issuer, issue_device, issue_root
from mooring.pki.keys import dump_key
from mooring.pki.names import Subject

pytestmark = pytest.mark.interop

SDKS = {
    "python": PythonHubDevice(),
    "pythonws": PythonHubDevice(websockets=True),
    "node": NodeHubDevice(),
    "nodews": NodeHubDevice(websockets=True),
}
HUB_RESOURCE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Devices/IotHubs/hub"

SDK = PythonHubDevice | NodeHubDevice


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudProcess]:
    """Run one cloud for the module."""
    with CloudProcess(state=tmp_path_factory.mktemp("cloud")) as running:
        yield running


@pytest.fixture
def api(cloud: CloudProcess) -> Iterator[HubClient]:
    with hub_client(cloud) as client:
        yield client


@pytest.fixture(params=SDKS)
def sdk(request: pytest.FixtureRequest) -> SDK:
    """Return each SDK over each carrier."""
    return SDKS[request.param]


@pytest.fixture
def pinned(api: HubClient, tmp_path: Path) -> dict[str, Any]:
    """Return the options of a device that is pinned by its certificate's thumbprint."""
    name = f"pinned{secrets.token_hex(3)}"
    issued = issue_root(Subject(common_name=name, organization="Quay"), now=datetime.now(UTC))
    thumbprints = {"primaryThumbprint": sha256_thumbprint(issued.certificate)}
    api.created(name, authentication={"type": "selfSigned", "x509Thumbprint": thumbprints})
    files = write_credential(tmp_path, dump_certificate(issued.certificate), dump_key(issued.key))
    return {"deviceId": name, **files}


def _answer(api: HubClient, name: str, call: dict[str, Any]) -> Any:
    """Return a method's answer, None from a device that is not there."""
    response = api.call("POST", f"/twins/{name}/methods", call)
    return response.json() if response.status_code == 200 else None


def wait_for(look: Any, what: str) -> Any:
    """Return the first true result of `look`."""
    deadline = time.monotonic() + 30
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.05)
    return found


@pytest.mark.exercises("azure-iot-device (PyPI)", "hub.mqtt.telemetry", "hub.x509.thumbprint")
@pytest.mark.exercises("azure-iot-device-mqtt (npm)", "hub.mqtt.telemetry", "hub.x509.thumbprint")
def test_telemetry_arrives_with_all_its_properties(
    sdk: SDK, cloud: CloudProcess, pinned: dict[str, Any]
) -> None:
    own = {"zone": "a b/c&d=e?#+%", "grüß": "€ 5", "empty": "", "$odd": "1"}
    with sdk.start(cloud, **pinned) as device:
        device.do("connect")
        device.do(
            "send",
            body='{"load":12.5}',
            messageId="m-1",
            correlationId="c/1",
            userId="user one",
            contentType="application/json",
            contentEncoding="utf-8",
            properties=own,
        )
        device.do("close")

    (event,) = cloud.telemetry(pinned["deviceId"])
    assert event["body"] == {"load": 12.5}
    assert event["properties"] == own
    system = event["systemProperties"]
    assert system.pop("absolute-expiry-time").startswith("2030-01-02T03:04:05")
    assert system == {
        "message-id": "m-1",
        "correlation-id": "c/1",
        "user-id": "user one",
        "content-type": "application/json",
        "content-encoding": "utf-8",
    }


@pytest.mark.exercises("azure-iot-device (PyPI)", "hub.mqtt.twin")
@pytest.mark.exercises("azure-iot-device-mqtt (npm)", "hub.mqtt.twin")
def test_twin_goes_both_ways(
    sdk: SDK, cloud: CloudProcess, api: HubClient, pinned: dict[str, Any]
) -> None:
    path = f"/twins/{pinned['deviceId']}"
    api.got("PATCH", path, {"properties": {"desired": {"rate": 5}}})
    with sdk.start(cloud, **pinned) as device:
        device.do("connect")
        assert device.do("twin") == {
            "desired": {"rate": 5, "$version": 2},
            "reported": {"$version": 1},
        }
        device.do("report", patch={"fw": "1.4", "net": {"rssi": -61}})
        device.do("report", patch={"net": None, "ok": True})
        while device.told and device.told[0]["event"] == "desired":
            device.told.pop(0)  # Node tells of all that a new listener has not seen
        api.got("PATCH", path, {"properties": {"desired": {"rate": 7, "extra": {"a": [1]}}}})
        patch = device.hear(
            lambda fact: fact["event"] == "desired" and fact["patch"].get("$version") == 3,
            "the change of the desired properties",
        )["patch"]
        assert (patch["rate"], patch["extra"]) == (7, {"a": [1]})
        device.do("close")

    reported = api.got("GET", path)["properties"]["reported"]
    assert (reported["fw"], reported["ok"], reported["$version"]) == ("1.4", True, 3)
    assert "net" not in reported


@pytest.mark.exercises("azure-iot-device (PyPI)", "hub.mqtt.methods")
@pytest.mark.exercises("azure-iot-device-mqtt (npm)", "hub.mqtt.methods")
def test_method_is_called_and_answered(
    sdk: SDK, cloud: CloudProcess, api: HubClient, pinned: dict[str, Any]
) -> None:
    with sdk.start(cloud, **pinned) as device:
        device.do("connect")
        for payload in ({"h": 3, "text": "grüß"}, None, [1, 2], "x"):
            body = {"methodName": "lift", "payload": payload, "connectTimeoutInSeconds": 10}
            answer = api.got("POST", f"/twins/{pinned['deviceId']}/methods", body)
            assert answer == {"status": 207, "payload": {"name": "lift", "payload": payload}}
            assert device.event("method")["payload"] == payload
        device.do("close")


@pytest.mark.exercises("azure-iot-device (PyPI)", "hub.mqtt.devicebound")
@pytest.mark.exercises("azure-iot-device-mqtt (npm)", "hub.mqtt.devicebound")
def test_message_to_the_device_is_delivered_once_and_completed(
    sdk: SDK, cloud: CloudProcess, api: HubClient, pinned: dict[str, Any]
) -> None:
    name = pinned["deviceId"]
    with sdk.start(cloud, **pinned) as device:
        device.do("connect")
        wait_for(lambda: api.got("GET", f"/devices/{name}")["connectionState"] == "Connected", "it")
        cloud.calls.admin(
            "POST",
            f"/hubs/hub/devices/{name}/messages/devicebound",
            {
                "body": "go 1",
                "properties": {"job": "42 %&=", "empty": ""},
                "systemProperties": {
                    "messageId": "c-1",
                    "correlationId": "k",
                    "contentType": "text/plain",
                    "contentEncoding": "utf-8",
                    "ack": "full",
                },
            },
        )
        message = device.event("message")
        properties = message.pop("properties")
        # Node leaves it among the sender's own properties.
        assert "full" in {properties.pop("iothub-ack", None), message.pop("ack", None)}
        assert properties == {"job": "42 %&=", "empty": ""}
        assert message == {
            "event": "message",
            "body": "go 1",
            "messageId": "c-1",
            "correlationId": "k",
            "contentType": "text/plain",
            "contentEncoding": "utf-8",
        }
        wait_for(
            lambda: api.got("GET", f"/devices/{name}")["cloudToDeviceMessageCount"] == 0,
            "the completion",
        )
        device.do("close")
        assert not [fact for fact in device.told if fact["event"] == "message"]


@pytest.mark.exercises("azure-iot-device (PyPI)", "hub.sas")
@pytest.mark.exercises("azure-iot-device-mqtt (npm)", "hub.sas")
def test_device_with_a_symmetric_key_gets_in(sdk: SDK, cloud: CloudProcess, api: HubClient) -> None:
    name = f"keyed{secrets.token_hex(3)}"
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    keys = {"primaryKey": key, "secondaryKey": key}
    api.created(name, authentication={"type": "sas", "symmetricKey": keys})

    _expect_telemetry(sdk, cloud, {"deviceId": name, "symmetricKey": key})


def _expect_telemetry(sdk: SDK, cloud: CloudProcess, proof: dict[str, Any]) -> None:
    with sdk.start(cloud, **proof) as device:
        device.do("connect")
        device.do("send", body="in", properties={})
        device.do("close")
    assert [event["body"] for event in cloud.telemetry(proof["deviceId"])] == ["in"]


@pytest.mark.exercises("azure-iot-device (PyPI)", "hub.x509.ca")
@pytest.mark.exercises("azure-iot-device-mqtt (npm)", "hub.x509.ca")
def test_device_of_a_verified_ca_gets_in(
    sdk: SDK, cloud: CloudProcess, api: HubClient, tmp_path: Path
) -> None:
    name = f"chained{secrets.token_hex(3)}"
    now = datetime.now(UTC)
    root = issue_root(Subject(common_name=f"ca{name}", organization="Quay"), now=now)
    issuer = Issuer(root.certificate, root.key)
    leaf = issue_device(Subject(common_name=name, organization="Quay"), issuer, now=now)
    certificate = {"certificate": dump_certificate(root.certificate), "isVerified": True}
    added = api.call(
        "PUT",
        f"{HUB_RESOURCE}/certificates/{name}",
        {"properties": certificate},
        authorization=f"Bearer {cloud.owner_token}",
        api_version="2023-06-30",
    )
    assert added.status_code == 201, added.text
    api.created(name, authentication={"type": "certificateAuthority"})
    files = write_credential(tmp_path, dump_certificate(leaf.certificate), dump_key(leaf.key))

    _expect_telemetry(sdk, cloud, {"deviceId": name, **files})


def test_device_goes_on_after_the_cloud_was_started_again_without_subscribing_anew(
    sdk: SDK, tmp_path: Path
) -> None:
    with CloudProcess(state=tmp_path / "state") as cloud:
        name = "again"
        issued = issue_root(Subject(common_name=name, organization="Quay"), now=datetime.now(UTC))
        cloud.add_device(name, sha256_thumbprint(issued.certificate))
        files = write_credential(
            tmp_path, dump_certificate(issued.certificate), dump_key(issued.key)
        )
        with sdk.start(cloud, deviceId=name, **files) as device:
            device.do("connect")
            with hub_client(cloud) as api:
                call = {"methodName": "ping", "payload": 1, "connectTimeoutInSeconds": 10}
                api.got("POST", f"/twins/{name}/methods", call)
            for ending in (cloud.stop, cloud.kill):
                ending()
                cloud.start()
                with hub_client(cloud) as api:
                    call = {"methodName": "ping", "payload": 2, "connectTimeoutInSeconds": 5}
                    answer = wait_for(partial(_answer, api, name, call), "the device's return")
                    assert answer["payload"] == {"name": "ping", "payload": 2}
                    path = f"/hubs/hub/devices/{name}/messages/devicebound"
                    cloud.calls.admin("POST", path, {"body": "still there?"})
                    assert device.event("message")["body"] == "still there?"
                    api.got("PATCH", f"/twins/{name}", {"properties": {"desired": {"at": name}}})
                    device.event("desired")
                device.do("send", body="still here", properties={})
            device.do("close")
        assert [event["body"] for event in cloud.telemetry(name)] == ["still here"] * 2
