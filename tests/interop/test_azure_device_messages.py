"""The unmodified Azure device SDK for Node sends and takes messages over HTTPS.

The client is a program of its own (`node/https_device.js`), and dials 443 and nothing else. No SDK
for Python speaks HTTPS to a hub.
"""

from __future__ import annotations

import json
import secrets
import time
from pathlib import Path
from typing import Any

import pytest
from tests.interop.sdks import Run, run_node

from mooring.testing import ThrowAwayCloud
from mooring.testing.credentials import new_device

pytestmark = pytest.mark.interop

WAIT_S = 20.0


@pytest.fixture
def name() -> str:
    """Return a fresh id."""
    return f"dock{secrets.token_hex(4)}"


def by_key(cloud: ThrowAwayCloud, name: str) -> dict[str, Any]:
    """Create a device with keys; return what the programs take."""
    keys = cloud.calls.put_device("hub", name, {})["authentication"]["symmetricKey"]
    return {
        "connectionString": f"HostName={cloud.address};DeviceId={name};"
        f"SharedAccessKey={keys['primaryKey']}",
    }


def run(cloud: ThrowAwayCloud, **options: Any) -> Run:
    """Run the program, which must end well."""
    ended = run_node("https_device.js", options, cloud.environment())
    assert ended.exit_status == 0, ended
    return ended


def send(cloud: ThrowAwayCloud, name: str, **message: Any) -> None:
    """Send a device a message."""
    cloud.calls.admin("POST", f"hubs/hub/devices/{name}/messages/devicebound", message)


def waiting(cloud: ThrowAwayCloud, name: str) -> list[str]:
    """Return the bodies of the messages in a device's queue, once it changes no more."""
    path = f"hubs/hub/devices/{name}/messages/devicebound"
    deadline = time.monotonic() + WAIT_S
    while True:
        queue = cloud.calls.admin("GET", path)["value"]
        if time.monotonic() > deadline or not any(m["state"] == "Invisible" for m in queue):
            return [message["body"] for message in queue]
        time.sleep(0.05)


def told(cloud: ThrowAwayCloud, name: str) -> list[tuple[str, str]]:
    """Return the feedback on a device's messages."""
    records = cloud.calls.admin("GET", "hubs/hub/messages/feedback", limit=1000)["value"]
    return [
        (record["originalMessageId"], record["statusCode"])
        for record in records
        if record["deviceId"] == name
    ]


@pytest.mark.exercises("azure-iot-device-http (npm)", "hub.https.telemetry")
def test_events_over_https_have_all_their_properties(cloud: ThrowAwayCloud, name: str) -> None:
    message = {
        "body": json.dumps({"load": 12.5}),
        "messageId": "m-1",
        "correlationId": "c",
        "userId": "u",
        "contentType": "application/json",
        "contentEncoding": "utf-8",
        "properties": {"Zone": "a & b", "dt-subject": "crane"},
    }

    run(cloud, **by_key(cloud, name), messages=[message])

    (event,) = cloud.telemetry(name)
    assert event["body"] == {"load": 12.5}
    assert event["systemProperties"] == {
        "message-id": "m-1",
        "correlation-id": "c",
        "user-id": "u",
        "content-type": "application/json",
        "content-encoding": "utf-8",
    }
    assert event["annotations"]["dt-subject"] == "crane"
    assert event["properties"] == {"zone": "a & b"}
    device = cloud.get_device(name)
    assert device["connectionState"] == "Disconnected"
    assert device["lastActivityTime"] > "2020"


@pytest.mark.exercises("azure-iot-device-http (npm)", "hub.https.telemetry")
def test_a_batch_over_https_is_stored_in_order(cloud: ThrowAwayCloud, name: str) -> None:
    messages = [
        {"body": "a", "properties": {"Key": "1", "other": "2"}},
        {"body": "größer", "properties": {}},
        {"body": "c", "properties": {"dt-subject": "crane"}},
    ]

    run(cloud, **by_key(cloud, name), messages=messages, batch=True)

    events = cloud.telemetry(name)
    assert [event["body"] for event in events] == ["a", "größer", "c"]
    assert [event["properties"] for event in events] == [{"Key": "1", "other": "2"}, {}, {}]
    assert events[2]["annotations"]["dt-subject"] == "crane"


@pytest.mark.exercises(
    "azure-iot-device-http (npm)",
    "hub.https.devicebound",
    "hub.https.complete",
    "hub.https.abandon",
)
def test_messages_over_https_are_completed_rejected_and_abandoned(
    cloud: ThrowAwayCloud, name: str
) -> None:
    options = by_key(cloud, name)
    for body in ("a", "b", "c"):
        properties = {"messageId": f"id-{body}", "correlationId": "c", "ack": "full"}
        send(cloud, name, body=body, properties={"Job": "42"}, systemProperties=properties)

    ended = run(
        cloud,
        **options,
        settle=["complete", "reject", "abandon", "complete"],
        again=True,
    )

    messages = [event for event in ended.events if event["event"] == "message"]
    assert [(message["body"], message["how"]) for message in messages] == [
        ("a", "complete"),
        ("b", "reject"),
        ("c", "abandon"),
        ("c", "complete"),
    ]
    first = messages[0]
    assert (first["messageId"], first["correlationId"]) == ("id-a", "c")
    assert first["to"] == f"/devices/{name}/messages/deviceBound"
    # This client leaves the prefix in the name.
    assert first["properties"] == {"iothub-app-job": "42"}
    refused = ended.event("refused")
    assert refused["status"] == 412
    assert json.loads(refused["body"])["Message"].startswith("ErrorCode:DeviceMessageLockLost;")
    assert waiting(cloud, name) == []
    assert told(cloud, name) == [("id-a", "Success"), ("id-b", "Rejected"), ("id-c", "Success")]


def test_a_certificate_lets_a_device_in_over_https(
    cloud: ThrowAwayCloud, name: str, tmp_path: Path
) -> None:
    device = new_device(tmp_path, name, "ec-p256")
    cloud.add_device(name, device.thumbprint)
    send(cloud, name, body="go")

    ended = run(
        cloud,
        connectionString=f"HostName={cloud.address};DeviceId={name};x509=true",
        certFile=str(device.certificate_file),
        keyFile=str(device.key_file),
        messages=[{"body": "here"}],
        settle=["complete"],
    )

    assert ended.event("message")["body"] == "go"
    assert [event["body"] for event in cloud.telemetry(name)] == ["here"]
    assert waiting(cloud, name) == []


def test_an_error_over_https_is_the_one_that_the_sdk_knows(
    cloud: ThrowAwayCloud, name: str
) -> None:
    options = by_key(cloud, name)
    wrong = options["connectionString"].replace(name, f"{name}x")
    too_large = [{"body": "x", "times": 256 * 1024 + 1}]
    for members, expected in (
        ({"messages": [{"body": "x"}], "connectionString": wrong}, "UnauthorizedError"),
        ({"messages": too_large}, "MessageTooLargeError"),
    ):
        ended = run_node("https_device.js", {**options, **members}, cloud.environment())
        assert ended.exit_status == 1
        assert ended.event("error")["name"] == expected
