"""Quotas and throttles on the wire, each rehearsed with a limit of a few."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.cloud.conftest import OVER_BOTH_CARRIERS, Device, MakeDevice
from tests.support.cloud import CloudThread
from tests.support.hub_api import HubClient, hub_client, registry_error, twin_error
from tests.support.rawmqtt import (
    PINGREQ,
    PINGRESP,
    PUBACK,
    PUBLISH,
    ConnectionEnded,
    RawMqtt,
    packet,
)

from mooring.cloud.hub.settings.documents import settings_to_json
from mooring.cloud.hub.settings.model import DEFAULT_SETTINGS
from mooring.cloud.hub.throttling import service as throttling
from mooring.cloud.hub.throttling.model import HubLimit

pytestmark = OVER_BOTH_CARRIERS

VERSION = "api-version=2021-04-12"
RESPONSES = "$iothub/twin/res/#"
GET = "$iothub/twin/GET/?$rid="
PATCH = "$iothub/twin/PATCH/properties/reported/?$rid="

Throttle = Callable[..., None]


@pytest.fixture(scope="module")
def api(cloud: CloudThread) -> Iterator[HubClient]:
    with hub_client(cloud) as client:
        yield client


@pytest.fixture
def throttle(cloud: CloudThread, hub_device: Device) -> Iterator[Throttle]:
    """Return what sets limits for the test; the device is there already, at no cost."""

    def change(settings: dict[str, Any]) -> None:
        with cloud.api() as admin:
            answer = admin.patch("hubs/hub/settings", json=settings)
            assert answer.status_code == 200, answer.text

    def set_limits(*, sku: str = "S1", **limits: int) -> None:
        change({"throttling": "azure", "sku": {"name": sku}, "limits": limits})

    yield set_limits
    change(
        {
            **settings_to_json(DEFAULT_SETTINGS),
            "limits": {limit.value: None for limit in HubLimit},
        }
    )
    # What was counted as messages of the day is forgotten, as after a restart.
    assert cloud.application is not None
    cloud.application.hub.throttling.of(cloud.application.hub.hubs.get("hub"))._blocks = 0


def quotas(cloud: CloudThread) -> Any:
    return cloud.get("hubs/hub/quotas")


def topic(device: Device, properties: str = "") -> str:
    return f"devices/{device.name}/messages/events/{properties}"


def burst(device: Device, count: int, *, first: int = 1) -> bytes:
    """Return `count` messages with bodies and ids from `first` on, to be sent at once."""
    return b"".join(
        RawMqtt.format_publish(topic(device), str(number).encode(), packet_id=number)
        for number in range(first, first + count)
    )


def stored(cloud: CloudThread, device: Device) -> list[str]:
    return [str(event["body"]) for event in cloud.telemetry(device.name)]


def ended_by(device: Device) -> dict[str, Any]:
    """Return why the hub ended the device's last session."""
    deadline = time.monotonic() + 10
    while not (found := device.hub_attempts(result="failed")):
        assert time.monotonic() < deadline, "no failed attempt was recorded"
        time.sleep(0.02)
    failure: dict[str, Any] = found[0]["failure"]
    return failure


def acknowledged_until_end(raw: RawMqtt) -> list[int]:
    ids = []
    try:
        while True:
            ids.append(raw.expect(PUBACK).packet_id)
    except ConnectionEnded:
        return ids


# -- telemetry over MQTT ---------------------------------------------------------------------------


def test_telemetry_over_the_rate_waits_its_turn_and_all_of_it_arrives(
    cloud: CloudThread, hub_device: Device, throttle: Throttle
) -> None:
    throttle(deviceToCloudSends=20)
    with hub_device.at_hub() as raw:
        begun = time.monotonic()
        raw.send(burst(hub_device, 40) + packet(PINGREQ, 0, b""))
        came = [raw.read() for _ in range(41)]
        took_s = time.monotonic() - begun
        acknowledged = [each.packet_id for each in came if each.kind == PUBACK]
        assert acknowledged == list(range(1, 41))
        # In its turn, behind what it was sent behind: at most the last commit is under way.
        assert [each.kind for each in came].index(PINGRESP) >= 39
        # The twenty of the burst at once, the others at 20 a second.
        assert took_s > 0.9
        raw.disconnect()

    assert stored(cloud, hub_device) == [str(number) for number in range(1, 41)]
    rate = quotas(cloud)["rates"]["deviceToCloudSends"]
    assert (rate["limit"], rate["windowSeconds"], rate["refused"]) == (20, 1, 0)
    assert rate["counted"] >= 40
    assert rate["delayed"] >= 19


def test_device_that_sends_on_while_it_waits_is_read_no_further(
    cloud: CloudThread, hub_device: Device, throttle: Throttle
) -> None:
    throttle(deviceToCloudSends=20)
    with hub_device.at_hub() as raw:
        for first in range(1, 41, 8):  # in reads of their own
            raw.send(burst(hub_device, 8, first=first))
            time.sleep(0.02)
        assert [raw.expect(PUBACK).packet_id for _ in range(40)] == list(range(1, 41))
    assert stored(cloud, hub_device) == [str(number) for number in range(1, 41)]


def test_device_that_waits_is_not_taken_for_silent(
    cloud: CloudThread, hub_device: Device, throttle: Throttle
) -> None:
    throttle(deviceToCloudSends=2)
    with hub_device.at_hub(keep_alive_s=10) as raw:
        raw.send(burst(hub_device, 5))
        assert [raw.expect(PUBACK).packet_id for _ in range(3)] == [1, 2, 3]
        cloud.pass_time(16)  # one and a half times the keep-alive
        assert [raw.expect(PUBACK).packet_id for _ in range(2)] == [4, 5]
        raw.send(packet(PINGREQ, 0, b""))
        raw.expect(PINGRESP)


def test_throttling_switched_off_meanwhile_lets_all_pass(
    cloud: CloudThread, hub_device: Device, throttle: Throttle
) -> None:
    throttle(deviceToCloudSends=1)
    with hub_device.at_hub() as raw:
        raw.send(burst(hub_device, 15))
        raw.expect(PUBACK)
        with cloud.api() as admin:
            admin.patch("hubs/hub/settings", json={"throttling": "off"})
        begun = time.monotonic()
        assert [raw.expect(PUBACK).packet_id for _ in range(14)] == list(range(2, 16))
        assert time.monotonic() - begun < 8  # 14 s at the rate


def test_full_queue_ends_the_connection_and_loses_nothing_acknowledged(
    cloud: CloudThread,
    hub_device: Device,
    throttle: Throttle,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(throttling, "LONGEST_WAIT_S", 0.1)
    throttle(deviceToCloudSends=5)
    with hub_device.at_hub() as raw:
        raw.send(burst(hub_device, 50))
        acknowledged = acknowledged_until_end(raw)
    assert acknowledged == [1, 2, 3, 4, 5]
    assert stored(cloud, hub_device) == ["1", "2", "3", "4", "5"]
    failure = ended_by(hub_device)
    assert failure["code"] == "throttle-backlog-full"
    assert "429002" in failure["cause"]


def test_connection_that_breaks_while_messages_wait_ends_cleanly(
    cloud: CloudThread, hub_device: Device, throttle: Throttle
) -> None:
    throttle(deviceToCloudSends=2)
    with hub_device.at_hub() as raw:
        raw.send(burst(hub_device, 12))
        raw.expect(PUBACK)
    with hub_device.at_hub() as raw:  # takes over
        raw.publish(topic(hub_device), b"again", packet_id=1)
        assert raw.expect(PUBACK).packet_id == 1
    found = stored(cloud, hub_device)
    assert found[:1] == ["1"]
    assert found[-1] == "again"


# -- requests ------------------------------------------------------------------------------------


def test_telemetry_over_https_beyond_the_rate_is_answered_429(
    cloud: CloudThread, hub_device: Device, throttle: Throttle
) -> None:
    throttle(deviceToCloudSends=2)
    path = f"/devices/{hub_device.name}/messages/events?{VERSION}"
    with hub_device.over_https() as raw:
        batch = json.dumps([{"body": "e30="}] * 12).encode()
        media = "application/vnd.microsoft.iothub.json"
        # A batch larger than the bucket passes when it is full, and is made up for.
        assert raw.request("POST", path, batch, Content_Type=media).status == 204
        reply = raw.request("POST", path, b"{}")
    assert reply.status == 429
    assert 4 <= int(reply["retry-after"]) <= 6
    assert reply["iothub-errorcode"] == "ThrottlingException"
    assert reply.json()["Message"].startswith("ErrorCode:ThrottlingException;")
    assert len(stored(cloud, hub_device)) == 12


def test_receiving_over_https_beyond_the_rate_is_answered_429(
    hub_device: Device, throttle: Throttle
) -> None:
    throttle(cloudToDeviceReceives=1)
    path = f"/devices/{hub_device.name}/messages/devicebound?{VERSION}"
    with hub_device.over_https() as raw:
        assert raw.request("GET", path).status == 204
        reply = raw.request("GET", path)
    assert (reply.status, reply["retry-after"]) == (429, "60")


def test_connect_beyond_the_rate_is_refused_3_and_disturbs_nobody(
    cloud: CloudThread, hub_device: Device, make_device: MakeDevice, throttle: Throttle
) -> None:
    stranger = make_device()
    throttle(deviceConnections=1)
    for _ in range(2):
        with stranger.dial() as raw:  # takes nothing from the hub's devices
            assert raw.connect(stranger.name, stranger.hub_user_name) == 5
    with hub_device.at_hub() as older:
        code = 0
        for _ in range(3):  # a second may pass between two of them
            with hub_device.dial() as raw:
                code = code or raw.connect(hub_device.name, hub_device.hub_user_name)
                if code:
                    break
                older.close()
        assert code == 3
        failure = ended_by(hub_device)
        assert failure["code"] == "throttled"
        assert failure["stage"] == "throttling"
        assert failure["cause"].startswith("429001")


def test_refused_connect_leaves_the_older_connection(
    cloud: CloudThread, hub_device: Device, throttle: Throttle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(throttling.WINDOWS_S, HubLimit.DEVICE_CONNECTIONS, 600)
    throttle(deviceConnections=1)
    with hub_device.at_hub() as older, hub_device.dial() as raw:
        assert raw.connect(hub_device.name, hub_device.hub_user_name) == 3
        older.send(packet(PINGREQ, 0, b""))
        older.expect(PINGRESP)


def test_twin_requests_over_mqtt_beyond_the_rate_are_answered_429(
    cloud: CloudThread, hub_device: Device, throttle: Throttle, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in (HubLimit.TWIN_READS, HubLimit.TWIN_UPDATES):
        monkeypatch.setitem(throttling.WINDOWS_S, limit, 600)
    throttle(twinReads=2, twinUpdates=1)
    with hub_device.at_hub() as raw:
        raw.subscribe(RESPONSES)

        def ask(request: str, body: bytes = b"") -> tuple[str, bytes]:
            raw.publish(request, body, packet_id=None)
            answer = raw.expect(PUBLISH)
            return answer.topic, answer.payload

        assert ask(GET + "1")[0] == "$iothub/twin/res/200/?$rid=1"
        assert ask(GET + "2")[0] == "$iothub/twin/res/200/?$rid=2"
        assert ask(PATCH + "3", b"{}")[0].startswith("$iothub/twin/res/204/?$rid=3&$version=")
        for rid, request in (("4", GET), ("5", PATCH)):
            response, body = ask(request + rid, b"{}")
            assert response == f"$iothub/twin/res/429/?$rid={rid}"
            assert json.loads(body)["errorCode"] == 429001
    assert quotas(cloud)["rates"]["twinUpdates"]["refused"] == 1


def test_service_operations_beyond_their_rates_are_answered_429_in_the_hubs_shapes(
    api: HubClient, hub_device: Device, throttle: Throttle, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in HubLimit:
        if limit in throttling.WINDOWS_S:
            monkeypatch.setitem(throttling.WINDOWS_S, limit, 120)
    throttle(registryOperations=1, queries=1, twinReads=1, twinUpdates=1, directMethodKilobytes=4)
    device, twin = f"/devices/{hub_device.name}", f"/twins/{hub_device.name}"
    query = {"query": "SELECT * FROM devices"}
    patch: dict[str, Any] = {"tags": {"a": 1}}
    call = {"methodName": "lift", "payload": 1}

    assert api.call("GET", device).status_code == 200
    refused = api.call("GET", device)
    assert "hub limit of 1 within 120 s" in registry_error(refused, 429, "ThrottlingException")
    assert 100 < int(refused.headers["retry-after"]) <= 120
    for method in ("PUT", "DELETE"):
        assert api.call(method, device, {}).status_code == 429
    bulk = api.call("POST", "/devices", [{"id": "x", "importMode": "create"}])
    registry_error(bulk, 429, "ThrottlingException")

    assert api.call("POST", "/devices/query", query).status_code == 200
    registry_error(api.call("POST", "/devices/query", query), 429, "ThrottlingException")
    assert api.call("GET", twin).status_code == 200
    twin_error(api.call("GET", twin), 429, "ThrottlingException", 429001)
    assert api.call("PATCH", twin, patch).status_code == 200
    twin_error(api.call("PUT", twin, patch), 429, "ThrottlingException", 429001)
    assert api.call("POST", f"{twin}/methods", call).status_code == 404  # not connected
    twin_error(api.call("POST", f"{twin}/methods", call), 429, "ThrottlingException", 429001)


def test_sending_to_devices_beyond_the_rate_is_answered_429(
    cloud: CloudThread, hub_device: Device, throttle: Throttle
) -> None:
    throttle(cloudToDeviceSends=1)
    path = f"hubs/hub/devices/{hub_device.name}/messages/devicebound"
    with cloud.api() as admin:
        assert admin.post(path, json={"body": "go"}).status_code == 201
        refused = admin.post(path, json={"body": "go"})
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "60")
    assert refused.json()["error"]["code"] == "throttled"


def test_token_is_looked_at_before_anything_is_counted(
    cloud: CloudThread, api: HubClient, hub_device: Device, throttle: Throttle
) -> None:
    throttle(registryOperations=1)
    with hub_client(cloud, "Bearer nobody") as stranger:
        for _ in range(3):
            assert stranger.call("GET", f"/devices/{hub_device.name}").status_code == 401
    assert api.call("GET", f"/devices/{hub_device.name}").status_code == 200


# -- messages of the day, tiers --------------------------------------------------------------------


def test_used_up_quota_ends_mqtt_telemetry_with_a_reason_and_is_403_elsewhere(
    cloud: CloudThread, api: HubClient, hub_device: Device, throttle: Throttle
) -> None:
    throttle(messagesPerDay=4)
    with hub_device.at_hub() as raw:
        raw.publish(topic(hub_device), bytes(5000), packet_id=1)  # two blocks of 4 KB
        assert raw.expect(PUBACK).packet_id == 1
        raw.send(burst(hub_device, 5, first=2))
        assert acknowledged_until_end(raw) == [2, 3]
    failure = ended_by(hub_device)
    assert failure["code"] == "quota-exceeded"
    assert "403002" in failure["cause"]
    assert len(stored(cloud, hub_device)) == 3

    shown = quotas(cloud)["messagesPerDay"]
    assert (shown["limit"], shown["used"]) == (4, 4)
    twin = f"/twins/{hub_device.name}"
    twin_error(api.call("GET", twin), 403, "IotHubQuotaExceeded", 403002)
    with hub_device.over_https() as https:
        path = f"/devices/{hub_device.name}/messages/events?{VERSION}"
        assert https.request("POST", path, b"{}")["iothub-errorcode"] == "IotHubQuotaExceeded"
    assert api.call("GET", f"/devices/{hub_device.name}").status_code == 200  # free of charge
    with hub_device.at_hub() as raw:  # may connect, and is told
        raw.subscribe(RESPONSES)
        raw.publish(GET + "1", b"", packet_id=None)
        assert raw.expect(PUBLISH).topic == "$iothub/twin/res/403/?$rid=1"


def test_basic_tier_refuses_what_it_has_not_with_403010(
    api: HubClient, hub_device: Device, throttle: Throttle
) -> None:
    throttle(sku="B1")
    name, twin = "OperationNotAvailableInCurrentTier", f"/twins/{hub_device.name}"
    twin_error(api.call("GET", twin), 403, name, 403010)
    twin_error(api.call("POST", f"{twin}/methods", {"methodName": "m"}), 403, name, 403010)
    registry_error(api.call("GET", "/messages/serviceBound/feedback"), 403, name)
    registry_error(api.call("DELETE", f"/devices/{hub_device.name}/commands"), 403, name)
    with hub_device.over_https() as https:
        path = f"/devices/{hub_device.name}/messages/devicebound?{VERSION}"
        assert https.request("GET", path)["iothub-errorcode"] == name
    with hub_device.at_hub() as raw:
        raw.subscribe(RESPONSES)
        raw.publish(GET + "1", b"", packet_id=None)
        answer = raw.expect(PUBLISH)
        assert answer.topic == "$iothub/twin/res/403/?$rid=1"
        assert json.loads(answer.payload)["errorCode"] == 403010
        raw.publish(topic(hub_device), b"{}", packet_id=1)
        raw.expect(PUBACK)
    assert api.call("GET", f"/devices/{hub_device.name}").status_code == 200


def test_free_hub_takes_no_more_devices_than_its_limit(
    api: HubClient, hub_device: Device, throttle: Throttle
) -> None:
    throttle(devices=1)
    registry_error(api.call("PUT", "/devices/onemore", {}), 413, "TooManyDevices")
