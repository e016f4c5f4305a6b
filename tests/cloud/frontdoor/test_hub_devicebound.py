"""Cloud-to-device messages over MQTT, byte by byte: vector T5 of iothub.md, PUBACK, disconnects."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from tests.cloud.conftest import OVER_BOTH_CARRIERS, Device, MakeDevice
from tests.support.cloud import CloudThread
from tests.support.rawmqtt import (
    PINGREQ,
    PINGRESP,
    PUBACK,
    PUBLISH,
    SUBACK,
    SUBSCRIBE,
    Packet,
    RawMqtt,
    packet,
    text,
)

from mooring.cloud.hub.mqtt.devicebound import MAX_UNACKNOWLEDGED
from mooring.storage.errors import StorageFull

WAIT_S = 20.0
UNSUBSCRIBE, UNSUBACK = 10, 11


@pytest.fixture
def admin(cloud: CloudThread) -> Iterator[httpx.Client]:
    with cloud.api() as client:
        yield client


def queue_of(device: Device | str) -> str:
    name = device if isinstance(device, str) else device.name
    return f"hubs/hub/devices/{name}/messages/devicebound"


def send(admin: httpx.Client, device: Device, body: str = "go", **message: Any) -> None:
    response = admin.post(queue_of(device), json={"body": body, **message})
    assert response.status_code == 201, response.text


def states(admin: httpx.Client, device: Device) -> list[tuple[str, str]]:
    shown = admin.get(queue_of(device)).json()["value"]
    return [(message["body"], message["state"]) for message in shown]


def feedback(admin: httpx.Client, device: Device) -> list[tuple[str, str]]:
    shown = admin.get("hubs/hub/messages/feedback", params={"limit": 1000}).json()["value"]
    return [
        (record["originalMessageId"], record["statusCode"])
        for record in shown
        if record["deviceId"] == device.name
    ]


def eventually(look: Callable[[], Any], expected: Any) -> None:
    deadline = time.monotonic() + WAIT_S
    while (found := look()) != expected and time.monotonic() < deadline:
        time.sleep(0.02)
    assert found == expected


def subscribe(raw: RawMqtt, device: Device, *, qos: int = 1) -> None:
    assert raw.subscribe(f"devices/{device.name}/messages/devicebound/#", qos=qos) == qos


def received(raw: RawMqtt) -> Packet:
    found = raw.expect(PUBLISH)
    assert not found.flags & 1, "nothing is retained"
    return found


def acknowledge(raw: RawMqtt, *packet_ids: int) -> None:
    for packet_id in packet_ids:
        raw.send(packet(PUBACK, 0, struct.pack("!H", packet_id)))


def nothing_comes(raw: RawMqtt) -> None:
    """Check that the answer to a ping comes before any message."""
    raw.send(packet(PINGREQ, 0, b""))
    raw.expect(PINGRESP)


@OVER_BOTH_CARRIERS
def test_t5_byte_for_byte(admin: httpx.Client, cloud: CloudThread, make_device: MakeDevice) -> None:
    device = make_device("dock-07")
    cloud.add_device(device.name, device.thumbprint)
    send(
        admin,
        device,
        properties={"job": "42"},
        systemProperties={"messageId": "c-1", "ack": "full"},
    )
    with device.at_hub() as raw:
        subscribe(raw, device)
        message = received(raw)
        assert message.topic == (
            "devices/dock-07/messages/devicebound/%24.mid=c-1"
            "&%24.to=%2Fdevices%2Fdock-07%2Fmessages%2FdeviceBound&iothub-ack=full&job=42"
        )
        assert (message.payload, message.flags) == (b"go", 0b0010)
        assert states(admin, device) == [("go", "Invisible")]
        assert feedback(admin, device) == []

        acknowledge(raw, message.packet_id)

        eventually(lambda: states(admin, device), [])
        assert feedback(admin, device) == [("c-1", "Success")]
        nothing_comes(raw)
    admin.delete("hubs/hub/devices/dock-07")


def test_all_properties_and_the_device_alone_get_them(
    admin: httpx.Client, cloud: CloudThread, make_device: MakeDevice
) -> None:
    device = make_device("a+b#c%25$'")
    cloud.add_device(device.name, device.thumbprint)
    with device.at_hub() as raw:
        subscribe(raw, device)
        path = "hubs/hub/devices/a+b%23c%2525$'/messages/devicebound"
        message = {
            "bodyBase64": "/w==",
            "properties": {"null": None, "empty": "", "a": "x y&z"},
            "systemProperties": {
                "messageId": "m",
                "correlationId": "c",
                "userId": "u",
                "contentType": "text/plain",
                "contentEncoding": "utf-8",
                "expiryTimeUtc": "2099-01-02T03:04:05Z",
                "ack": "none",
            },
        }
        assert admin.post(path, json=message).status_code == 201

        got = received(raw)

        assert got.payload == b"\xff"
        assert got.topic == (
            "devices/a+b#c%25$'/messages/devicebound/%24.mid=m&%24.to=%2Fdevices%2F"
            "a%2Bb%23c%2525%24%27%2Fmessages%2FdeviceBound&%24.exp=2099-01-02T03%3A04%3A05.0000000Z"
            "&%24.cid=c&%24.uid=u&%24.ct=text%2Fplain&%24.ce=utf-8"
            "&iothub-ack=none&null&empty=&a=x%20y%26z"
        )


def test_messages_come_in_order_and_so_many_at_a_time(
    admin: httpx.Client, hub_device: Device
) -> None:
    for number in range(MAX_UNACKNOWLEDGED + 3):
        send(admin, hub_device, str(number))
    with hub_device.at_hub() as raw:
        subscribe(raw, hub_device)
        first = [received(raw) for _ in range(MAX_UNACKNOWLEDGED)]
        assert [message.payload.decode() for message in first] == [
            str(number) for number in range(MAX_UNACKNOWLEDGED)
        ]
        nothing_comes(raw)

        acknowledge(raw, first[1].packet_id)
        assert received(raw).payload == str(MAX_UNACKNOWLEDGED).encode()
        acknowledge(raw, 4711)  # of nothing
        nothing_comes(raw)
        acknowledge(raw, first[0].packet_id, first[2].packet_id)
        assert [received(raw).payload for _ in range(2)] == [
            str(MAX_UNACKNOWLEDGED + 1).encode(),
            str(MAX_UNACKNOWLEDGED + 2).encode(),
        ]


def test_a_subscriber_gets_what_is_sent_from_then_on(
    admin: httpx.Client, hub_device: Device
) -> None:
    with hub_device.at_hub() as raw:
        subscribe(raw, hub_device)
        nothing_comes(raw)
        send(admin, hub_device, "later")
        acknowledge(raw, received(raw).packet_id)
        eventually(lambda: states(admin, hub_device), [])


def test_at_qos_0_a_message_is_complete_once_sent(admin: httpx.Client, hub_device: Device) -> None:
    count = MAX_UNACKNOWLEDGED * 3
    for number in range(count):
        send(
            admin,
            hub_device,
            str(number),
            systemProperties={"messageId": str(number), "ack": "full"},
        )
    with hub_device.at_hub() as raw:
        subscribe(raw, hub_device, qos=0)
        got = [received(raw) for _ in range(count)]
        assert [message.flags for message in got] == [0] * count
        assert [message.payload for message in got] == [str(n).encode() for n in range(count)]
        eventually(lambda: states(admin, hub_device), [])
    assert feedback(admin, hub_device) == [(str(number), "Success") for number in range(count)]


def test_what_was_not_acknowledged_comes_again_to_a_new_session_as_new(
    admin: httpx.Client, hub_device: Device
) -> None:
    send(admin, hub_device, "a")
    send(admin, hub_device, "b")
    with hub_device.at_hub() as raw:
        subscribe(raw, hub_device)
        acknowledge(raw, received(raw).packet_id)
        received(raw)
        eventually(lambda: states(admin, hub_device), [("b", "Invisible")])
    eventually(lambda: states(admin, hub_device), [("b", "Enqueued")])
    with hub_device.at_hub() as raw:
        subscribe(raw, hub_device)
        again = received(raw)
        assert (again.payload, again.flags) == (b"b", 0b0010)
        acknowledge(raw, again.packet_id)
        eventually(lambda: states(admin, hub_device), [])


def test_in_a_kept_session_it_comes_with_dup_and_its_old_packet_id(
    admin: httpx.Client, hub_device: Device
) -> None:
    for body in ("a", "b", "c"):
        send(admin, hub_device, body)
    with hub_device.at_hub(clean=False) as raw:
        subscribe(raw, hub_device)
        old = [received(raw) for _ in range(3)]
        acknowledge(raw, old[1].packet_id)
        eventually(lambda: states(admin, hub_device), [("a", "Invisible"), ("c", "Invisible")])
    eventually(lambda: states(admin, hub_device), [("a", "Enqueued"), ("c", "Enqueued")])
    send(admin, hub_device, "d")
    with hub_device.at_hub(clean=False) as raw:
        # Subscribed already: it comes by itself.
        got = [received(raw) for _ in range(3)]
        assert [(m.payload, bool(m.flags & 8)) for m in got] == [
            (b"a", True),
            (b"c", True),
            (b"d", False),
        ]
        assert [got[0].packet_id, got[1].packet_id] == [old[0].packet_id, old[2].packet_id]
        assert got[2].packet_id not in (old[0].packet_id, old[2].packet_id)
        acknowledge(raw, *(message.packet_id for message in got))
        eventually(lambda: states(admin, hub_device), [])
    with hub_device.at_hub(clean=True) as raw:
        send(admin, hub_device, "e")
        nothing_comes(raw)


def test_a_clean_session_knows_nothing_of_what_a_kept_one_was_sent(
    admin: httpx.Client, hub_device: Device
) -> None:
    send(admin, hub_device, "a")
    with hub_device.at_hub(clean=False) as raw:
        subscribe(raw, hub_device)
        received(raw)
        with hub_device.at_hub(clean=True) as other:
            subscribe(other, hub_device)
            got = received(other)
            assert (got.payload, got.flags) == (b"a", 0b0010)


def test_a_connection_that_takes_over_gets_what_the_old_one_had(
    admin: httpx.Client, hub_device: Device
) -> None:
    send(admin, hub_device, "a")
    with hub_device.at_hub() as raw:
        subscribe(raw, hub_device)
        received(raw)
        with hub_device.at_hub() as newer:
            subscribe(newer, hub_device)
            acknowledge(newer, received(newer).packet_id)
            eventually(lambda: states(admin, hub_device), [])


def test_who_unsubscribes_gets_no_more_and_may_acknowledge(
    admin: httpx.Client, hub_device: Device
) -> None:
    send(admin, hub_device, "a")
    with hub_device.at_hub() as raw:
        subscribe(raw, hub_device)
        message = received(raw)
        topic_filter = f"devices/{hub_device.name}/messages/devicebound/#".encode()
        body = struct.pack("!H", 7) + struct.pack("!H", len(topic_filter)) + topic_filter
        raw.send(packet(10, 2, body))
        raw.expect(11)
        send(admin, hub_device, "b")
        nothing_comes(raw)
        acknowledge(raw, message.packet_id)
        eventually(lambda: states(admin, hub_device), [("b", "Enqueued")])
        subscribe(raw, hub_device)
        assert received(raw).payload == b"b"


def test_message_is_not_sent_again_while_the_connection_stands(
    cloud: CloudThread, admin: httpx.Client, hub_device: Device
) -> None:
    assert cloud.application is not None
    queue = cloud.application.hub.devicebound
    send(admin, hub_device, "a")
    with hub_device.at_hub(keep_alive_s=600) as raw:
        subscribe(raw, hub_device)
        late = received(raw)
        cloud.pass_time(301)
        cloud.run(queue.housekeep([]))
        nothing_comes(raw)
        assert states(admin, hub_device) == [("a", "Invisible")]
        acknowledge(raw, late.packet_id)
        eventually(lambda: states(admin, hub_device), [])


def test_devices_get_their_own_messages_only(
    admin: httpx.Client, cloud: CloudThread, make_device: MakeDevice
) -> None:
    names = ["pump", "Pump", "pump+", "pump#", "pump%2B"]
    devices = [make_device(name) for name in names]
    for device in devices:
        cloud.add_device(device.name, device.thumbprint)
    for device in devices:
        with device.at_hub() as raw:
            for other in devices:
                if other is not device:
                    topic_filter = f"devices/{other.name}/messages/devicebound/#"
                    assert raw.subscribe(topic_filter) == 0x80
            subscribe(raw, device)
            for other in devices:
                quoted = other.name.replace("%", "%25").replace("#", "%23")
                path = f"hubs/hub/devices/{quoted}/messages/devicebound"
                assert admin.post(path, json={"body": other.name}).status_code == 201
            message = received(raw)
            assert message.payload == device.name.encode()
            acknowledge(raw, message.packet_id)
            nothing_comes(raw)
        for other in devices:
            quoted = other.name.replace("%", "%25").replace("#", "%23")
            admin.delete(f"hubs/hub/devices/{quoted}/messages/devicebound")


def test_a_device_made_anew_gets_nothing_of_the_former_one(
    admin: httpx.Client, cloud: CloudThread, hub_device: Device
) -> None:
    send(admin, hub_device, "old")
    admin.delete(f"hubs/hub/devices/{hub_device.name}")
    cloud.add_device(hub_device.name, hub_device.thumbprint)
    with hub_device.at_hub() as raw:
        subscribe(raw, hub_device)
        send(admin, hub_device, "new")
        assert received(raw).payload == b"new"


def test_who_unsubscribes_before_the_subscription_is_kept_gets_nothing(
    admin: httpx.Client, hub_device: Device
) -> None:
    send(admin, hub_device, "a")
    topic_filter = text(f"devices/{hub_device.name}/messages/devicebound/#")
    with hub_device.at_hub(clean=False) as raw:
        raw.send(
            packet(SUBSCRIBE, 2, b"\0\1" + topic_filter + b"\1")
            + packet(UNSUBSCRIBE, 2, b"\0\2" + topic_filter)
        )
        raw.expect(SUBACK)
        raw.expect(UNSUBACK)
        nothing_comes(raw)
        assert states(admin, hub_device) == [("a", "Enqueued")]


def test_a_completion_that_was_not_stored_is_tried_again_when_it_can_be(
    admin: httpx.Client, cloud: CloudThread, hub_device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cloud.application is not None
    store = cloud.application.hub.devicebound._store
    refused: list[int] = []

    def full(key: int, status: object, now: object, done: Callable[..., None]) -> None:
        refused.append(key)
        asyncio.get_running_loop().call_soon(done, None, StorageFull("no space", "free some"))

    with hub_device.at_hub() as raw:
        subscribe(raw, hub_device)
        send(admin, hub_device, "a")
        monkeypatch.setattr(store, "settle_message", full)
        acknowledge(raw, received(raw).packet_id)
        eventually(lambda: len(refused), 1)
        nothing_comes(raw)
        assert len(refused) == 1
        assert states(admin, hub_device) == [("a", "Invisible")]
        monkeypatch.undo()

        send(admin, hub_device, "b")

        assert received(raw).payload == b"b"
        eventually(lambda: states(admin, hub_device), [("b", "Invisible")])


def test_a_new_message_before_one_that_is_sent_again_takes_no_packet_id_of_it(
    admin: httpx.Client, hub_device: Device
) -> None:
    send(admin, hub_device, "a")
    path = f"/devices/{hub_device.name}/messages/devicebound?api-version=2021-04-12"
    with hub_device.at_hub(clean=False) as raw:
        with hub_device.over_https() as https:
            token = https.request("GET", path)["etag"].strip('"')
        send(admin, hub_device, "b")
        subscribe(raw, hub_device)
        b = received(raw)
        assert b.payload == b"b"
    eventually(lambda: states(admin, hub_device)[1], ("b", "Enqueued"))
    with hub_device.over_https() as https:
        base, _, version = path.partition("?")
        assert https.request("POST", f"{base}/{token}/abandon?{version}", b"").status == 204
    with hub_device.at_hub(clean=False) as raw:
        got = [received(raw), received(raw)]
        assert [(m.payload, bool(m.flags & 8)) for m in got] == [(b"a", False), (b"b", True)]
        assert got[1].packet_id == b.packet_id
        assert got[0].packet_id != b.packet_id
        acknowledge(raw, got[0].packet_id, got[1].packet_id)
        eventually(lambda: states(admin, hub_device), [])
