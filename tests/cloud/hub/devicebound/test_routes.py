"""Sending, looking, purging and feedback by the admin API and by the hub's service API."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.support.cloud import CloudThread
from tests.support.hub_api import HubClient, hub_client, registry_error


@pytest.fixture
def admin(cloud: CloudThread) -> Iterator[httpx.Client]:
    with cloud.api() as client:
        yield client


@pytest.fixture
def api(cloud: CloudThread) -> Iterator[HubClient]:
    with hub_client(cloud) as client:
        yield client


@pytest.fixture
def name(api: HubClient) -> str:
    name = f"dev{secrets.token_hex(4)}"
    api.created(name)
    return name


def queue_of(name: str) -> str:
    return f"hubs/hub/devices/{name}/messages/devicebound"


def send(admin: httpx.Client, name: str, **message: Any) -> dict[str, Any]:
    response = admin.post(queue_of(name), json=message)
    assert response.status_code == 201, response.text
    document: dict[str, Any] = response.json()
    return document


def listed(admin: httpx.Client, name: str) -> list[dict[str, Any]]:
    return list(admin.get(queue_of(name)).json()["value"])


def test_what_is_sent_is_in_the_queue(admin: httpx.Client, name: str) -> None:
    sent = send(
        admin,
        name,
        body={"rate": 5},
        properties={"job": "42", "flag": None},
        systemProperties={
            "messageId": "c-1",
            "contentType": "application/json",
            "expiryTimeUtc": "2099-01-02T03:04:05Z",
            "ack": "full",
        },
    )

    assert sent == {"messageId": "c-1", "sequenceNumber": 1}
    (message,) = listed(admin, name)
    assert message.pop("enqueuedTimeUtc") > "2020"
    assert message == {
        "sequenceNumber": 1,
        "state": "Enqueued",
        "expiryTimeUtc": "2099-01-02T03:04:05.0000000Z",
        "deliveryCount": 0,
        "ack": "full",
        "systemProperties": {
            "message-id": "c-1",
            "to": f"/devices/{name}/messages/deviceBound",
            "absolute-expiry-time": "2099-01-02T03:04:05.0000000Z",
            "content-type": "application/json",
        },
        "properties": {"iothub-ack": "full", "job": "42", "flag": None},
        "encoding": "json",
        "body": {"rate": 5},
    }


@pytest.mark.parametrize(
    ("members", "encoding", "body"),
    [
        ({}, "text", ""),
        ({"body": "größer"}, "text", "größer"),
        ({"body": None}, "text", "null"),
        ({"body": [1, "a"]}, "json", [1, "a"]),
        (
            {"bodyBase64": base64.b64encode(b"\xff\x00").decode()},
            "base64",
            base64.b64encode(b"\xff\x00").decode(),
        ),
    ],
)
def test_a_body_may_be_text_json_or_bytes(
    admin: httpx.Client, name: str, members: dict[str, Any], encoding: str, body: Any
) -> None:
    sent = send(admin, name, **members)

    assert len(sent["messageId"]) == 36
    (message,) = listed(admin, name)
    assert (message["encoding"], message["body"]) == (encoding, body)


@pytest.mark.parametrize(
    ("message", "status", "code", "field"),
    [
        ({"body": "a", "bodyBase64": "YQ=="}, 400, "input-invalid", "body"),
        ({"bodyBase64": "*"}, 400, "input-invalid", "bodyBase64"),
        ({"bodi": "a"}, 400, "input-invalid", "bodi"),
        ({"systemProperties": {"ack": "some"}}, 400, "input-invalid", "systemProperties.ack"),
        ({"systemProperties": {"to": "x"}}, 400, "input-invalid", "systemProperties.to"),
        ({"properties": {"$.to": "x"}}, 400, "input-invalid", "properties.$.to"),
        (
            {"systemProperties": {"expiryTimeUtc": "soon"}},
            400,
            "timestamp-malformed",
            "systemProperties.expiryTimeUtc",
        ),
        (
            {"systemProperties": {"expiryTimeUtc": "2020-01-01T00:00:00Z"}},
            403,
            "expiry-in-past",
            "expiryTimeUtc",
        ),
        ({"body": "x" * 65536}, 413, "message-too-large", "body"),
    ],
)
def test_a_bad_message_is_refused(
    admin: httpx.Client, name: str, message: dict[str, Any], status: int, code: str, field: str
) -> None:
    response = admin.post(queue_of(name), json=message)

    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert (error["code"], error["field"]) == (code, field)
    assert error["remedy"]
    assert listed(admin, name) == []


def test_a_device_that_is_not_there_has_no_queue(admin: httpx.Client, api: HubClient) -> None:
    for response in (
        admin.post(queue_of("nobody"), json={}),
        admin.get(queue_of("nobody")),
        admin.delete(queue_of("nobody")),
    ):
        assert response.status_code == 404
        assert response.json()["error"]["code"] == "device-not-found"
    registry_error(api.call("DELETE", "/devices/nobody/commands"), 404, "DeviceNotFound")


def test_the_count_is_shown_wherever_the_device_is(
    admin: httpx.Client, api: HubClient, name: str
) -> None:
    for _ in range(3):
        send(admin, name)

    device = f"hubs/hub/devices/{name}"
    assert admin.get(device).json()["cloudToDeviceMessageCount"] == 3
    shown = admin.get("hubs/hub/devices").json()["value"]
    assert [d["cloudToDeviceMessageCount"] for d in shown if d["deviceId"] == name] == [3]
    assert api.got("GET", f"/devices/{name}")["cloudToDeviceMessageCount"] == 3
    shown = api.got("GET", "/devices")
    assert [d["cloudToDeviceMessageCount"] for d in shown if d["deviceId"] == name] == [3]
    changed = api.got("PUT", f"/devices/{name}", {"status": "disabled"}, if_match="*")
    assert changed["cloudToDeviceMessageCount"] == 3


def test_the_fifty_first_message_is_refused(admin: httpx.Client, name: str) -> None:
    for _ in range(50):
        send(admin, name)

    refused = admin.post(queue_of(name), json={})

    assert refused.status_code == 403
    assert refused.json()["error"]["code"] == "queue-full"


def test_a_back_end_purges_and_is_told(admin: httpx.Client, api: HubClient, name: str) -> None:
    assert api.call("GET", "/messages/serviceBound/feedback").status_code == 204
    for start, count in ((0, 50), (50, 14)):
        for number in range(start, start + count):
            send(admin, name, systemProperties={"messageId": str(number), "ack": "negative"})
        assert api.got("DELETE", f"/devices/{name}/commands") == {
            "totalMessagesPurged": count,
            "deviceId": name,
            "moduleId": None,
        }
    shown = admin.get("hubs/hub/messages/feedback", params={"limit": 2}).json()["value"]
    assert [record["originalMessageId"] for record in shown] == ["0", "1"]

    first = api.call("GET", "/messages/serviceBound/feedback")

    assert first.status_code == 200
    assert first.headers["content-type"] == "application/vnd.microsoft.iothub.feedback.json"
    records = first.json()
    assert [record["originalMessageId"] for record in records] == [str(n) for n in range(64)]
    record = records[0]
    assert record.pop("enqueuedTimeUtc") > "2020"
    assert record.pop("deviceGenerationId").isdecimal()
    assert record == {
        "originalMessageId": "0",
        "statusCode": "Purged",
        "description": "Purged",
        "deviceId": name,
    }
    assert api.call("GET", "/messages/serviceBound/feedback").status_code == 204

    lock = first.headers["etag"].strip('"')
    abandoned = api.call("POST", f"/messages/serviceBound/feedback/{lock}/abandon")
    assert (abandoned.status_code, abandoned.content) == (204, b"")
    stale = api.call("DELETE", f"/messages/serviceBound/feedback/{lock}")
    registry_error(stale, 412, "DeviceMessageLockLost")

    again = api.call("GET", "/messages/serviceBound/feedback")
    assert again.headers["iothub-deliverycount"] == "1"
    lock = again.headers["etag"].strip('"')
    assert api.call("DELETE", f"/messages/serviceBound/feedback/{lock}").status_code == 204
    assert admin.get("hubs/hub/messages/feedback").json() == {"value": []}


def test_only_service_connect_opens_messages(cloud: CloudThread, name: str) -> None:
    with hub_client(cloud, "") as stranger:
        for method, path in (
            ("DELETE", f"/devices/{name}/commands"),
            ("GET", "/messages/serviceBound/feedback"),
            ("DELETE", "/messages/serviceBound/feedback/x"),
            ("POST", "/messages/serviceBound/feedback/x/abandon"),
        ):
            registry_error(stranger.call(method, path), 401, "IotHubUnauthorizedAccess")


def test_an_operator_purges(admin: httpx.Client, name: str) -> None:
    send(admin, name)

    assert admin.delete(queue_of(name)).json() == {"totalMessagesPurged": 1, "deviceId": name}
    assert listed(admin, name) == []
