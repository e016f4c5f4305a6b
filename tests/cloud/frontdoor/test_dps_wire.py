"""DPS over MQTT as bytes on a real TLS socket: topics, order, bodies, errors, attempt records."""

from __future__ import annotations

import json
import re
import struct
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.cloud.conftest import OVER_BOTH_CARRIERS, Device, MakeDevice
from tests.support.certificates import certify, key_of
from tests.support.cloud import CloudThread
from tests.support.rawmqtt import (
    DISCONNECT,
    PINGREQ,
    PINGRESP,
    PUBACK,
    PUBLISH,
    SUBACK,
    SUBSCRIBE,
    ConnectionEnded,
    Packet,
    RawMqtt,
    packet,
    text,
)
from tests.support.resource_api import resource_client

from mooring.storage.errors import StorageFull

pytestmark = OVER_BOTH_CARRIERS

UNSUBSCRIBE, UNSUBACK, PUBREL = 10, 11, 6
REGISTER = "$dps/registrations/PUT/iotdps-register/?$rid="
POLL = "$dps/registrations/GET/iotdps-get-operationstatus/?$rid="
FILTER = "$dps/registrations/res/#"


def ask(raw: RawMqtt, topic: str, body: bytes = b"", *, packet_id: int | None = 2) -> Packet:
    """Publish a request and return the answer, which must come right after PUBACK."""
    raw.publish(topic, body, packet_id=packet_id)
    if packet_id is not None:
        assert raw.expect(PUBACK).packet_id == packet_id
    answer = raw.expect(PUBLISH)
    if answer.flags & 0b110:
        raw.send(packet(PUBACK, 0, struct.pack("!H", answer.packet_id)))
    return answer


def register(raw: RawMqtt, body: bytes = b"", *, rid: str = "1") -> dict[str, Any]:
    """Register and return the result of the first poll."""
    accepted = ask(raw, f"{REGISTER}{rid}", body)
    assert accepted.topic == f"$dps/registrations/res/202/?$rid={rid}&retry-after=3"
    operation_id = json.loads(accepted.payload)["operationId"]
    done = ask(raw, f"{POLL}{rid}&operationId={operation_id}", b" ", packet_id=3)
    assert done.topic == f"$dps/registrations/res/200/?$rid={rid}"
    return dict(json.loads(done.payload))


def assert_error(answer: Packet, code: int, rid: str = "1") -> dict[str, Any]:
    """Check an error answer as dps.md 1.9 has it and return its body."""
    status = code // 1000
    assert answer.topic.split("&")[0] == f"$dps/registrations/res/{status}/?$rid={rid}"
    body = dict(json.loads(answer.payload.decode("ascii")))
    assert body["errorCode"] == code
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", body["trackingId"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z", body["timestampUtc"])
    assert body["message"]
    return body


# -- the good way -------------------------------------------------------------------------------


def test_register_and_poll_answer_as_azure_does(cloud: CloudThread, enrolled: Device) -> None:
    with enrolled.at_dps() as raw:
        accepted = ask(raw, f"{REGISTER}a-b", b"")
        body = json.loads(accepted.payload)
        operation_id = body["operationId"]

        assert accepted.topic == "$dps/registrations/res/202/?$rid=a-b&retry-after=3"
        assert body == {"operationId": operation_id, "status": "assigning"}
        assert re.fullmatch(r"[0-9a-z.-]{1,64}", operation_id)
        assert accepted.flags == 0b0010

        done = ask(raw, f"{POLL}c&operationId={operation_id}", b" ", packet_id=3)
        result = json.loads(done.payload.decode("ascii"))
        state = result["registrationState"]

        assert done.topic == "$dps/registrations/res/200/?$rid=c"
        assert result["operationId"] == operation_id
        assert result["status"] == state["status"] == "assigned"
        assert state["assignedHub"] == cloud.address
        assert state["deviceId"] == state["registrationId"] == enrolled.name
        assert state["substatus"] == "initialAssignment"
        assert state["x509"] == {}
        assert state["etag"]
        assert {"createdDateTimeUtc", "lastUpdatedDateTimeUtc"} <= state.keys()


def test_register_when_assigned_leaves_one_attempt_with_every_stage_and_wire_id(
    enrolled: Device,
) -> None:
    with enrolled.at_dps() as raw:
        result = register(raw, rid="77")

    (record,) = enrolled.attempts()
    assert record["result"] == "succeeded"
    names = [stage["name"] for stage in record["stages"]]
    assert names[:4] == ["tls", "connect", "subscribe", "register"]
    assert names[-1] == "poll"
    assert {"attestation", "enrollment", "allocation", "record"} <= set(names)
    assert record["wire_ids"] == {"$rid": ["77"], "operationId": [result["operationId"]]}
    assert record["context"]["thumbprint"] == enrolled.thumbprint
    assert record["context"]["hub"] == result["registrationState"]["assignedHub"]


def test_register_with_a_group_names_it(cloud: CloudThread, make_device: MakeDevice) -> None:
    root = certify("quay root", key_of("ec#group"), ca=True)
    cloud.add_ca("quayroot", root.pem.decode())
    cloud.add_group("plant-7", "quayroot")
    device = make_device("edge-gw-01", credential=certify("edge-gw-01", key_of("ec"), root))

    with device.at_dps() as raw:
        result = register(raw)

    assert result["registrationState"]["x509"] == {"enrollmentGroupId": "plant-7"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{}",
        b'{"payload":null}',
        b'{"payload":"{\\"modelId\\":\\"dtmi:x;1\\"}"}',
        b'{"payload":[1,2],"unknown":true}',
        "{{name}}",
    ],
)
def test_register_with_any_body_of_the_sdks_is_taken(enrolled: Device, body: bytes | str) -> None:
    sent = (
        json.dumps({"payload": None, "registrationId": enrolled.name.upper()}).encode()
        if isinstance(body, str)
        else body
    )
    with enrolled.at_dps() as raw:
        assert register(raw, sent)["status"] == "assigned"


def test_register_at_qos_0_is_answered_without_puback(enrolled: Device) -> None:
    with enrolled.dial() as raw:
        assert raw.connect(enrolled.name, enrolled.dps_user_name) == 0
        assert raw.subscribe(FILTER, qos=0) == 0

        answer = ask(raw, f"{REGISTER}1", packet_id=None)

    assert answer.flags == 0
    assert "/202/" in answer.topic


def test_connect_without_clean_session_never_says_session_present(enrolled: Device) -> None:
    for _ in range(2):
        with enrolled.dial() as raw:
            flags = 0x80
            body = text("MQTT") + bytes([4, flags, 0, 60]) + text(enrolled.name)
            raw.send(packet(1, 0, body + text(enrolled.dps_user_name)))
            assert raw.read().body == b"\0\0"
            assert raw.subscribe(FILTER) == 1


def test_subscribe_grants_qos_1_for_2_and_refuses_other_filters(enrolled: Device) -> None:
    with enrolled.dial() as raw:
        raw.connect(enrolled.name, enrolled.dps_user_name)
        assert raw.subscribe(FILTER, qos=2) == 1
        assert raw.subscribe("#") == 0x80
        assert raw.subscribe("$dps/registrations/res/+") == 0x80
        assert raw.subscribe("devices/x/messages/devicebound/#") == 0x80


def test_unsubscribe_and_ping_are_answered(enrolled: Device) -> None:
    with enrolled.at_dps() as raw:
        raw.send(packet(PINGREQ, 0, b""))
        raw.expect(PINGRESP)
        raw.send(packet(UNSUBSCRIBE, 2, struct.pack("!H", 9) + text(FILTER)))
        assert raw.expect(UNSUBACK).packet_id == 9


def test_register_twice_on_one_connection_makes_two_attempts(enrolled: Device) -> None:
    with enrolled.at_dps() as raw:
        register(raw, rid="1")
        register(raw, rid="2")

    (record,) = enrolled.attempts()
    assert record["count"] == 2
    assert record["wire_ids"]["$rid"] == ["1", "2"]


def test_poll_from_a_later_connection_of_the_same_device_is_answered(enrolled: Device) -> None:
    with enrolled.at_dps() as raw:
        operation_id = json.loads(ask(raw, f"{REGISTER}1").payload)["operationId"]
    with enrolled.at_dps() as raw:
        done = ask(raw, f"{POLL}1&operationId={operation_id}")

    assert json.loads(done.payload)["status"] == "assigned"


def test_all_in_one_write_is_answered_in_order(enrolled: Device) -> None:
    connect = text("MQTT") + bytes([4, 0x82, 0, 60]) + text(enrolled.name)
    with enrolled.dial() as raw:
        raw.send(
            packet(1, 0, connect + text(enrolled.dps_user_name))
            + packet(SUBSCRIBE, 2, struct.pack("!H", 1) + text(FILTER) + b"\1")
            + raw.format_publish(f"{REGISTER}1", b"", packet_id=2)
            + packet(PINGREQ, 0, b"")
        )

        kinds = [raw.read().kind for _ in range(5)]

    assert kinds == [2, SUBACK, PUBACK, PUBLISH, PINGRESP]


# -- refusals at register -----------------------------------------------------------------------


def refused(device: Device, topic: str = f"{REGISTER}1", body: bytes = b"") -> Packet:
    """Register and return the error answer."""
    with device.at_dps() as raw:
        return ask(raw, topic, body)


def assert_recorded(device: Device, stage: str, code: str, tracking_id: str) -> None:
    """Check the newest attempt: where and why it failed, found by the tracking id as well."""
    record = device.attempts()[0]
    assert record["result"] == "failed"
    assert (record["failure"]["stage"], record["failure"]["code"]) == (stage, code)
    assert record["failure"]["cause"]
    assert record["failure"]["remedy"]
    assert record["stages"][-1]["outcome"] == "failed"
    (found,) = device.cloud.attempts(wire_id=tracking_id)
    assert found["attempt_id"] == record["attempt_id"]


def test_register_with_an_unknown_certificate_is_answered_401(make_device: MakeDevice) -> None:
    device = make_device()

    body = assert_error(refused(device), 401002)

    assert body["message"] == "CA certificate not found."
    record = device.attempts()[0]
    assert_recorded(
        device, record["failure"]["stage"], record["failure"]["code"], body["trackingId"]
    )


def test_register_with_another_certificate_than_enrolled_is_answered_401(
    cloud: CloudThread, make_device: MakeDevice
) -> None:
    device = make_device()
    cloud.enroll(device.name, certify(device.name, key_of("ec#2")).pem.decode())

    body = assert_error(refused(device), 401002)

    assert body["message"] == "Invalid certificate."
    assert device.attempts()[0]["failure"]["code"] == "certificate-not-enrolled"


def test_register_with_another_common_name_is_answered_401(
    cloud: CloudThread, make_device: MakeDevice
) -> None:
    device = make_device(credential=certify("somebodyelse", key_of("ec")))
    cloud.enroll(device.name, device.pem)

    assert_error(refused(device), 401002)

    assert "common-name" in device.attempts()[0]["failure"]["code"]


def test_register_with_an_expired_certificate_is_answered_401(
    cloud: CloudThread, make_device: MakeDevice
) -> None:
    name = "expiredgw"
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=3)
    root = certify("expiry root", key_of("ec#expiry"), ca=True)
    cloud.add_ca("expiryroot", root.pem.decode())
    cloud.add_group("expiry", "expiryroot")
    leaf = certify(name, key_of("ec"), root, not_after=soon - timedelta(days=1))
    device = make_device(name, credential=leaf)

    body = assert_error(refused(device), 401002)

    assert body["message"] == "Invalid certificate."
    assert device.attempts()[0]["failure"]["code"] == "certificate-expired"


def test_register_with_a_forged_chain_is_answered_401(
    cloud: CloudThread, make_device: MakeDevice
) -> None:
    root = certify("forge root", key_of("ec#forge"), ca=True)
    cloud.add_ca("forgeroot", root.pem.decode())
    cloud.add_group("forge", "forgeroot")
    device = make_device("forged", credential=certify("forged", key_of("ec")), above=(root,))

    assert_error(refused(device), 401002)


def test_register_under_an_unverified_ca_is_answered_401(
    cloud: CloudThread, make_device: MakeDevice
) -> None:
    root = certify("unproven root", key_of("ec#unproven"), ca=True)
    cloud.add_ca("unproven", root.pem.decode(), verified=False)
    cloud.add_group("unproven", "unproven")
    device = make_device("unprovengw", credential=certify("unprovengw", key_of("ec"), root))

    assert_error(refused(device), 401002)

    assert "verif" in device.attempts()[0]["failure"]["remedy"].lower()


def test_register_with_an_individual_enrollment_never_falls_to_a_group(
    cloud: CloudThread, make_device: MakeDevice
) -> None:
    root = certify("fall root", key_of("ec#fall"), ca=True)
    cloud.add_ca("fallroot", root.pem.decode())
    cloud.add_group("fall", "fallroot")
    device = make_device("fallgw", credential=certify("fallgw", key_of("ec"), root))
    cloud.enroll("fallgw", certify("fallgw", key_of("ec#2")).pem.decode())

    assert_error(refused(device), 401002)


def test_register_with_a_disabled_enrollment_is_assigning_then_disabled(
    cloud: CloudThread, make_device: MakeDevice
) -> None:
    device = make_device()
    cloud.enroll(device.name, device.pem, provisioningStatus="disabled")

    with device.at_dps() as raw:
        result = register(raw)

    state = result["registrationState"]
    assert result["status"] == state["status"] == "disabled"
    assert "assignedHub" not in state
    assert "deviceId" not in state
    record = device.attempts()[0]
    assert record["failure"]["code"] == "enrollment-disabled"
    assert record["wire_ids"]["operationId"] == [result["operationId"]]


def test_register_when_no_hub_can_take_the_device_is_assigning_then_failed(
    cloud: CloudThread, make_device: MakeDevice
) -> None:
    device = make_device()
    with cloud.api() as api:
        created = api.post("hubs", json={"name": "gone", "hostName": "gone.example"})
        assert created.status_code == 201, created.text
    cloud.enroll(device.name, device.pem, allocationPolicy="static", iotHubs=["gone.example"])
    with resource_client(cloud) as arm:
        linked = arm.linked_hubs()
        del linked["gone.example"]
        arm.service(iotHubs=list(linked.values()))

    with device.at_dps() as raw:
        result = register(raw)

    assert result["status"] == "failed"
    assert result["registrationState"]["errorCode"] == 400208
    assert result["registrationState"]["errorMessage"]
    assert device.attempts()[0]["failure"]["stage"] == "allocation"


def test_register_with_an_unknown_id_scope_is_answered_404(enrolled: Device) -> None:
    with enrolled.dial() as raw:
        assert (
            raw.connect(
                enrolled.name, f"0neFFFFFFFF/registrations/{enrolled.name}/api-version=2019-03-31"
            )
            == 0
        )
        raw.subscribe(FILTER)
        body = assert_error(ask(raw, f"{REGISTER}1"), 404001)

    assert_recorded(enrolled, "scope", "unknown-id-scope", body["trackingId"])


@pytest.mark.parametrize(
    ("body", "code", "kebab"),
    [
        (b"{", 400001, "json-malformed"),
        (b"[]", 400004, "payload-malformed"),
        (b'"text"', 400004, "payload-malformed"),
        (b'{"registrationId":"other"}', 400006, "registration-id-mismatch"),
        (b'{"registrationId":5}', 400004, "payload-malformed"),
        (b'{"csr":"MIIB"}', 400004, "csr-not-served"),
        (b'{"tpm":{"endorsementKey":"AQ=="}}', 400004, "tpm-not-served"),
        (b'{"payload":"' + b"x" * 98_304 + b'"}', 400004, "body-too-large"),
    ],
)
def test_register_with_a_bad_body_is_answered_400(
    enrolled: Device, body: bytes, code: int, kebab: str
) -> None:
    answer = assert_error(refused(enrolled, body=body), code)

    assert_recorded(enrolled, "register", kebab, answer["trackingId"])


def test_register_without_a_certificate_but_with_a_password_is_answered_401(
    cloud: CloudThread, make_device: MakeDevice
) -> None:
    device = make_device(certificate=False)
    body = text("MQTT") + bytes([4, 0xC2, 0, 60]) + text(device.name)
    with device.dial() as raw:
        raw.send(packet(1, 0, body + text(device.dps_user_name) + text("SharedAccessSignature x")))
        assert raw.read().return_code == 0
        raw.subscribe(FILTER)
        assert_error(ask(raw, f"{REGISTER}1"), 401002)


@pytest.mark.parametrize("operation_id", ["4.0.0", "x" * 128, "..%2F"])
def test_poll_of_an_unknown_operation_is_answered_404(enrolled: Device, operation_id: str) -> None:
    answer = refused(enrolled, f"{POLL}1&operationId={operation_id}", b" ")

    body = json.loads(answer.payload)
    assert body["errorCode"] // 1000 == 404
    assert enrolled.attempts()[0]["failure"]["stage"] == "poll"


def test_poll_of_another_devices_operation_is_answered_404(
    cloud: CloudThread, enrolled: Device, make_device: MakeDevice
) -> None:
    other = make_device()
    cloud.enroll(other.name, other.pem)
    with other.at_dps() as raw:
        operation_id = json.loads(ask(raw, f"{REGISTER}1").payload)["operationId"]

    answer = refused(enrolled, f"{POLL}1&operationId={operation_id}")

    assert "/404/" in answer.topic


def test_register_when_the_storage_is_full_is_answered_503_with_retry_after(
    cloud: CloudThread, enrolled: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cloud.application is not None

    async def full(command: object) -> object:
        raise StorageFull("no space is left", "free some")

    monkeypatch.setattr(cloud.application.dps, "register", full)

    answer = refused(enrolled)

    body = assert_error(answer, 503001)
    assert answer.topic.endswith("&retry-after=5")
    assert "space" not in body["message"]
    assert enrolled.attempts()[0]["failure"]["code"] == "storage-full"


def test_register_when_the_server_fails_tells_the_tracking_id_and_not_the_cause(
    cloud: CloudThread, enrolled: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cloud.application is not None

    async def broken(command: object) -> object:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(cloud.application.dps, "register", broken)

    answer = refused(enrolled)

    body = assert_error(answer, 500001)
    assert b"secret detail" not in answer.payload
    assert_recorded(enrolled, "register", "internal-error", body["trackingId"])
    assert "secret" not in json.dumps(enrolled.attempts())


# -- breaches: the connection ends --------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (RawMqtt.format_publish("devices/x/messages/events/", b""), "topic-malformed"),
        (RawMqtt.format_publish("$dps/registrations/PUT/iotdps-register/", b""), "topic-malformed"),
        (RawMqtt.format_publish(f"{REGISTER}a+b", b""), "topic-malformed"),
        (RawMqtt.format_publish(f"{POLL}1", b""), "topic-malformed"),
        (packet(PUBLISH, 4, text(f"{REGISTER}1") + b"\0\1"), "qos-2"),
        (packet(PUBLISH, 6, text(f"{REGISTER}1") + b"\0\1"), "mqtt-packet-malformed"),
        (b"\x10\x00", "mqtt-protocol-violation"),
        (b"\xf0\x00", "mqtt-packet-malformed"),
        (packet(PUBACK, 0, b"\0"), "mqtt-packet-malformed"),
        (b"\x30\xff\xff\xff\x7f", "mqtt-packet-too-large"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_publish_that_cannot_be_served_ends_the_connection(
    enrolled: Device, data: bytes, code: str
) -> None:
    with enrolled.at_dps() as raw:
        raw.send(data)
        with pytest.raises(ConnectionEnded):
            raw.read()

    (record,) = enrolled.attempts()
    assert record["failure"]["code"] == code


def test_register_without_subscribing_ends_the_connection(enrolled: Device) -> None:
    with enrolled.dial() as raw:
        raw.connect(enrolled.name, enrolled.dps_user_name)
        raw.publish(f"{REGISTER}1", b"")
        with pytest.raises(ConnectionEnded):
            raw.read()

    (record,) = enrolled.attempts()
    assert (record["failure"]["stage"], record["failure"]["code"]) == (
        "subscribe",
        "not-subscribed",
    )


def test_register_over_a_kept_session_is_answered_without_subscribing_again(
    enrolled: Device,
) -> None:
    with enrolled.dial() as raw:
        raw.connect(enrolled.name, enrolled.dps_user_name, clean=False)
        raw.publish(f"{REGISTER}1", b"")

        raw.expect(PUBACK)
        answer = raw.expect(PUBLISH)

    assert answer.topic.startswith("$dps/registrations/res/202/?$rid=1")
    assert answer.flags & 0b110 == 0b010


def test_leave_without_registering_is_recorded(enrolled: Device) -> None:
    with enrolled.at_dps() as raw:
        raw.send(packet(DISCONNECT, 0, b""))

    (record,) = wait_for_attempts(enrolled)
    assert record["failure"]["code"] == "gone-before-register"


def test_leave_without_asking_for_the_result_is_recorded_with_its_operation(
    enrolled: Device,
) -> None:
    with enrolled.at_dps() as raw:
        operation_id = json.loads(ask(raw, f"{REGISTER}1").payload)["operationId"]

    (record,) = wait_for_attempts(enrolled)
    assert record["failure"]["code"] == "gone-before-result"
    assert record["wire_ids"]["operationId"] == [operation_id]


def wait_for_attempts(device: Device) -> list[dict[str, Any]]:
    """Return the attempts once there are some."""
    deadline = time.monotonic() + 10
    while not (found := device.attempts()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found
