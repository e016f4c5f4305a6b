"""The device API of the hubs over HTTPS, byte by byte (iothub.md 2.1 and 3.9)."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from tests.cloud.conftest import Device, MakeDevice
from tests.support.cloud import CloudThread
from tests.support.rawhttp import RawHttp, Reply

from mooring.protocol.azure.sas import format_sas_token

VERSION = "api-version=2021-04-12"
UUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}")
BATCH = "application/vnd.microsoft.iothub.json"


@pytest.fixture
def admin(cloud: CloudThread) -> Iterator[httpx.Client]:
    with cloud.api() as client:
        yield client


@pytest.fixture
def http(hub_device: Device) -> Iterator[RawHttp]:
    with hub_device.over_https() as raw:
        yield raw


def path_of(device: Device, rest: str, query: str = VERSION) -> str:
    return f"/devices/{device.name}/messages/{rest}?{query}"


def events(raw: RawHttp, device: Device, body: bytes = b"{}", **headers: str) -> Reply:
    return raw.request("POST", path_of(device, "events"), body, **headers)


def batch(raw: RawHttp, device: Device, document: Any) -> Reply:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return events(raw, device, body, Content_Type=BATCH)


def receive(raw: RawHttp, device: Device) -> Reply:
    return raw.request("GET", path_of(device, "devicebound"))


def settle(raw: RawHttp, device: Device, how: str, lock: str, name: str | None = None) -> Reply:
    base = f"/devices/{name or device.name}/messages/devicebound/{lock}"
    if how == "abandon":
        return raw.request("POST", f"{base}/abandon?{VERSION}", b"")
    return raw.request("DELETE", f"{base}?{VERSION}{'&reject' if how == 'reject' else ''}")


def lock_of(reply: Reply) -> str:
    match = re.fullmatch(r'"(.*)"', reply["etag"])
    assert match is not None
    assert UUID.fullmatch(match[1])
    return match[1]


def send(admin: httpx.Client, device: Device, body: str = "go", **message: Any) -> None:
    path = f"hubs/hub/devices/{device.name}/messages/devicebound"
    response = admin.post(path, json={"body": body, **message})
    assert response.status_code == 201, response.text


def told(admin: httpx.Client, device: Device) -> list[str]:
    shown = admin.get("hubs/hub/messages/feedback", params={"limit": 1000}).json()["value"]
    return [record["statusCode"] for record in shown if record["deviceId"] == device.name]


def assert_error(reply: Reply, status: int, name: str) -> str:
    assert reply.status == status, reply
    assert reply["content-type"] == "application/json; charset=utf-8"
    assert reply["iothub-errorcode"] == name
    document = reply.json()
    assert document.keys() == {"Message", "ExceptionMessage"}
    code, text = document["Message"].split(";", 1)
    assert code == f"ErrorCode:{name}"
    assert document["ExceptionMessage"].startswith(f"Tracking ID:{reply['x-ms-request-id']}")
    return str(text)


# -- events -------------------------------------------------------------------------------------


def test_an_event_is_stored_with_all_its_properties(
    http: RawHttp, hub_device: Device, cloud: CloudThread
) -> None:
    reply = events(
        http,
        hub_device,
        b'{"load":12.5}',
        iothub_to=f"/devices/{hub_device.name}/messages/events",
        IoTHub_MessageId="m-1",
        IoTHub_CorrelationId="c",
        IoTHub_UserId="u",
        IoTHub_Expiry="2099-01-02T03:04:05Z",
        IoTHub_Ack="full",
        iothub_contenttype="application/json",
        iothub_contentencoding="utf-8",
        iothub_interface_id="dtmi:a;1",
        dt_subject="crane",
        iothub_app_Zone="a b&c=d%41",
        iothub_app_empty="",
        Content_Type="text/plain",
        Other="x",
    )

    assert (reply.status, reply.body) == (204, b"")
    (event,) = cloud.telemetry(hub_device.name)
    assert event["body"] == {"load": 12.5}
    assert event["systemProperties"] == {
        "message-id": "m-1",
        "correlation-id": "c",
        "user-id": "u",
        "absolute-expiry-time": "2099-01-02T03:04:05Z",
        "content-type": "application/json",
        "content-encoding": "utf-8",
    }
    assert event["annotations"]["iothub-interface-id"] == "dtmi:a;1"
    assert event["annotations"]["dt-subject"] == "crane"
    assert '"type":"x509Certificate"' in event["annotations"]["iothub-connection-auth-method"]
    assert event["properties"] == {"zone": "a b&c=d%41", "empty": ""}


def test_a_header_is_read_as_utf_8_where_it_is_that(
    http: RawHttp, hub_device: Device, cloud: CloudThread
) -> None:
    head = http.format_request("POST", path_of(hub_device, "events"), b"x", iothub_app_a="VALUE")
    for value in ("größer".encode(), "größer".encode("latin-1")):
        http.send(head.replace(b"VALUE", value))
        assert http.read().status == 204

    found = cloud.telemetry(hub_device.name)
    assert [event["properties"] for event in found] == [{"a": "größer"}] * 2


def test_a_batch_is_stored_in_order(http: RawHttp, hub_device: Device, cloud: CloudThread) -> None:
    reply = batch(
        http,
        hub_device,
        [
            {"body": base64.b64encode(b"\xff").decode(), "properties": {"iothub-app-Key": "v"}},
            {"body": "plain", "base64Encoded": False, "properties": {"IoTHub-MessageId": "m"}},
            {"body": "", "properties": {"iothub-app-null": None, "dt-subject": "s", "x": "y"}},
            {},
        ],
    )

    assert (reply.status, reply.body) == (204, b"")
    found = cloud.telemetry(hub_device.name)
    assert [(event["encoding"], event["body"]) for event in found] == [
        ("base64", "/w=="),
        ("text", "plain"),
        ("text", ""),
        ("text", ""),
    ]
    assert [event["properties"] for event in found] == [{"Key": "v"}, {}, {"null": None}, {}]
    assert [event["systemProperties"] for event in found] == [
        {},
        {"message-id": "m"},
        {},
        {},
    ]
    assert found[2]["annotations"]["dt-subject"] == "s"


@pytest.mark.parametrize(
    ("document", "status", "name"),
    [
        (b"[", 400, "DeserializationError"),
        (b'{"body": ""}', 400, "DeserializationError"),
        (b"[]", 400, "DeserializationError"),
        (b"[1]", 400, "DeserializationError"),
        ([{"body": "*"}], 400, "ArgumentInvalid"),
        ([{"body": 1}], 400, "DeserializationError"),
        ([{"properties": {"iothub-app-a": 1}}], 400, "ArgumentInvalid"),
        ([{"properties": {"iothub-app-a\n": "x"}}], 400, "ArgumentInvalid"),
        ([{"body": "A" * 200_000}, {"body": "A" * 200_000}], 413, "MessageTooLarge"),
        ([{}] * 2001, 413, "MessageTooLarge"),
    ],
)
def test_a_bad_batch_stores_nothing(
    http: RawHttp, hub_device: Device, cloud: CloudThread, document: Any, status: int, name: str
) -> None:
    if isinstance(document, list):
        document = [{"body": "", "properties": {}}, *document]

    assert_error(batch(http, hub_device, document), status, name)

    assert cloud.telemetry(hub_device.name) == []


def test_events_are_bounded_at_256_kib(
    http: RawHttp, hub_device: Device, cloud: CloudThread
) -> None:
    assert events(http, hub_device, b"x" * (256 * 1024 - 4), iothub_app_a="123").status == 204
    too_much = events(http, hub_device, b"x" * (256 * 1024 - 3), iothub_app_a="123")
    assert_error(too_much, 413, "MessageTooLarge")
    assert len(cloud.telemetry(hub_device.name)) == 1
    assert_error(events(http, hub_device, b"x" * 1024 * 1025), 413, "MessageTooLarge")


# -- cloud-to-device messages ---------------------------------------------------------------------


def test_t5_over_http(http: RawHttp, hub_device: Device, admin: httpx.Client) -> None:
    send(
        admin,
        hub_device,
        properties={"job": "42"},
        systemProperties={"messageId": "c-1", "ack": "full"},
    )

    reply = receive(http, hub_device)

    assert (reply.status, reply.body) == (200, b"go")
    assert reply["content-type"] == "application/octet-stream"
    assert reply["iothub-messageid"] == "c-1"
    assert reply["iothub-to"] == f"/devices/{hub_device.name}/messages/deviceBound"
    assert reply["iothub-ack"] == "full"
    assert reply["iothub-app-job"] == "42"
    assert reply["iothub-sequencenumber"] == "1"
    assert reply["iothub-deliverycount"] == "0"
    assert reply["iothub-enqueuedtime"].endswith("Z")
    lock = lock_of(reply)
    assert receive(http, hub_device).status == 204
    done = settle(http, hub_device, "complete", lock)
    assert (done.status, done.body) == (204, b"")
    assert_error(settle(http, hub_device, "complete", lock), 412, "DeviceMessageLockLost")
    assert told(admin, hub_device) == ["Success"]


def test_all_properties_come_as_headers(
    http: RawHttp, hub_device: Device, admin: httpx.Client
) -> None:
    send(
        admin,
        hub_device,
        properties={"null": None, "empty": "", "a": "größer & x", "p": "100%"},
        systemProperties={
            "messageId": "m",
            "correlationId": "c",
            "userId": "u",
            "contentType": "text/plain",
            "contentEncoding": "utf-8",
            "expiryTimeUtc": "2099-01-02T03:04:05Z",
        },
    )

    reply = receive(http, hub_device)

    assert reply["iothub-correlationid"] == "c"
    assert reply["iothub-userid"] == "u"
    assert reply["iothub-contenttype"] == "text/plain"
    assert reply["iothub-contentencoding"] == "utf-8"
    assert reply["iothub-expiry"] == "2099-01-02T03:04:05.0000000Z"
    assert reply["iothub-app-null"] == reply["iothub-app-empty"] == ""
    assert reply["iothub-app-a"] == "gr%C3%B6%C3%9Fer & x"
    assert reply["iothub-app-p"] == "100%"
    assert "iothub-ack" not in reply


def test_what_is_abandoned_comes_again_counted(
    http: RawHttp, hub_device: Device, admin: httpx.Client
) -> None:
    send(admin, hub_device, "a")
    send(admin, hub_device, "b")
    lock = lock_of(receive(http, hub_device))
    assert settle(http, hub_device, "abandon", lock).status == 204

    again = receive(http, hub_device)

    assert (again.body, again["iothub-deliverycount"]) == (b"a", "1")
    assert lock_of(again) != lock
    assert_error(settle(http, hub_device, "abandon", lock), 412, "DeviceMessageLockLost")


@pytest.mark.parametrize("query", ["&reject", "&reject=", "&reject=true", "&Reject"])
def test_what_is_rejected_is_dead_lettered(
    http: RawHttp, hub_device: Device, admin: httpx.Client, query: str
) -> None:
    send(admin, hub_device, systemProperties={"ack": "negative"})
    lock = lock_of(receive(http, hub_device))

    path = path_of(hub_device, f"deviceBound/{lock}", VERSION + query)
    assert http.request("DELETE", path).status == 204

    assert told(admin, hub_device) == ["Rejected"]


def test_a_lock_ends_after_a_minute(
    http: RawHttp, hub_device: Device, admin: httpx.Client, cloud: CloudThread
) -> None:
    send(admin, hub_device)
    lock = lock_of(receive(http, hub_device))
    cloud.pass_time(60)
    again = receive(http, hub_device)
    assert (again.status, again["iothub-deliverycount"]) == (200, "0")
    assert_error(settle(http, hub_device, "complete", lock), 412, "DeviceMessageLockLost")


def test_a_device_settles_its_own_messages_only(
    http: RawHttp,
    hub_device: Device,
    admin: httpx.Client,
    cloud: CloudThread,
    make_device: MakeDevice,
) -> None:
    other = make_device()
    cloud.add_device(other.name, other.thumbprint)
    send(admin, hub_device)
    lock = lock_of(receive(http, hub_device))
    with other.over_https() as raw:
        assert receive(raw, other).status == 204
        for how in ("complete", "reject", "abandon"):
            assert_error(settle(raw, other, how, lock), 412, "DeviceMessageLockLost")
            mine = settle(raw, other, how, lock, hub_device.name)
            assert_error(mine, 401, "IotHubUnauthorized")
    assert settle(http, hub_device, "complete", lock).status == 204


# -- who gets in ----------------------------------------------------------------------------------


def test_a_device_is_told_nothing_and_recorded_when_it_is_refused(
    cloud: CloudThread, make_device: MakeDevice
) -> None:
    device = make_device()
    with device.over_https() as raw:
        unknown = events(raw, device, User_Agent="tester")
        assert_error(unknown, 401, "IotHubUnauthorized")
        assert unknown["www-authenticate"].startswith("SharedAccessSignature")
        cloud.add_device(device.name, "AB" * 32)
        pinned = receive(raw, device)
        assert unknown.json()["Message"] == pinned.json()["Message"]

    newest, oldest = device.hub_attempts()
    assert newest["failure"]["code"] == "thumbprint-mismatch"
    assert newest["wire_ids"]["trackingId"] == [pinned["x-ms-request-id"]]
    assert oldest["failure"]["code"] == "unknown-device"
    assert oldest["kind"] == "hub-connection"
    assert oldest["context"]["transport"] == "https"
    assert oldest["context"]["client"] == "tester"
    assert [stage["name"] for stage in oldest["stages"]] == ["tls", "hub", "identity"]


def test_without_any_proof_it_is_unauthorized_access(
    hub_device: Device, make_device: MakeDevice
) -> None:
    stranger = make_device(certificate=False)
    with stranger.over_https() as raw:
        assert_error(receive(raw, hub_device), 401, "IotHubUnauthorizedAccess")


def test_a_disabled_device_is_refused_403(hub_device: Device, cloud: CloudThread) -> None:
    document = {
        "status": "disabled",
        "authentication": {"x509Thumbprint": {"primaryThumbprint": hub_device.thumbprint}},
    }
    with hub_device.over_https() as raw, cloud.api() as admin:
        path = f"hubs/hub/devices/{hub_device.name}"
        assert admin.put(path, json=document, headers={"If-Match": "*"}).status_code == 200
        assert_error(events(raw, hub_device), 403, "DeviceDisabled")


def test_a_token_of_the_device_opens_its_own_paths(
    cloud: CloudThread, make_device: MakeDevice, admin: httpx.Client
) -> None:
    device, other = make_device(certificate=False), make_device(certificate=False)
    tokens = {}
    for item in (device, other):
        made = admin.put(f"hubs/hub/devices/{item.name}", json={}).json()
        key = base64.b64decode(made["authentication"]["symmetricKey"]["secondaryKey"])
        tokens[item.name] = format_sas_token(
            f"{cloud.address}/devices/{item.name}",
            key,
            expires_at=datetime.now(UTC) + timedelta(hours=1),
        )
    with device.over_https() as raw:
        token = tokens[device.name]
        assert events(raw, device, b"x", Authorization=token).status == 204
        got = raw.request("GET", path_of(device, "devicebound"), Authorization=token)
        assert got.status == 204
        for wrong in (tokens[other.name], token[:-1] + "x", "Bearer x", ""):
            assert_error(events(raw, device, b"x", Authorization=wrong), 401, "IotHubUnauthorized")
        assert_error(events(raw, other, b"x", Authorization=token), 401, "IotHubUnauthorized")
    assert len(cloud.telemetry(device.name)) == 1


def test_activity_moves_and_the_device_is_not_connected(
    http: RawHttp, hub_device: Device, cloud: CloudThread
) -> None:
    before = cloud.get_device(hub_device.name)
    assert before["lastActivityTime"] == "0001-01-01T00:00:00Z"

    assert receive(http, hub_device).status == 204

    after = cloud.get_device(hub_device.name)
    assert after["lastActivityTime"] > "2020"
    assert after["connectionState"] == "Disconnected"
    assert hub_device.hub_attempts() == []


def test_another_host_is_no_hub(http: RawHttp, hub_device: Device) -> None:
    http.host = "other.example.net"
    assert_error(receive(http, hub_device), 401, "IotHubNotFound")


# -- paths ----------------------------------------------------------------------------------------


def test_paths_and_methods_that_are_not_there(http: RawHttp, hub_device: Device) -> None:
    wrong = http.request("PUT", path_of(hub_device, "devicebound"), b"")
    assert_error(wrong, 405, "MethodNotAllowed")
    assert wrong["allow"] == "GET"
    for rest in ("nothing", "devicebound/a/b", "events/x"):
        assert_error(http.request("GET", path_of(hub_device, rest)), 404, "NotFound")
    assert_error(
        http.request("GET", path_of(hub_device, "devicebound", "")), 400, "InvalidProtocolVersion"
    )


def test_an_id_is_percent_decoded_once(cloud: CloudThread, make_device: MakeDevice) -> None:
    device = make_device("a%2Bb#?")
    cloud.add_device(device.name, device.thumbprint)
    with device.over_https() as raw:
        path = f"/devices/a%252Bb%23%3F/messages/events?{VERSION}"
        assert raw.request("POST", path, b"x").status == 204
        path = f"/devices/a%2Bb%23%3F/messages/events?{VERSION}"
        assert_error(raw.request("POST", path, b"x"), 401, "IotHubUnauthorized")
        path = f"/devices/a%2Fmessages%2Fevents/messages/events?{VERSION}"
        assert_error(raw.request("POST", path, b"x"), 400, "ArgumentInvalid")
    assert len(cloud.telemetry(device.name)) == 1
