"""Attestation by symmetric key over MQTT and HTTPS, as bytes on a real TLS socket."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.cloud.conftest import Device, MakeDevice
from tests.support.certificates import certify, key_of
from tests.support.cloud import CloudThread
from tests.support.rawmqtt import PUBACK
from tests.support.sastokens import derive_key, new_key, sign_token

REGISTER = "$dps/registrations/PUT/iotdps-register/?$rid=1"
POLL = "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=2&operationId="
VERSION = "api-version=2021-06-01"

Register = Callable[[Device, str | None], tuple[int, dict[str, Any]]]
"""Registers with a token; returns the status and body of the last answer."""


def by_mqtt(device: Device, token: str | None) -> tuple[int, dict[str, Any]]:
    """Register over MQTT; the token is the password."""
    with device.dial() as raw:
        password = None if token is None else token.encode()
        assert raw.connect(device.name, device.dps_user_name, password=password) == 0
        raw.subscribe("$dps/registrations/res/#")
        topic, body = REGISTER, b""
        while True:
            raw.publish(topic, body, packet_id=None)
            answer = raw.read()
            status, result = int(answer.topic.split("/")[3]), json.loads(answer.payload)
            if status != 202:
                return status, result
            topic, body = f"{POLL}{result['operationId']}", b" "


def by_https(device: Device, token: str | None) -> tuple[int, dict[str, Any]]:
    """Register over HTTPS; the token is the Authorization of both requests."""
    headers = {} if token is None else {"Authorization": token}
    with device.over_https() as raw:
        target = f"{device.dps_path}/register?{VERSION}"
        reply = raw.request("PUT", target, b"{}", **headers)
        if reply.status == 202:
            operation_id = reply.json()["operationId"]
            path = f"{device.dps_path}/operations/{operation_id}?{VERSION}"
            reply = raw.request("GET", path, **headers)
        return reply.status, reply.json()


@pytest.fixture(params=[by_mqtt, by_https], ids=["mqtt", "https"])
def register(request: pytest.FixtureRequest) -> Register:
    """Return each way to register in turn."""
    way: Register = request.param
    return way


@pytest.fixture
def device(make_device: MakeDevice) -> Device:
    """Return a device without a certificate."""
    return make_device(certificate=False)


KEYS = {"primaryKey": new_key(), "secondaryKey": new_key()}


def enroll(device: Device, **members: Any) -> None:
    """Add an individual enrollment by `KEYS`."""
    attestation = {"type": "symmetricKey", "symmetricKey": KEYS}
    document = {"registrationId": device.name, "attestation": attestation, **members}
    device.cloud.calls.put_enrollment(device.name, document)


def enroll_group(device: Device) -> str:
    """Add an enrollment group by `KEYS`, and return its id."""
    group_id = f"group-of-{device.name}"
    attestation = {"type": "symmetricKey", "symmetricKey": KEYS}
    document = {"enrollmentGroupId": group_id, "attestation": attestation}
    device.cloud.calls.put_group(group_id, document)
    return group_id


def delete_group(device: Device, group_id: str) -> None:
    """Take the group away, so that it takes no part in what other tests refuse."""
    device.cloud.run(device.cloud.application.dps.groups.delete(group_id))


def resource(device: Device) -> str:
    """Return what its tokens open."""
    return f"{device.cloud.id_scope}/registrations/{device.name}"


def assert_unauthorized(device: Device, answer: tuple[int, dict[str, Any]], code: str) -> None:
    """Check that a registration was refused as Azure does, and recorded for its true cause."""
    status, body = answer
    assert (status, body["errorCode"], body["message"]) == (401, 401002, "Unauthorized")
    record = device.attempts()[0]
    assert (record["failure"]["stage"], record["failure"]["code"]) == ("attestation", code)


@pytest.mark.parametrize("which", ["primaryKey", "secondaryKey"])
def test_either_key_of_an_individual_enrollment_registers(
    register: Register, device: Device, which: str
) -> None:
    enroll(device)

    status, result = register(device, sign_token(resource(device), KEYS[which]))

    state = result["registrationState"]
    assert (status, result["status"]) == (200, "assigned")
    assert state["symmetricKey"] == {}
    assert "x509" not in state
    assert state["deviceId"] == device.name
    (record,) = device.attempts()
    assert record["result"] == "succeeded"
    hub_device = device.cloud.calls.get_device("hub", device.name)
    assert hub_device["authentication"]["type"] == "sas"


@pytest.mark.parametrize("which", ["primaryKey", "secondaryKey"])
def test_key_derived_from_either_key_of_a_group_registers(
    register: Register, device: Device, which: str
) -> None:
    group_id = enroll_group(device)
    key = derive_key(KEYS[which], device.name)

    status, result = register(device, sign_token(resource(device), key))

    assert (status, result["status"]) == (200, "assigned")
    assert result["registrationState"]["symmetricKey"] == {"enrollmentGroupId": group_id}
    delete_group(device, group_id)


@pytest.mark.parametrize("policy", ["registration", None])
@pytest.mark.parametrize("lower_case_escapes", [True, False])
def test_token_is_taken_as_every_sdk_spells_it(
    register: Register, device: Device, policy: str | None, lower_case_escapes: bool
) -> None:
    enroll(device)
    token = sign_token(
        resource(device),
        KEYS["primaryKey"],
        policy=policy,
        lower_case_escapes=lower_case_escapes,
    )

    assert register(device, token)[1]["status"] == "assigned"


def test_token_in_another_order_is_taken(register: Register, device: Device) -> None:
    enroll(device)
    scheme, _, parts = sign_token(resource(device), KEYS["primaryKey"]).partition(" ")
    token = f"{scheme} {'&'.join(reversed(parts.split('&')))}"

    assert register(device, token)[1]["status"] == "assigned"


def test_key_of_the_group_itself_is_refused(register: Register, device: Device) -> None:
    group_id = enroll_group(device)

    answer = register(device, sign_token(resource(device), KEYS["primaryKey"]))

    assert_unauthorized(device, answer, "group-key-used")
    delete_group(device, group_id)


def test_token_that_has_ended_is_refused_beyond_the_skew_of_clocks(
    register: Register, device: Device
) -> None:
    enroll(device)
    token = sign_token(resource(device), KEYS["primaryKey"], ends_in_s=-240)
    assert register(device, token)[1]["status"] == "assigned"

    token = sign_token(resource(device), KEYS["primaryKey"], ends_in_s=-360)

    assert_unauthorized(device, register(device, token), "sas-expired")


def test_token_of_another_key_or_resource_or_none_at_all_is_refused(
    register: Register, device: Device
) -> None:
    enroll(device)

    for token, code in (
        (sign_token(resource(device), new_key()), "sas-signature-wrong"),
        (sign_token(f"{resource(device)}x", KEYS["primaryKey"]), "sas-resource-wrong"),
        (sign_token("0neFFFFFFFF/registrations/x", KEYS["primaryKey"]), "sas-resource-wrong"),
        ("SharedAccessSignature sr=x", "sas-malformed"),
        ("not a token", "sas-malformed"),
        ("SharedAccessSignature " + "x" * 4000, "sas-malformed"),
    ):
        assert_unauthorized(device, register(device, token), code)


def test_disabled_enrollment_is_told_by_the_poll(register: Register, device: Device) -> None:
    enroll(device, provisioningStatus="disabled")

    status, result = register(device, sign_token(resource(device), KEYS["primaryKey"]))

    assert (status, result["status"]) == (200, "disabled")
    assert result["registrationState"]["symmetricKey"] == {}


def test_certificate_is_no_key(register: Register, make_device: MakeDevice) -> None:
    device = make_device()
    enroll(device)

    status, body = register(device, None)

    assert (status, body["errorCode"]) == (401, 401002)


def test_key_is_no_certificate(register: Register, cloud: CloudThread, device: Device) -> None:
    cloud.enroll(device.name, certify(device.name, key_of("ec")).pem.decode())

    status, body = register(device, sign_token(resource(device), KEYS["primaryKey"]))

    assert (status, body["errorCode"]) == (401, 401002)


def test_password_that_is_no_text_is_refused_at_register_and_not_at_connect(
    device: Device,
) -> None:
    enroll(device)
    with device.dial() as raw:
        assert raw.connect(device.name, device.dps_user_name, password=b"\xff\xfe\x00") == 0
        raw.subscribe("$dps/registrations/res/#")
        raw.publish(REGISTER, b"", packet_id=None)
        answer = raw.read()

    assert answer.topic == "$dps/registrations/res/401/?$rid=1"
    assert_unauthorized(device, (401, json.loads(answer.payload)), "sas-malformed")


def test_empty_password_is_none(enrolled: Device, device: Device) -> None:
    """An X.509 device may send one; without a certificate it offers nothing."""
    with enrolled.dial() as raw:
        assert raw.connect(enrolled.name, enrolled.dps_user_name, password=b"") == 0
        raw.subscribe("$dps/registrations/res/#")
        raw.publish(REGISTER, b"", packet_id=None)
        assert "/202/" in raw.read().topic
    with device.dial() as raw:
        assert raw.connect(device.name, device.dps_user_name, password=b"") == 5


def test_poll_over_https_proves_itself_anew(device: Device) -> None:
    enroll(device)
    token = sign_token(resource(device), KEYS["primaryKey"])
    with device.over_https() as raw:
        target = f"{device.dps_path}/register?{VERSION}"
        reply = raw.request("PUT", target, b"{}", Authorization=token)
        path = f"{device.dps_path}/operations/{reply.json()['operationId']}?{VERSION}"

        ended = sign_token(resource(device), KEYS["primaryKey"], ends_in_s=-3600)
        assert raw.request("GET", path).status == 401
        assert raw.request("GET", path, Authorization=ended).status == 401
        # .NET and Node may make a new token for it, with either key
        another = sign_token(resource(device), KEYS["secondaryKey"], policy=None)
        done = raw.request("GET", path, Authorization=another)

    assert (done.status, done.json()["status"]) == (200, "assigned")
    good = device.attempts(result="succeeded")
    assert [record["count"] for record in good] == [1]
    codes = {record["failure"]["code"] for record in device.attempts(result="failed")}
    assert "sas-expired" in codes
    assert len(codes) == 2


def test_look_up_with_a_token(device: Device) -> None:
    enroll(device)
    token = sign_token(resource(device), KEYS["primaryKey"])
    _, result = by_https(device, token)
    with device.over_https() as raw:
        target = f"{device.dps_path}?{VERSION}"
        assert raw.request("POST", target, b"{}").status == 401
        found = raw.request("POST", target, b"{}", Authorization=token)

    assert found.json() == result["registrationState"]


def test_poll_over_mqtt_on_another_connection_proves_itself(device: Device) -> None:
    enroll(device)
    token = sign_token(resource(device), KEYS["primaryKey"])
    with device.dial() as raw:
        assert raw.connect(device.name, device.dps_user_name, password=token.encode()) == 0
        raw.subscribe("$dps/registrations/res/#")
        raw.publish(REGISTER, b"", packet_id=None)
        operation_id = json.loads(raw.read().payload)["operationId"]
    for password, status in ((b"x", 401), (token.encode(), 200)):
        with device.dial() as raw:
            assert raw.connect(device.name, device.dps_user_name, password=password) == 0
            raw.subscribe("$dps/registrations/res/#")
            raw.publish(f"{POLL}{operation_id}", b"", packet_id=None)
            assert raw.read().topic.startswith(f"$dps/registrations/res/{status}/")


def test_device_with_a_key_goes_from_dps_to_hub_telemetry(
    register: Register, device: Device
) -> None:
    group_id = enroll_group(device)
    key = derive_key(KEYS["primaryKey"], device.name)
    _, result = register(device, sign_token(resource(device), key))
    state = result["registrationState"]
    hub_resource = f"{state['assignedHub']}/devices/{state['deviceId']}"
    token = sign_token(hub_resource, key, policy=None)

    with device.dial() as raw:
        assert raw.connect(device.name, device.hub_user_name, password=token.encode()) == 0
        raw.publish(f"devices/{device.name}/messages/events/", b'{"n":1}')
        raw.expect(PUBACK)

    assert len(device.cloud.telemetry(device.name)) == 1
    delete_group(device, group_id)
