"""Connection-state events of real devices: vector T6 of iothub.md."""

from __future__ import annotations

import time
from typing import Any

from tests.cloud.conftest import Device
from tests.support.cloud import CloudThread
from tests.support.rawmqtt import CONNACK, PUBACK, ConnectionEnded

from mooring.protocol.mqtt.packets import Connect, Will


def connect(device: Device) -> bytes:
    """Return a CONNECT with a will."""
    topic = f"devices/{device.name}/messages/events/"
    return Connect(
        device.name,
        clean_session=False,
        keep_alive_s=60,
        user_name=device.hub_user_name,
        will=Will(topic, b"gone"),
    ).encode()


def told(device: Device, count: int) -> list[dict[str, Any]]:
    """Return what the log has of the device, once there are `count` messages."""
    deadline = time.monotonic() + 10
    while len(found := device.cloud.telemetry(device.name)) < count:
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found


def test_t6_take_over_tells_disconnected_then_connected_and_sends_the_will(
    cloud: CloudThread, hub_device: Device
) -> None:
    with cloud.api() as api:
        changed = api.patch("hubs/hub/settings", json={"events": ["deviceConnectionStateEvents"]})
        assert changed.json()["events"] == ["deviceConnectionStateEvents"]
    with hub_device.dial() as a, hub_device.dial() as b:
        a.send(connect(hub_device))
        assert a.expect(CONNACK).body == b"\0\0"
        b.send(connect(hub_device))
        assert b.expect(CONNACK).body == b"\0\0"
        try:
            raise AssertionError(a.read())
        except ConnectionEnded:
            pass
        b.disconnect()
        found = told(hub_device, 5)

    operations = [event["properties"].get("opType") or event["body"] for event in found]
    assert operations == [
        "deviceConnected",
        "gone",
        "deviceDisconnected",
        "deviceConnected",
        "deviceDisconnected",
    ]
    events = [event for event in found if "opType" in event["properties"]]
    for event in events:
        annotations = event["annotations"]
        assert annotations["iothub-message-source"] == "deviceConnectionStateEvents"
        assert annotations["iothub-connection-device-id"] == hub_device.name
        assert "iothub-connection-auth-method" not in annotations
        assert event["systemProperties"]["content-type"] == "application/json"
        assert event["systemProperties"]["user-id"] == "hub"
        assert event["properties"] | {"operationTimestamp": "", "opType": ""} == {
            "hubName": "hub",
            "deviceId": hub_device.name,
            "operationTimestamp": "",
            "opType": "",
            "iothub-message-schema": "deviceConnectionStateNotification",
        }
    numbers = [event["body"]["sequenceNumber"] for event in events]
    assert {len(number) for number in numbers} == {64}
    assert numbers == sorted(set(numbers))


def test_nothing_is_told_unless_the_hub_is_set_to(cloud: CloudThread, hub_device: Device) -> None:
    with cloud.api() as api:
        api.patch("hubs/hub/settings", json={"events": []})
    with hub_device.at_hub() as raw:
        raw.publish(f"devices/{hub_device.name}/messages/events/", b"x")
        raw.expect(PUBACK)

    assert [event["body"] for event in told(hub_device, 1)] == ["x"]
