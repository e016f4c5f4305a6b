"""The acceptance list of the DPS reference (dps.md 7), as far as it is seen on a device's socket.

Each item is a test of its name.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Generator, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.cloud.conftest import Device, MakeDevice
from tests.support.certificates import certify, key_of
from tests.support.cloud import CloudThread, cloud_on_thread
from tests.support.dotnet_like import Broken, DotNetLikeClient
from tests.support.rawmqtt import (
    CONNACK,
    DISCONNECT,
    PUBACK,
    PUBLISH,
    SUBACK,
    Packet,
    RawMqtt,
    packet,
    text,
)

VECTORS = Path(__file__).parents[2] / "vectors" / "mqtt" / "dps_individual_x509.hex"
REGISTER = "$dps/registrations/PUT/iotdps-register/?$rid="
POLL = "$dps/registrations/GET/iotdps-get-operationstatus/?$rid="
FILTER = "$dps/registrations/res/#"
UNSUBSCRIBE, UNSUBACK = 10, 11


def ask(raw: RawMqtt, topic: str, body: bytes = b"", *, packet_id: int | None = 2) -> Packet:
    """Publish a request and return the answer, which must come right after PUBACK."""
    raw.publish(topic, body, packet_id=packet_id)
    if packet_id is not None:
        assert raw.expect(PUBACK).packet_id == packet_id
    return raw.expect(PUBLISH)


# -- 1 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("payload", [None, '{"modelId":"dtmi:x;1"}'])
def test_1_net_style_client_packet_order_session_present_registration_state(
    enrolled: Device, payload: str | None
) -> None:
    for _ in range(2):  # a second time there would be a session to be present
        with enrolled.dial() as raw:
            client = DotNetLikeClient(raw)
            state = client.register(enrolled.dps_user_name, enrolled.name, payload)

        assert state["status"] == "assigned"
        assert state["assignedHub"]
        assert state["deviceId"] == enrolled.name


@contextmanager
def without_linked_hub(cloud: CloudThread) -> Iterator[None]:
    """Unlink the cloud's hub for a while."""
    assert cloud.application is not None
    linked = cloud.application.dps.linked_hubs
    (hub,) = linked.current
    cloud.run(linked.unlink(hub.host_name))
    try:
        yield
    finally:
        cloud.run(linked.link(hub))


@pytest.mark.parametrize("outcome", ["disabled", "failed"])
def test_1_net_style_client_gets_a_registration_state_when_it_is_not_assigned(
    cloud: CloudThread, make_device: MakeDevice, outcome: str
) -> None:
    device = make_device()
    disabled = outcome == "disabled"
    status = "disabled" if disabled else "enabled"
    cloud.enroll(device.name, device.pem, provisioningStatus=status)
    unlinked = nullcontext() if disabled else without_linked_hub(cloud)
    with unlinked, device.dial() as raw:
        state = DotNetLikeClient(raw).register(device.dps_user_name, device.name)

    assert state["status"] == outcome
    assert state["registrationId"] == device.name
    assert {"createdDateTimeUtc", "lastUpdatedDateTimeUtc", "etag"} <= state.keys()
    assert not {"assignedHub", "deviceId", "substatus"} & state.keys()


@pytest.mark.parametrize(
    ("script", "broken"),
    [
        ("C0 S A1 P1 A2 P2", None),
        ("C1 S A1 P1 A2 P2", "session present"),
        ("C0 S P1 A1 A2 P2", "packet 3 where 4 was due"),
        ("C0 A1 S P1 A2 P2", "packet 4 where 9 was due"),
        ("C0 S A1 P1 A2 PX", "no registrationState"),
        ("C0 S A1 PT A2 P2", "topic"),
    ],
)
def test_1_net_style_client_itself_gives_up_on_each(script: str, broken: str | None) -> None:
    """The client above is as strict as it says, else its passing would mean nothing."""

    def publish(rest: str, body: str) -> Packet:
        return Packet(PUBLISH, 0, text(f"$dps/registrations/res/{rest}") + body.encode())

    state = '{"status":"assigned","registrationState":{"deviceId":"d"}}'
    packets = {
        "C0": Packet(CONNACK, 0, b"\0\0"),
        "C1": Packet(CONNACK, 0, b"\1\0"),
        "S": Packet(SUBACK, 0, b"\0\1\1"),
        "A1": Packet(PUBACK, 0, b"\0\2"),
        "A2": Packet(PUBACK, 0, b"\0\3"),
        "P1": publish("202/?$rid=1&retry-after=3", '{"operationId":"o","status":"assigning"}'),
        "PT": publish("202/?retry-after=3&$rid=1", '{"operationId":"o","status":"assigning"}'),
        "P2": publish("200/?$rid=2", state),
        "PX": publish("200/?$rid=2", '{"status":"assigned"}'),
    }
    wire = SimpleNamespace(send=lambda data: None)
    wire.read = iter([packets[name] for name in script.split()]).__next__
    client = DotNetLikeClient(wire)
    if broken is None:
        assert client.register("u", "d")["status"] == "assigned"
    else:
        with pytest.raises(Broken, match=broken):
            client.register("u", "d")


def test_1_answers_to_requests_in_one_write_are_never_interleaved(enrolled: Device) -> None:
    with enrolled.at_dps() as raw:
        raw.send(
            b"".join(
                raw.format_publish(f"{REGISTER}{number}", b"", packet_id=number)
                for number in (5, 6, 7)
            )
        )
        received = [raw.read() for _ in range(6)]

    assert [(each.kind, each.packet_id) for each in received[::2]] == [
        (PUBACK, 5),
        (PUBACK, 6),
        (PUBACK, 7),
    ]
    assert [each.topic.partition("$rid=")[2] for each in received[1::2]] == [
        f"{number}&retry-after=3" for number in (5, 6, 7)
    ]


# -- 2, 3, 4 --------------------------------------------------------------------------------------


def test_2_qos_0_register_response_arrives_no_puback(enrolled: Device) -> None:
    """As C and Java publish; both subscribe with QoS 1."""
    with enrolled.at_dps() as raw:
        accepted = ask(raw, f"{REGISTER}1", packet_id=None)
        operation_id = json.loads(accepted.payload)["operationId"]
        done = ask(raw, f"{POLL}2&operationId={operation_id}", b" ", packet_id=None)

        assert accepted.topic == "$dps/registrations/res/202/?$rid=1&retry-after=3"
        assert done.topic == "$dps/registrations/res/200/?$rid=2"
        raw.send(packet(12, 0, b""))
        assert raw.read().kind == 13  # PINGRESP: nothing else was under way


@pytest.mark.parametrize(
    "body",
    ["", '{"payload":null,"registrationId":"%s"}', '{"payload":"{\\"a\\":1}"}'],
    ids=["empty", "null", "string"],
)
def test_3_register_body_empty_null_payload_string_payload_accepted(
    enrolled: Device, body: str
) -> None:
    with enrolled.at_dps() as raw:
        answer = ask(raw, f"{REGISTER}1", body.replace("%s", enrolled.name).encode())

    assert "/res/202/" in answer.topic


@pytest.mark.parametrize("poll_body", [b"", b" ", b'{"registrationId":"x","payload":null}'])
def test_4_same_rid_1_for_register_and_every_poll(enrolled: Device, poll_body: bytes) -> None:
    """As embedded C sends it; the body of a poll is none, a blank, or the register body."""
    with enrolled.at_dps() as raw:
        for _ in range(2):
            accepted = ask(raw, f"{REGISTER}1")
            operation_id = json.loads(accepted.payload)["operationId"]
            assert accepted.topic == "$dps/registrations/res/202/?$rid=1&retry-after=3"
            for _ in range(3):
                done = ask(raw, f"{POLL}1&operationId={operation_id}", poll_body)
                assert done.topic == "$dps/registrations/res/200/?$rid=1"
                assert json.loads(done.payload)["operationId"] == operation_id


@pytest.mark.parametrize("rid", ["0", "7c4f3a9e-1d2b-4c5d-8e6f-708192a3b4c5", "a%20b=c", "x" * 128])
def test_rid_is_echoed_as_it_came(enrolled: Device, rid: str) -> None:
    with enrolled.at_dps() as raw:
        assert ask(raw, f"{REGISTER}{rid}").topic == (
            f"$dps/registrations/res/202/?$rid={rid}&retry-after=3"
        )


# -- 8 ------------------------------------------------------------------------------------------


def test_8_secondary_certificate_registers_and_moves_the_hub_thumbprint(
    cloud: CloudThread, make_device: MakeDevice
) -> None:
    first = make_device()
    second = make_device(first.name, credential=certify(first.name, key_of("ec#2")))
    slots = {"primary": {"certificate": first.pem}, "secondary": {"certificate": second.pem}}
    attestation = {"type": "x509", "x509": {"clientCertificates": slots}}
    cloud.enroll(first.name, first.pem, attestation=attestation)

    for device, other in ((first, second), (second, first), (first, second)):
        with device.dial() as raw:
            state = DotNetLikeClient(raw).register(device.dps_user_name, device.name)
        assert state["status"] == "assigned"
        assert state["substatus"] == "initialAssignment"
        authentication = cloud.calls.get_device("hub", first.name)["authentication"]
        assert authentication["type"] == "selfSigned"
        assert authentication["x509Thumbprint"] == {
            "primaryThumbprint": device.thumbprint,
            "secondaryThumbprint": device.thumbprint,
        }
        with device.at_hub():
            pass
        with other.dial() as raw:
            assert raw.connect(other.name, other.hub_user_name) == 5


# -- 12 -----------------------------------------------------------------------------------------


def test_12_unlinked_hub_failed_400208_on_the_device_and_a_stored_failed_record(
    cloud: CloudThread, make_device: MakeDevice
) -> None:
    device = make_device()
    cloud.enroll(device.name, device.pem)
    with without_linked_hub(cloud), device.at_dps() as raw:
        accepted = ask(raw, f"{REGISTER}1")
        operation_id = json.loads(accepted.payload)["operationId"]
        done = ask(raw, f"{POLL}1&operationId={operation_id}")

    result = json.loads(done.payload)
    state = result["registrationState"]
    assert accepted.topic == "$dps/registrations/res/202/?$rid=1&retry-after=3"
    assert done.topic == "$dps/registrations/res/200/?$rid=1"
    assert result["status"] == state["status"] == "failed"
    assert state["errorCode"] == 400208
    assert state["errorMessage"]
    assert "assignedHub" not in state
    record = cloud.calls.get_registration(device.name)
    assert record["status"] == "failed"
    assert record["errorCode"] == 400208
    for name in ("registrationId", "createdDateTimeUtc", "lastUpdatedDateTimeUtc", "etag"):
        assert record[name] == state[name]


# -- 7.1 ----------------------------------------------------------------------------------------


@pytest.fixture
def hawser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[CloudThread]:
    """Run a cloud whose ID scope is that of the vector."""
    secrets = SimpleNamespace(token_hex=lambda _count: "00hawser")
    monkeypatch.setattr("mooring.cloud.dps.service.secrets", secrets)
    with cloud_on_thread(tmp_path / "state") as running:
        assert running.id_scope == "0ne00HAWSER"
        yield running


def test_trace_of_an_individual_enrollment_is_answered_byte_for_byte(
    hawser: CloudThread, make_device: MakeDevice
) -> None:
    device = make_device("gw01", of=hawser)
    hawser.enroll("gw01", device.pem)
    lines = [line.split() for line in VECTORS.read_text().splitlines() if line[0] in "CS"]
    with device.dial() as raw:
        operation_id = ""
        for side, name, data in lines:
            expected = bytes.fromhex(data)
            if side == "C":
                raw.send(expected)
                continue
            received = raw.read()
            if name != "PUBLISH":
                assert packet(received.kind, received.flags, received.body) == expected
                continue
            # The operation id is made here; all around it is the vector's.
            operation_id = json.loads(received.payload)["operationId"]
            body = received.body.replace(operation_id.encode(), b"4.0123456789abcdef.7d0f")
            assert packet(received.kind, received.flags, body) == expected
        done = ask(raw, f"{POLL}8&operationId={operation_id}", b" ", packet_id=3)
        raw.send(packet(PUBACK, 0, struct.pack("!H", done.packet_id)))
        raw.send(packet(UNSUBSCRIBE, 2, struct.pack("!H", 4) + text(FILTER)))
        assert raw.expect(UNSUBACK).packet_id == 4
        raw.send(packet(DISCONNECT, 0, b""))

    assert (done.topic, done.flags) == ("$dps/registrations/res/200/?$rid=8", 0b0010)
    result = json.loads(done.payload.decode("ascii"))
    assert list(result) == ["operationId", "status", "registrationState"]
    assert list(result["registrationState"]) == [
        "x509",
        "registrationId",
        "createdDateTimeUtc",
        "assignedHub",
        "deviceId",
        "status",
        "substatus",
        "lastUpdatedDateTimeUtc",
        "etag",
    ]
    authentication = hawser.calls.get_device("hub", "gw01")["authentication"]
    assert authentication["type"] == "selfSigned"
    assert set(authentication["x509Thumbprint"].values()) == {device.thumbprint}


# -- rules of section 0 that have no item of their own --------------------------------------------


def test_times_are_as_java_reads_them(enrolled: Device) -> None:
    with enrolled.dial() as raw:
        state = DotNetLikeClient(raw).register(enrolled.dps_user_name, enrolled.name)

    for name in ("createdDateTimeUtc", "lastUpdatedDateTimeUtc"):
        whole, _, fraction = state[name].removesuffix("Z").partition(".")
        assert len(whole) == len("2030-02-03T04:05:06")
        assert "." not in fraction
        assert len(fraction) <= 7


def test_message_that_quotes_what_is_not_ascii_is_ascii(enrolled: Device) -> None:
    with enrolled.at_dps() as raw:
        answer = ask(raw, f"{REGISTER}1", '{"registrationId":"größe"}'.encode())

    assert answer.payload.isascii()
    assert json.loads(answer.payload)["errorCode"] == 400006


def test_will_of_a_device_is_ignored(enrolled: Device) -> None:
    """No SDK sends one; a client that does so registers all the same."""
    with enrolled.dial() as raw:
        body = text("MQTT") + bytes([4, 0x86, 0, 60]) + text(enrolled.name) + text("a/b")
        raw.send(packet(1, 0, body + text("gone") + text(enrolled.dps_user_name)))
        assert raw.read().return_code == 0
        raw.subscribe(FILTER)
        assert "/res/202/" in ask(raw, f"{REGISTER}1").topic
