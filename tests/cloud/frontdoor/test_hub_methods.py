"""Direct methods as bytes on a real TLS socket, and what a device stays subscribed to."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from tests.cloud.conftest import OVER_BOTH_CARRIERS, Device, MakeDevice
from tests.support.certificates import certify, key_of
from tests.support.cloud import CloudThread
from tests.support.rawmqtt import CONNACK, PINGREQ, PINGRESP, PUBACK, PUBLISH, RawMqtt, packet, text

from mooring.cloud.hub.errors import (
    DeviceConnectionLost,
    DeviceNotFound,
    DeviceNotOnline,
    DeviceResponseInvalid,
    DeviceResponseTimeout,
    InputInvalid,
    MethodsInFlight,
    PayloadTooLarge,
)
from mooring.cloud.hub.methods.model import (
    MAX_IN_FLIGHT_PER_DEVICE,
    MAX_PAYLOAD_BYTES,
    MethodCall,
    MethodResult,
)
from mooring.runtime.loopback import lend_loopback_address

pytestmark = OVER_BOTH_CARRIERS

METHODS = "$iothub/methods/POST/#"


def begin(device: Device, call: MethodCall, name: str | None = None) -> Future[MethodResult]:
    """Have the hub call a method of `device`."""
    application = device.cloud.application
    assert application is not None
    hub = application.hub.hubs.get("hub")
    return device.cloud.begin(application.hub.methods.invoke(hub, name or device.name, call))


def asked(raw: RawMqtt) -> tuple[str, str, bytes]:
    """Return name, request id and payload of the next call that the device gets."""
    call = raw.expect(PUBLISH)
    assert call.flags == 0  # QoS 0, whatever was granted
    name, rid = call.topic.removeprefix("$iothub/methods/POST/").split("/?$rid=")
    return name, rid, call.payload


def answer(raw: RawMqtt, rid: str, payload: bytes, status: int = 200) -> None:
    """Answer a call."""
    raw.publish(f"$iothub/methods/res/{status}/?$rid={rid}", payload, packet_id=None)


@pytest.mark.parametrize("qos", [0, 1])
def test_call_reaches_the_device_and_its_answer_the_caller(hub_device: Device, qos: int) -> None:
    with hub_device.at_hub() as raw:
        assert raw.subscribe(METHODS, qos=qos) == qos
        calling = begin(hub_device, MethodCall("lift", b'{"h":3}'))
        name, rid, payload = asked(raw)
        raw.publish(f"$iothub/methods/res/-7/?$rid={rid}", b'{"ok":true}', packet_id=9)
        assert raw.expect(PUBACK).packet_id == 9

    assert (name, payload) == ("lift", b'{"h":3}')
    assert rid.isalnum()
    assert calling.result(10) == MethodResult(-7, b'{"ok":true}')


def test_call_with_odd_names_is_percent_encoded_but_for_the_star(hub_device: Device) -> None:
    with hub_device.at_hub() as raw:
        raw.subscribe(METHODS)
        for name, spelled in (
            ("crane*lift", "crane*lift"),
            ("a b/c?d#+", "a%20b%2Fc%3Fd%23%2B"),
            ("grüß", "gr%C3%BC%C3%9F"),
        ):
            calling = begin(hub_device, MethodCall(name))
            found, rid, payload = asked(raw)
            assert (found, payload) == (spelled, b"")
            answer(raw, rid, b"")
            assert calling.result(10) == MethodResult(200, b"")


def test_calls_are_answered_in_any_order(hub_device: Device) -> None:
    with hub_device.at_hub() as raw:
        raw.subscribe(METHODS)
        calls = [begin(hub_device, MethodCall(f"m{number}")) for number in range(5)]
        rids = dict(asked(raw)[:2] for _ in calls)
        for name in sorted(rids, reverse=True):
            answer(raw, rids[name], f'"{name}"'.encode())

        assert [call.result(10).payload for call in calls] == [
            f'"m{number}"'.encode() for number in range(5)
        ]


def test_call_waits_for_a_device_that_connects_and_then_subscribes(hub_device: Device) -> None:
    calling = begin(hub_device, MethodCall("late", connect_timeout_s=30))
    with hub_device.at_hub() as raw:
        raw.send(packet(PINGREQ, 0, b""))
        raw.expect(PINGRESP)  # connected, and not asked yet
        raw.subscribe(METHODS)
        _, rid, _ = asked(raw)
        answer(raw, rid, b"1")
        assert calling.result(10).payload == b"1"


def test_call_of_a_device_that_is_away_or_does_not_listen_says_so(hub_device: Device) -> None:
    with pytest.raises(DeviceNotOnline):
        begin(hub_device, MethodCall("ping")).result(10)
    with hub_device.at_hub(), pytest.raises(DeviceNotOnline, match="within 1 s"):
        begin(hub_device, MethodCall("ping", connect_timeout_s=1)).result(10)
    with pytest.raises(DeviceNotFound):
        begin(hub_device, MethodCall("ping"), name="nobody").result(10)


def test_call_that_is_not_answered_in_time_ends_and_a_late_answer_is_dropped(
    hub_device: Device,
) -> None:
    with hub_device.at_hub() as raw:
        raw.subscribe(METHODS)
        calling = begin(hub_device, MethodCall("slow", response_timeout_s=5))
        _, rid, _ = asked(raw)
        with pytest.raises(DeviceResponseTimeout, match="within 5 s"):
            calling.result(20)
        answer(raw, rid, b"1")
        again = begin(hub_device, MethodCall("again"))
        _, other, _ = asked(raw)
        assert other != rid
        answer(raw, rid, b'"late"')
        answer(raw, other, b'"right"')
        assert again.result(10).payload == b'"right"'


def test_call_whose_connection_ends_or_is_taken_over_fails_at_once(hub_device: Device) -> None:
    with hub_device.at_hub() as raw:
        raw.subscribe(METHODS)
        lost = begin(hub_device, MethodCall("a"))
        asked(raw)
    with pytest.raises(DeviceConnectionLost):
        lost.result(10)
    with hub_device.at_hub(clean=False) as older:
        older.subscribe(METHODS)
        lost = begin(hub_device, MethodCall("b"))
        _, rid, _ = asked(older)
        with hub_device.at_hub(clean=False) as newer:
            with pytest.raises(DeviceConnectionLost):
                lost.result(10)
            answer(newer, rid, b"1")  # not its call
            calling = begin(hub_device, MethodCall("c"))
            _, rid, _ = asked(newer)
            answer(newer, rid, b"2")
            assert calling.result(10).payload == b"2"


def test_answer_of_another_device_is_not_taken(hub_device: Device, make_device: MakeDevice) -> None:
    stranger = make_device()
    stranger.cloud.add_device(stranger.name, stranger.thumbprint)
    with hub_device.at_hub() as raw, stranger.at_hub() as other:
        raw.subscribe(METHODS)
        other.subscribe(METHODS)
        calling = begin(hub_device, MethodCall("mine"))
        _, rid, _ = asked(raw)
        answer(other, rid, b'"stolen"')
        other.send(packet(PINGREQ, 0, b""))
        other.expect(PINGRESP)
        answer(raw, rid, b'"mine"')
        assert calling.result(10).payload == b'"mine"'


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"{", "is not JSON"),
        (b"\xff", "is not UTF-8"),
        (b'"' + b"x" * MAX_PAYLOAD_BYTES + b'"', "at most 131072"),
    ],
)
def test_answer_that_cannot_be_passed_on_is_named(
    hub_device: Device, payload: bytes, words: str
) -> None:
    with hub_device.at_hub() as raw:
        raw.subscribe(METHODS)
        calling = begin(hub_device, MethodCall("odd"))
        _, rid, _ = asked(raw)
        answer(raw, rid, payload)
        with pytest.raises(DeviceResponseInvalid, match=words):
            calling.result(10)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (MethodCall(""), InputInvalid),
        (MethodCall("x" * 101), InputInvalid),
        (MethodCall("a\nb"), InputInvalid),
        (MethodCall("a", response_timeout_s=4), InputInvalid),
        (MethodCall("a", response_timeout_s=301), InputInvalid),
        (MethodCall("a", connect_timeout_s=-1), InputInvalid),
        (MethodCall("a", connect_timeout_s=301), InputInvalid),
        (MethodCall("a", b" " * (MAX_PAYLOAD_BYTES + 1)), PayloadTooLarge),
    ],
)
def test_call_that_is_out_of_bounds_is_refused(
    hub_device: Device, call: MethodCall, error: type[Exception]
) -> None:
    with pytest.raises(error):
        begin(hub_device, call).result(10)


def test_calls_beyond_the_limit_are_refused(hub_device: Device) -> None:
    with hub_device.at_hub() as raw:
        raw.subscribe(METHODS)
        calls = [begin(hub_device, MethodCall("a")) for _ in range(MAX_IN_FLIGHT_PER_DEVICE)]
        rids = [asked(raw)[1] for _ in calls]
        with pytest.raises(MethodsInFlight):
            begin(hub_device, MethodCall("one more")).result(10)
        for rid in rids:
            answer(raw, rid, b"")
        assert {call.result(10).status for call in calls} == {200}


def test_subscription_outlives_the_cloud_and_needs_no_second_one(
    tmp_path: Path, make_device: MakeDevice, websocket: bool
) -> None:
    state = tmp_path / "state"
    with lend_loopback_address() as address:
        for presence, rid in (b"\0", "1"), (b"\1", "1"), (b"\1", "1"):
            cloud = CloudThread(state, address)
            cloud.start()
            try:
                if presence == b"\0":
                    device = make_device("gw1", credential=certify("gw1", key_of("ec")), of=cloud)
                    cloud.add_device(device.name, device.thumbprint)
                device.cloud = cloud
                with device.dial() as raw:
                    raw.send(connect(device))
                    assert raw.expect(CONNACK).body == presence + b"\0"
                    if presence == b"\0":
                        assert raw.subscribe(METHODS) == 1
                    calling = begin(device, MethodCall("ping"))
                    assert asked(raw) == ("ping", rid, b"")
                    answer(raw, rid, b'"pong"')
                    assert calling.result(10) == MethodResult(200, b'"pong"')
            finally:
                cloud.stop()


def connect(device: Device, flags: int = 0x80) -> bytes:
    """Return a CONNECT without clean session."""
    body: Any = text("MQTT") + bytes([4, flags, 0, 60]) + text(device.name)
    return packet(1, 0, body + text(device.hub_user_name))
