"""Twins as bytes on a real TLS socket: vector T3 of iothub.md, order, refusals, notifications."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tests.cloud.conftest import OVER_BOTH_CARRIERS, Device, MakeDevice
from tests.support.cloud import CloudThread
from tests.support.hub_api import HubClient, hub_client
from tests.support.rawmqtt import PINGREQ, PINGRESP, PUBACK, PUBLISH, Packet, RawMqtt, packet

from mooring.cloud.hub.mqtt import twins as mqtt_twins

pytestmark = OVER_BOTH_CARRIERS

RESPONSES = "$iothub/twin/res/#"
DESIRED = "$iothub/twin/PATCH/properties/desired/#"
GET = "$iothub/twin/GET/?$rid="
PATCH = "$iothub/twin/PATCH/properties/reported/?$rid="


@pytest.fixture(scope="module")
def api(cloud: CloudThread) -> Iterator[HubClient]:
    """Return a client of the service API."""
    with hub_client(cloud) as client:
        yield client


def ask(raw: RawMqtt, topic: str, body: bytes = b"") -> tuple[str, bytes]:
    """Publish a request, and return topic and body of the response."""
    raw.publish(topic, body, packet_id=None)
    return told(raw)


def told(raw: RawMqtt) -> tuple[str, bytes]:
    """Return topic and body of the next message, which must be of QoS 0."""
    message = raw.expect(PUBLISH)
    assert message.flags == 0
    return message.topic, message.payload


def nothing_came(raw: RawMqtt) -> None:
    """Check that nothing is under way to the device."""
    raw.send(packet(PINGREQ, 0, b""))
    raw.expect(PINGRESP)


def test_t3_twin(api: HubClient, hub_device: Device) -> None:
    path = f"/twins/{hub_device.name}"
    api.got("PATCH", path, {"properties": {"desired": {"rate": 5}}})
    with hub_device.at_hub() as raw:
        raw.subscribe(RESPONSES)
        raw.subscribe(DESIRED)

        assert ask(raw, GET + "9") == (
            "$iothub/twin/res/200/?$rid=9",
            b'{"desired":{"rate":5,"$version":2},"reported":{"$version":1}}',
        )
        assert ask(raw, PATCH + "10", b'{"fw":"1.4","net":{"rssi":-61}}') == (
            "$iothub/twin/res/204/?$rid=10&$version=2",
            b"",
        )
        assert ask(raw, PATCH + "11", b'{"net":null}') == (
            "$iothub/twin/res/204/?$rid=11&$version=3",
            b"",
        )
        topic, body = ask(raw, PATCH + "12", b'{"bad.key":1}')
        assert topic == "$iothub/twin/res/400/?$rid=12"
        error = json.loads(body)
        assert list(error) == ["errorCode", "trackingId", "message", "timestampUtc"]
        assert error["errorCode"] == 400004
        assert "bad.key" in error["message"]
        twin = api.got("PATCH", path, {"properties": {"desired": {"rate": 7, "old": None}}})
        assert told(raw) == (
            "$iothub/twin/PATCH/properties/desired/?$version=3",
            b'{"rate":7,"old":null,"$version":3}',
        )
        assert ask(raw, GET + "13", b" ")[1] == (
            b'{"desired":{"rate":7,"$version":3},"reported":{"fw":"1.4","$version":3}}'
        )

    reported = twin["properties"]["reported"]
    assert reported.pop("$metadata").keys() == {"$lastUpdated", "fw"}
    assert reported == {"fw": "1.4", "$version": 3}
    assert twin["version"] == 6


def test_empty_twin_is_that_of_the_reference(hub_device: Device) -> None:
    with hub_device.at_hub() as raw:
        raw.subscribe(RESPONSES)
        assert ask(raw, GET + "1")[1] == b'{"desired":{"$version":1},"reported":{"$version":1}}'


@pytest.mark.parametrize(
    "rid", ["0", "65535", "0f7d6e4c-1f1e-4c8a-9c86-7a3f0a2b1c3d", "a%20b", "x" * 128, "ü"]
)
def test_rid_comes_back_byte_for_byte(hub_device: Device, rid: str) -> None:
    with hub_device.at_hub() as raw:
        raw.subscribe(RESPONSES)
        assert ask(raw, GET + rid)[0] == f"$iothub/twin/res/200/?$rid={rid}"
        assert ask(raw, PATCH + rid, b"{}")[0] == f"$iothub/twin/res/204/?$rid={rid}&$version=2"


@pytest.mark.parametrize("qos", [0, 1])
def test_request_of_qos_1_is_acknowledged_and_answered_at_qos_0(
    hub_device: Device, qos: int
) -> None:
    with hub_device.at_hub() as raw:
        raw.subscribe(RESPONSES, qos=qos)
        raw.publish(GET + "1", b"", packet_id=7)
        assert raw.expect(PUBACK).packet_id == 7
        assert told(raw)[0] == "$iothub/twin/res/200/?$rid=1"
        raw.publish(PATCH + "2", b"{}", packet_id=8)
        assert raw.expect(PUBACK).packet_id == 8
        assert told(raw)[0] == "$iothub/twin/res/204/?$rid=2&$version=2"


def test_base_version_of_javas_sdk_must_be_the_current_one(hub_device: Device) -> None:
    with hub_device.at_hub() as raw:
        raw.subscribe(RESPONSES)
        assert ask(raw, PATCH + "1&$version=-1", b"{}")[0].endswith("/204/?$rid=1&$version=2")
        assert ask(raw, PATCH + "2&$version=2", b"{}")[0].endswith("/204/?$rid=2&$version=3")
        topic, body = ask(raw, PATCH + "3&$version=2", b"{}")
        assert topic == "$iothub/twin/res/412/?$rid=3"
        assert json.loads(body)["errorCode"] == 412001


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b'{"a":', 400),
        (b'{"$version":1}', 400),
        (b'{"a":{"$metadata":{}}}', 400),
        (b'{"a":[null]}', 400),
        (b'{"a":4503599627370496}', 400),
        (b'{"a":"' + b"x" * 4097 + b'"}', 400),
        (json.dumps({f"k{number}": "x" * 4000 for number in range(9)}).encode(), 413),
    ],
)
def test_patch_that_breaks_a_rule_changes_nothing(
    hub_device: Device, body: bytes, status: int
) -> None:
    with hub_device.at_hub() as raw:
        raw.subscribe(RESPONSES)
        topic, answer = ask(raw, PATCH + "1", body)
        assert topic == f"$iothub/twin/res/{status}/?$rid=1"
        error = json.loads(answer)
        assert error["errorCode"] // 1000 == status
        assert error["message"]
        assert error["trackingId"]
        assert ask(raw, GET + "2")[1] == b'{"desired":{"$version":1},"reported":{"$version":1}}'


def test_get_in_one_flight_with_patches_sees_those_before_it(hub_device: Device) -> None:
    topic = f"devices/{hub_device.name}/messages/events/"
    with hub_device.at_hub() as raw:
        raw.subscribe(RESPONSES)
        flight = []
        for number in range(20):
            flight += [
                raw.format_publish(topic, b"{}", packet_id=3 * number + 1),
                raw.format_publish(
                    f"{PATCH}p{number}", b'{"n":%d}' % number, packet_id=3 * number + 2
                ),
                raw.format_publish(f"{GET}g{number}", b"", packet_id=3 * number + 3),
            ]
        raw.send(b"".join(flight))
        acknowledged, answers = [], []
        for _ in range(100):
            received: Packet = raw.read()
            if received.kind == PUBACK:
                acknowledged.append(received.packet_id)
            else:
                answers.append((received.topic, received.payload))

    assert acknowledged == list(range(1, 61))
    expected: list[tuple[str, bytes]] = []
    for number in range(20):
        version = number + 2
        expected += [
            (f"$iothub/twin/res/204/?$rid=p{number}&$version={version}", b""),
            (
                f"$iothub/twin/res/200/?$rid=g{number}",
                b'{"desired":{"$version":1},"reported":{"n":%d,"$version":%d}}' % (number, version),
            ),
        ]
    assert answers == expected


def test_too_many_twins_in_one_flight_are_told_to_slow_down(
    hub_device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt_twins, "MAX_BURST_BYTES", 500)
    with hub_device.at_hub() as raw:
        raw.subscribe(RESPONSES)
        raw.send(
            b"".join(
                raw.format_publish(f"{GET}{number}", b"", packet_id=None) for number in range(50)
            )
        )
        statuses = [told(raw)[0].split("/")[3] for _ in range(50)]
        assert set(statuses) == {"200", "429"}
        nothing_came(raw)
        assert ask(raw, GET + "again")[0].startswith("$iothub/twin/res/200/")


def test_more_patches_than_the_store_is_given_at_once_are_answered_in_order(
    hub_device: Device,
) -> None:
    count = 3 * mqtt_twins.MAX_PATCHES_UNDER_WAY
    with hub_device.at_hub() as raw:
        raw.subscribe(RESPONSES)
        flight = [
            raw.format_publish(f"{PATCH}{number}", b'{"n":%d}' % number, packet_id=None)
            for number in range(count)
        ]
        # One that is refused at once does not stop those behind it.
        flight[count // 2] = raw.format_publish(PATCH + "bad", b"{", packet_id=None)
        raw.send(b"".join([*flight, raw.format_publish(GET + "end", b"", packet_id=None)]))
        topics = [told(raw)[0] for _ in range(count)]
        version = 1
        for topic in topics:
            if topic != "$iothub/twin/res/400/?$rid=bad":
                version += 1
                assert topic.endswith(f"&$version={version}")
        assert len(set(topics)) == count
        _, body = told(raw)
        assert json.loads(body)["reported"] == {"n": count - 1, "$version": count}


def test_device_that_floods_its_twin_is_held_back_and_loses_nothing(
    cloud: CloudThread, hub_device: Device
) -> None:
    count = 3000  # beyond what one connection may have under way
    with hub_device.at_hub() as raw:
        raw.subscribe(RESPONSES)
        flood = b"".join(
            raw.format_publish(f"{PATCH}{number}", b"{}", packet_id=None) for number in range(count)
        )
        threading.Thread(target=raw.send, args=(flood,), daemon=True).start()
        for number in range(count):
            assert told(raw)[0].endswith(f"?$rid={number}&$version={number + 2}")


def test_patches_that_wait_when_a_newer_connection_takes_over_do_not_undo_its_own(
    hub_device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt_twins, "MAX_PATCHES_UNDER_WAY", 1)
    with hub_device.at_hub() as older:
        older.subscribe(RESPONSES)
        older.send(
            b"".join(
                older.format_publish(f"{PATCH}{n}", b'{"n":%d}' % n, packet_id=None)
                for n in range(500)
            )
        )
        told(older)
        with hub_device.at_hub() as newer:
            newer.subscribe(RESPONSES)
            _, _, version = ask(newer, PATCH + "1", b'{"n":"new"}')[0].partition("$version=")
            for _ in range(20):  # long enough for some of the older ones, had they been begun
                assert ask(newer, PATCH + "2", b"{}")[0].startswith("$iothub/twin/res/204/")
            reported = json.loads(ask(newer, GET + "3")[1])["reported"]

    assert int(version) < 500
    assert reported == {"n": "new", "$version": int(version) + 20}


def test_nothing_is_sent_to_who_has_not_subscribed(api: HubClient, hub_device: Device) -> None:
    with hub_device.at_hub() as raw:
        raw.publish(GET + "1", b"", packet_id=1)
        raw.publish(PATCH + "2", b'{"fw":"1"}', packet_id=2)
        raw.publish(PATCH + "3", b'{"bad.key":"1"}', packet_id=3)
        assert [raw.expect(PUBACK).packet_id for _ in range(3)] == [1, 2, 3]
        api.got("PATCH", f"/twins/{hub_device.name}", {"properties": {"desired": {"a": 1}}})
        nothing_came(raw)
        # The patch counted all the same.
        raw.subscribe(RESPONSES)
        assert json.loads(ask(raw, GET + "4")[1]) == {
            "desired": {"a": 1, "$version": 2},
            "reported": {"fw": "1", "$version": 2},
        }


def test_desired_changes_come_in_order_to_who_is_subscribed_at_the_time(
    api: HubClient, hub_device: Device
) -> None:
    path = f"/twins/{hub_device.name}"
    api.got("PATCH", path, {"properties": {"desired": {"before": 1}}})
    with hub_device.at_hub() as raw:
        raw.subscribe(DESIRED)
        for number in range(10):
            api.got("PATCH", path, {"properties": {"desired": {"n": number}}})
        api.got("PATCH", path, {"tags": {"site": "north"}})
        api.got("PUT", path, {"properties": {"desired": {"m": {"x": None, "y": 1}}}})

        for number in range(10):
            assert told(raw) == (
                f"$iothub/twin/PATCH/properties/desired/?$version={number + 3}",
                b'{"n":%d,"$version":%d}' % (number, number + 3),
            )
        assert told(raw)[1] == b'{"m":{"y":1},"$version":13}'
    api.got("PATCH", path, {"properties": {"desired": {"away": 1}}})

    with hub_device.at_hub(clean=False) as raw:
        nothing_came(raw)


def test_no_change_is_lost_between_subscription_and_get(api: HubClient, hub_device: Device) -> None:
    changes = 100

    def change() -> None:
        for number in range(changes):
            api.got(
                "PATCH", f"/twins/{hub_device.name}", {"properties": {"desired": {"n": number}}}
            )

    back_end = threading.Thread(target=change, daemon=True)
    back_end.start()
    version = 1
    while version <= changes:
        # A fresh connection each time, wherever the back end is by now.
        with hub_device.at_hub() as raw:
            raw.subscribe(RESPONSES)
            raw.subscribe(DESIRED)
            raw.publish(GET + "1", b"", packet_id=None)
            told_before, fetched = [], None
            while fetched is None:
                topic, body = told(raw)
                document = json.loads(body)
                if topic.startswith("$iothub/twin/res/"):
                    fetched = document["desired"]["$version"]
                else:
                    told_before.append(document["$version"])
            assert fetched >= version
            assert told_before == sorted(told_before)
            version = fetched
            for _ in range(min(10, changes + 1 - fetched)):
                news = json.loads(told(raw)[1])["$version"]
                if news > version:  # the client's rule: what it has fetched already, it drops
                    assert news == version + 1
                    version = news
    back_end.join()


def test_subscription_of_an_earlier_connection_counts_again(
    api: HubClient, hub_device: Device
) -> None:
    with hub_device.at_hub(clean=False) as raw:
        raw.subscribe(RESPONSES)
        raw.subscribe(DESIRED)
    with hub_device.at_hub(clean=False) as raw:
        assert ask(raw, GET + "1")[0] == "$iothub/twin/res/200/?$rid=1"
        api.got("PATCH", f"/twins/{hub_device.name}", {"properties": {"desired": {"a": 1}}})
        assert told(raw)[1] == b'{"a":1,"$version":2}'


def test_two_devices_never_see_each_others_twins(
    api: HubClient, cloud: CloudThread, make_device: MakeDevice
) -> None:
    first, second = make_device(), make_device()
    for device in (first, second):
        cloud.add_device(device.name, device.thumbprint)
    with first.at_hub() as one, second.at_hub() as other:
        for raw in (one, other):
            raw.subscribe(RESPONSES)
            raw.subscribe(DESIRED)
        assert ask(one, PATCH + "1", b'{"mine":1}')[0] == "$iothub/twin/res/204/?$rid=1&$version=2"
        api.got("PATCH", f"/twins/{first.name}", {"properties": {"desired": {"a": 1}}})
        assert told(one)[1] == b'{"a":1,"$version":2}'
        nothing_came(other)
        assert ask(other, GET + "1")[1] == b'{"desired":{"$version":1},"reported":{"$version":1}}'


def test_model_id_is_that_of_the_last_connection(api: HubClient, hub_device: Device) -> None:
    def model() -> Any:
        return api.got("GET", f"/twins/{hub_device.name}").get("modelId")

    def connect(query: str) -> None:
        with hub_device.dial() as raw:
            assert raw.connect(hub_device.name, hub_device.hub_user_name + query) == 0
            raw.subscribe(RESPONSES)
            # A patch is committed after what the connection itself wrote.
            ask(raw, PATCH + "1", b"{}")

    assert model() is None
    connect("&model-id=dtmi%3Amooring%3ADock%3B1")
    assert model() == "dtmi:mooring:Dock;1"
    connect("&model-id=dtmi%3Amooring%3ADock%3B1")
    assert model() == "dtmi:mooring:Dock;1"
    connect("")
    assert model() is None
