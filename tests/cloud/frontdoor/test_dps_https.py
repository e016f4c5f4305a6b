"""The device API of DPS over HTTPS as bytes on a real TLS socket, and its attempt records."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.cloud.conftest import Device, MakeDevice
from tests.support.certificates import certify, key_of
from tests.support.cloud import CloudThread
from tests.support.rawhttp import RawHttp, Reply

from mooring.cloud.dps.model import Operation
from mooring.cloud.dps.store import RegistrationBasis
from mooring.protocol.azure.registration_state import RegistrationStatus
from mooring.storage.errors import StorageFull

VERSION = "api-version=2021-06-01"
JSON = {"Content_Type": "application/json; charset=utf-8"}


def put(raw: RawHttp, device: Device, body: bytes | None = b"{}", query: str = VERSION) -> Reply:
    """Send a register request."""
    return raw.request("PUT", f"{device.dps_path}/register?{query}", body, **JSON)


def poll(raw: RawHttp, device: Device, operation_id: str, query: str = VERSION) -> Reply:
    """Ask how an operation stands."""
    return raw.request("GET", f"{device.dps_path}/operations/{operation_id}?{query}")


def register(raw: RawHttp, device: Device, body: bytes | None = b"{}") -> dict[str, Any]:
    """Register and return the result of the first poll."""
    accepted = put(raw, device, body)
    assert accepted.status == 202, accepted
    done = poll(raw, device, accepted.json()["operationId"])
    assert done.status == 200, done
    return dict(done.json())


def assert_error(reply: Reply, code: int) -> dict[str, Any]:
    """Check an error answer as dps.md 1.9 and 2.1 have it and return its body."""
    assert reply.status == code // 1000, reply
    body = dict(reply.json())
    assert body["errorCode"] == code
    assert body["message"]
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", body["trackingId"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z", body["timestampUtc"])
    assert reply["x-ms-request-id"] == body["trackingId"]
    assert reply["x-ms-error-code"] == str(code)
    assert reply["content-type"] == "application/json; charset=utf-8"
    return body


# -- the good way -------------------------------------------------------------------------------


def test_register_and_poll_answer_as_azure_does(cloud: CloudThread, enrolled: Device) -> None:
    with enrolled.over_https() as raw:
        accepted = put(raw, enrolled)
        body = accepted.json()
        operation_id = body["operationId"]

        assert accepted.status == 202
        assert body == {"operationId": operation_id, "status": "assigning"}
        assert accepted["retry-after"] == "3"
        assert accepted["location"] == (
            f"https://{raw.host}{enrolled.dps_path}/operations/{operation_id}?{VERSION}"
        )
        assert accepted["content-type"] == "application/json; charset=utf-8"

        done = raw.request("GET", accepted["location"].removeprefix(f"https://{raw.host}"))
        result = done.json()
        state = result["registrationState"]

    assert done.status == 200
    assert "retry-after" not in done
    assert "location" not in done
    assert result["operationId"] == operation_id
    assert result["status"] == state["status"] == "assigned"
    assert state["assignedHub"] == cloud.address
    assert state["deviceId"] == state["registrationId"] == enrolled.name
    assert state["substatus"] == "initialAssignment"
    assert state["x509"] == {}
    assert "payload" not in state
    assert {"createdDateTimeUtc", "lastUpdatedDateTimeUtc", "etag"} <= state.keys()


def test_register_with_a_group_names_it(cloud: CloudThread, make_device: MakeDevice) -> None:
    """dps.md 7.2: the device presents its leaf and the intermediate that issued it."""
    root = certify("quayroot", key_of("ec#https-root"), ca=True)
    line = certify("quay line a", key_of("ec#https-line"), root, ca=True)
    cloud.add_ca("httpsroot", root.pem.decode())
    cloud.add_group("https-plant-7", "httpsroot")
    device = make_device(
        "edge-gw-01", credential=certify("edge-gw-01", key_of("ec"), line), above=(line,)
    )
    payload = b'{"registrationId":"edge-gw-01","payload":{"modelId":"dtmi:example:Gateway;1"}}'

    with device.over_https() as raw:
        result = register(raw, device, payload)

    assert result["registrationState"]["x509"] == {"enrollmentGroupId": "https-plant-7"}
    assert result["registrationState"]["deviceId"] == "edge-gw-01"


@pytest.mark.parametrize(
    "body",
    [
        None,
        b"",
        b" ",
        b"{}",
        b'{"payload":null}',
        b'{"payload":"{\\"a\\":1}"}',
        b'{"payload":[1,{"b":null}],"unknown":true}',
        b'{"tpm":null,"csr":null}',
    ],
)
def test_register_with_any_body_of_the_sdks_is_taken(enrolled: Device, body: bytes | None) -> None:
    with enrolled.over_https() as raw:
        assert register(raw, enrolled, body)["status"] == "assigned"


@pytest.mark.parametrize(
    "version",
    [
        "2017-08-31-preview",
        "2018-04-01",
        "2018-09-01-preview",
        "2018-11-01",
        "2019-03-31",
        "2021-06-01",
        "2021-10-01",
        "2021-11-01-preview",
        "2025-07-01-preview",
        "2026-11-01",
        "2031-12-31",
    ],
)
def test_any_api_version_of_this_shape_is_served(enrolled: Device, version: str) -> None:
    with enrolled.over_https() as raw:
        accepted = put(raw, enrolled, query=f"api-version={version}")
        assert accepted.status == 202
        assert accepted["location"].endswith(f"?api-version={version}")
        operation_id = accepted.json()["operationId"]
        assert poll(raw, enrolled, operation_id, f"api-version={version}").status == 200


def test_unknown_query_parameters_are_ignored(enrolled: Device) -> None:
    with enrolled.over_https() as raw:
        query = f"forceRegistration=true&{VERSION}&unknown=%00&&=x"
        accepted = put(raw, enrolled, query=query)
        assert accepted.status == 202
        assert poll(raw, enrolled, accepted.json()["operationId"], query).status == 200


def test_name_of_the_api_version_ignores_case(enrolled: Device) -> None:
    with enrolled.over_https() as raw:
        assert put(raw, enrolled, query="Api-Version=2021-06-01").status == 202


def test_ids_in_the_path_may_be_percent_encoded(
    cloud: CloudThread, make_device: MakeDevice
) -> None:
    device = make_device("Dock:7_a.b-c")
    cloud.enroll(device.name, device.pem)
    scope = "".join(f"%{ord(letter):02x}" for letter in cloud.id_scope)
    path = f"/{scope}/registrations/Dock%3A7%5fa%2Eb-c"

    with device.over_https() as raw:
        accepted = raw.request("PUT", f"{path}/register?{VERSION}", b"{}", **JSON)
        assert accepted.status == 202
        # what comes back can be dialled by everybody
        assert f"/{cloud.id_scope}/registrations/Dock%3A7_a.b-c/" in accepted["location"]
        done = raw.request("GET", f"{path}/operations/{accepted.json()['operationId']}?{VERSION}")

    assert done.status == 200
    assert done.json()["registrationState"]["registrationId"] == device.name


def test_registration_id_ignores_case_and_keeps_its_first_spelling(
    cloud: CloudThread, enrolled: Device
) -> None:
    path = f"/{cloud.id_scope}/registrations/{enrolled.name.upper()}"
    with enrolled.over_https() as raw:
        register(raw, enrolled)
        accepted = raw.request("PUT", f"{path}/register?{VERSION}", b"{}", **JSON)
        done = raw.request("GET", f"{path}/operations/{accepted.json()['operationId']}?{VERSION}")

    assert done.json()["registrationState"]["registrationId"] == enrolled.name


@pytest.mark.parametrize("body", [b"", b"{}", b" ", b"not json", b"{}" * 10_000])
def test_poll_with_a_body_is_answered(enrolled: Device, body: bytes) -> None:
    """Node sends ``{}`` with it; C repeats the register body."""
    with enrolled.over_https() as raw:
        operation_id = put(raw, enrolled).json()["operationId"]
        path = f"{enrolled.dps_path}/operations/{operation_id}?{VERSION}"
        assert raw.request("GET", path, body, **JSON).status == 200
        assert raw.request("GET", path).status == 200  # the connection is in step


def test_each_request_may_have_a_connection_of_its_own(enrolled: Device) -> None:
    with enrolled.over_https() as raw:
        operation_id = put(raw, enrolled).json()["operationId"]
    with enrolled.over_https() as raw:
        done = poll(raw, enrolled, operation_id)

    assert done.json()["status"] == "assigned"
    (record,) = enrolled.attempts()
    assert record["result"] == "succeeded"


def test_operation_begun_over_mqtt_can_be_polled_over_https(enrolled: Device) -> None:
    with enrolled.at_dps() as raw:
        raw.publish("$dps/registrations/PUT/iotdps-register/?$rid=1", b"", packet_id=None)
        operation_id = json.loads(raw.read().payload)["operationId"]
    with enrolled.over_https() as https:
        assert poll(https, enrolled, operation_id).json()["status"] == "assigned"


def test_operation_that_is_not_finished_is_answered_202_on_either_transport(
    cloud: CloudThread, enrolled: Device
) -> None:
    """None takes that long at present; the device would have to be told so all the same."""
    operation_id = store_unfinished_operation(cloud, enrolled)
    with enrolled.over_https() as raw, enrolled.at_dps() as mqtt:
        reply = poll(raw, enrolled, operation_id)
        mqtt.publish(
            f"$dps/registrations/GET/iotdps-get-operationstatus/?$rid=9&operationId={operation_id}",
            b"",
            packet_id=None,
        )
        answer = mqtt.read()

    assert reply.status == 202
    assert reply["retry-after"] == "3"
    assert reply["location"].endswith(f"/operations/{operation_id}?{VERSION}")
    assert answer.topic == "$dps/registrations/res/202/?$rid=9&retry-after=3"
    for body in (reply.body, answer.payload):
        assert json.loads(body) == {"operationId": operation_id, "status": "assigning"}


def store_unfinished_operation(cloud: CloudThread, device: Device) -> str:
    """Put an operation of `device` into the store that is still going on."""
    assert cloud.application is not None
    dps = cloud.application.dps
    with device.over_https() as raw:
        register(raw, device)

    async def work() -> str:
        found = await dps._store.find_registration(device.name)
        enrollment = await dps.enrollments.get(device.name)
        assert found is not None
        basis = RegistrationBasis(enrollment.etag, None, found.etag)
        going_on = replace(found, status=RegistrationStatus.ASSIGNING, substatus=None)
        operation = Operation("4.going.on", going_on, datetime.now(UTC))
        await dps._store.commit(dps._store.prepare_registration(operation, basis, limit=1000))
        return operation.operation_id

    return str(cloud.run(work()))


# -- look-up ------------------------------------------------------------------------------------


def look_up(raw: RawHttp, device: Device, body: bytes | None = b"{}") -> Reply:
    """Ask for the device's registration record."""
    return raw.request("POST", f"{device.dps_path}?{VERSION}", body, **JSON)


def test_look_up_brings_the_bare_registration_state(enrolled: Device) -> None:
    with enrolled.over_https() as raw:
        state = register(raw, enrolled)["registrationState"]
        found = look_up(raw, enrolled, json.dumps({"registrationId": enrolled.name}).encode())

    assert found.status == 200
    assert found.json() == state
    assert "retry-after" not in found


def test_look_up_before_registering_is_answered_404(enrolled: Device) -> None:
    with enrolled.over_https() as raw:
        assert_error(look_up(raw, enrolled), 404202)

    (record,) = enrolled.attempts()
    assert record["kind"] == "registration-lookup"
    assert record["failure"]["code"] == "registration-not-found"


def test_look_up_by_another_certificate_is_answered_401(
    cloud: CloudThread, enrolled: Device, make_device: MakeDevice
) -> None:
    with enrolled.over_https() as raw:
        register(raw, enrolled)
    stranger = make_device(enrolled.name, credential=certify(enrolled.name, key_of("ec#2")))

    with stranger.over_https() as raw:
        assert_error(look_up(raw, stranger), 401002)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"registrationId":"other"}', 400006),
        (b'{"csr":"MIIB"}', 400004),
        (b'{"tpm":{"endorsementKey":"a"}}', 400004),
        (b"[", 400001),
    ],
)
def test_look_up_with_a_bad_body_is_answered_400(enrolled: Device, body: bytes, code: int) -> None:
    with enrolled.over_https() as raw:
        assert_error(look_up(raw, enrolled, body), code)


# -- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "api-version-missing"),
        ("version=2021-06-01", "api-version-missing"),
        ("api-version=", "api-version-malformed"),
        ("api-version=latest", "api-version-malformed"),
        ("api-version=2021-6-1", "api-version-malformed"),
        ("api-version=2021-13-01", "api-version-malformed"),
        ("api-version=2016-11-14", "api-version-malformed"),
        ("api-version=2021-06-01-beta", "api-version-malformed"),
    ],
)
def test_request_without_a_usable_api_version_is_answered_400(
    enrolled: Device, query: str, code: str
) -> None:
    with enrolled.over_https() as raw:
        for reply in (
            put(raw, enrolled, query=query),
            poll(raw, enrolled, "4.0.0", query),
            raw.request("POST", f"{enrolled.dps_path}?{query}", b"{}", **JSON),
        ):
            assert "api-version" in assert_error(reply, 400004)["message"]

    assert {record["failure"]["code"] for record in enrolled.attempts()} == {code}


@pytest.mark.parametrize(
    ("body", "code", "kebab"),
    [
        (b"{", 400001, "json-malformed"),
        (b"[]", 400004, "payload-malformed"),
        (b'{"registrationId":"other"}', 400006, "registration-id-mismatch"),
        (b'{"csr":"MIIB"}', 400004, "csr-not-served"),
        (b'{"tpm":{"endorsementKey":"AQ=="}}', 400004, "tpm-not-served"),
    ],
)
def test_register_with_a_bad_body_is_answered_400(
    enrolled: Device, body: bytes, code: int, kebab: str
) -> None:
    with enrolled.over_https() as raw:
        error = assert_error(put(raw, enrolled, body), code)
        assert register(raw, enrolled)["status"] == "assigned"  # on the same connection

    (record,) = enrolled.attempts(result="failed")
    assert (record["failure"]["stage"], record["failure"]["code"]) == ("register", kebab)
    assert record["wire_ids"]["trackingId"] == [error["trackingId"]]


@pytest.mark.parametrize("announced", [True, False])
def test_register_with_a_body_above_96_kb_is_answered_400_and_not_read_on(
    enrolled: Device, announced: bool
) -> None:
    with enrolled.over_https() as raw:
        head = f"PUT {enrolled.dps_path}/register?{VERSION} HTTP/1.1\r\nHost: {raw.host}\r\n"
        if announced:
            raw.send(f"{head}Content-Length: 104857600\r\n\r\n".encode())
        else:
            raw.send(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
            piece = b"x" * 32_768
            for _ in range(4):
                raw.send(b"8000\r\n" + piece + b"\r\n")
        reply = raw.read()  # without the rest of the body
        assert_error(reply, 400004)
        assert reply["connection"] == "close"

    assert enrolled.attempts()[0]["failure"]["code"] == "body-too-large"


def test_register_with_a_body_of_96_kb_is_taken(enrolled: Device) -> None:
    body = b'{"payload":"' + b"x" * (96 * 1024 - 14) + b'"}'
    assert len(body) == 96 * 1024
    with enrolled.over_https() as raw:
        assert put(raw, enrolled, body).status == 202
        assert_error(put(raw, enrolled, body + b" "), 400004)


@pytest.mark.parametrize(
    ("media_type", "status"),
    [
        ("application/json", 202),
        ("Application/JSON;charset=UTF-8", 202),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/jsonp", 415),
    ],
)
def test_register_with_another_media_type_is_answered_415(
    enrolled: Device, media_type: str, status: int
) -> None:
    with enrolled.over_https() as raw:
        target = f"{enrolled.dps_path}/register?{VERSION}"
        reply = raw.request("PUT", target, b"{}", Content_Type=media_type)
        assert reply.status == status
        if status == 415:
            assert "application/json" in assert_error(reply, 415000)["message"]
        # without a body, or without a type, there is nothing to object to
        assert raw.request("PUT", target, b"", Content_Type=media_type).status == 202
        assert raw.request("PUT", target, b"{}").status == 202


@pytest.mark.parametrize(
    ("method", "suffix", "allowed"),
    [
        ("POST", "/register", "PUT"),
        ("GET", "/register", "PUT"),
        ("PUT", "/operations/4.0.0", "GET"),
        ("DELETE", "/operations/4.0.0", "GET"),
        ("HEAD", "/operations/4.0.0", "GET"),
        ("GET", "", "POST"),
        ("PUT", "", "POST"),
        ("OPTIONS", "", "POST"),
    ],
)
def test_method_that_is_not_allowed_is_answered_405(
    enrolled: Device, method: str, suffix: str, allowed: str
) -> None:
    with enrolled.over_https() as raw:
        raw.send(raw.format_request(method, f"{enrolled.dps_path}{suffix}?{VERSION}"))
        if method == "HEAD":
            assert raw.socket.recv(100).startswith(b"HTTP/1.1 405 ")
            return
        reply = raw.read()

    assert_error(reply, 405000)
    assert reply["allow"] == allowed


@pytest.mark.parametrize("suffix", ["/", "/registr", "/operations", "/register/x"])
def test_path_without_a_meaning_is_answered_404(enrolled: Device, suffix: str) -> None:
    with enrolled.over_https() as raw:
        assert_error(raw.request("PUT", f"{enrolled.dps_path}{suffix}?{VERSION}"), 404000)


def test_register_with_an_unknown_id_scope_is_answered_404(enrolled: Device) -> None:
    path = f"/0neFFFFFFFF/registrations/{enrolled.name}"
    with enrolled.over_https() as raw:
        assert_error(raw.request("PUT", f"{path}/register?{VERSION}", b"{}", **JSON), 404001)
        operation_id = put(raw, enrolled).json()["operationId"]
        assert_error(raw.request("GET", f"{path}/operations/{operation_id}?{VERSION}"), 404001)
        assert_error(raw.request("POST", f"{path}?{VERSION}", b"{}", **JSON), 404001)


def test_register_with_a_malformed_registration_id_is_answered_400(enrolled: Device) -> None:
    path = f"/{enrolled.cloud.id_scope}/registrations"
    with enrolled.over_https() as raw:
        for name in ("a%20b", "%C3%A4", "%FF", "a%0Ab", "x" * 129, "dot."):
            reply = raw.request("PUT", f"{path}/{name}/register?{VERSION}", b"{}", **JSON)
            assert_error(reply, 400004)


def test_register_without_credentials_is_answered_401(make_device: MakeDevice) -> None:
    device = make_device(certificate=False)
    with device.over_https() as raw:
        reply = put(raw, device)

    assert_error(reply, 401002)
    assert reply["www-authenticate"] == "SharedAccessSignature"
    assert device.attempts()[0]["failure"]["stage"] == "identity"


@pytest.mark.parametrize("value", ["Bearer x", "SharedAccessSignature x", "x" * 5000, "\xff"])
def test_register_with_an_authorization_that_proves_nothing_is_answered_401(
    make_device: MakeDevice, value: str
) -> None:
    device = make_device(certificate=False)
    with device.over_https() as raw:
        target = f"{device.dps_path}/register?{VERSION}"
        assert_error(raw.request("PUT", target, b"{}", Authorization=value), 401002)


def test_register_with_another_certificate_than_enrolled_is_answered_401(
    cloud: CloudThread, make_device: MakeDevice
) -> None:
    device = make_device()
    cloud.enroll(device.name, certify(device.name, key_of("ec#2")).pem.decode())
    with device.over_https() as raw:
        error = assert_error(put(raw, device), 401002)

    assert error["message"] == "Invalid certificate."
    assert device.attempts()[0]["failure"]["code"] == "certificate-not-enrolled"


def test_register_when_the_storage_is_full_is_answered_503_with_retry_after(
    cloud: CloudThread, enrolled: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cloud.application is not None

    async def full(command: object) -> object:
        raise StorageFull("no space is left", "free some")

    monkeypatch.setattr(cloud.application.dps, "register", full)
    with enrolled.over_https() as raw:
        reply = put(raw, enrolled)

    assert "space" not in assert_error(reply, 503001)["message"]
    assert reply["retry-after"] == "5"
    assert enrolled.attempts()[0]["failure"]["code"] == "storage-full"


def test_register_when_the_server_fails_tells_the_tracking_id_and_not_the_cause(
    cloud: CloudThread, enrolled: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cloud.application is not None

    async def broken(command: object) -> object:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(cloud.application.dps, "register", broken)
    with enrolled.over_https() as raw:
        reply = put(raw, enrolled)

    error = assert_error(reply, 500001)
    assert b"secret detail" not in reply.body
    (record,) = cloud.attempts(wire_id=error["trackingId"])
    assert record["failure"]["code"] == "internal-error"


def test_failure_that_nothing_foresaw_has_the_shape_of_the_api(
    cloud: CloudThread, enrolled: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cloud.application is not None

    def broken(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(cloud.application.begun_attempts, "keep", broken)
    with enrolled.over_https() as raw:
        reply = put(raw, enrolled)
        assert_error(reply, 500001)
        assert b"secret" not in reply.body
        assert look_up(raw, enrolled).status == 200  # the connection is in step


def test_client_that_goes_away_within_its_body_is_recorded(
    cloud: CloudThread, enrolled: Device
) -> None:
    with enrolled.over_https() as raw:
        head = raw.format_request("PUT", f"{enrolled.dps_path}/register?{VERSION}", b"{" * 50)
        raw.send(head[:-10])

    (record,) = wait_for_attempts(enrolled)
    assert record["failure"]["code"] == "gone-before-body"


# -- whose operation it is ------------------------------------------------------------------------


@pytest.mark.parametrize("operation_id", ["4.0.0", "x" * 200, "%2E%2E", "%00"])
def test_poll_of_an_unknown_operation_is_answered_404(enrolled: Device, operation_id: str) -> None:
    with enrolled.over_https() as raw:
        assert_error(poll(raw, enrolled, operation_id), 404002)

    assert enrolled.attempts()[0]["failure"]["stage"] == "poll"


def test_poll_of_another_devices_operation_is_answered_404(
    cloud: CloudThread, enrolled: Device, make_device: MakeDevice
) -> None:
    other = make_device()
    cloud.enroll(other.name, other.pem)
    with other.over_https() as raw:
        operation_id = put(raw, other).json()["operationId"]
    with enrolled.over_https() as raw:
        assert_error(poll(raw, enrolled, operation_id), 404002)


@pytest.mark.parametrize("with_certificate", [True, False])
def test_poll_by_another_identity_is_answered_401_and_disturbs_nothing(
    enrolled: Device, make_device: MakeDevice, with_certificate: bool
) -> None:
    stranger = make_device(
        enrolled.name,
        credential=certify(enrolled.name, key_of("ec#2")) if with_certificate else None,
        certificate=with_certificate,
    )
    with enrolled.over_https() as raw, stranger.over_https() as strange:
        operation_id = put(raw, enrolled).json()["operationId"]
        assert_error(poll(strange, stranger, operation_id), 401002)
        assert poll(raw, enrolled, operation_id).json()["status"] == "assigned"

    good, bad = sorted(enrolled.attempts(), key=lambda record: record["result"] == "failed")
    assert good["result"] == "succeeded"
    assert (bad["result"], bad["wire_ids"]["operationId"]) == ("failed", [operation_id])


def test_poll_with_the_other_enrolled_certificate_is_answered_401(
    cloud: CloudThread, make_device: MakeDevice
) -> None:
    device = make_device()
    later = make_device(device.name, credential=certify(device.name, key_of("ec#2")))
    slots = {"primary": {"certificate": device.pem}, "secondary": {"certificate": later.pem}}
    attestation = {"type": "x509", "x509": {"clientCertificates": slots}}
    cloud.enroll(device.name, device.pem, attestation=attestation)
    with device.over_https() as raw, later.over_https() as other:
        operation_id = put(raw, device).json()["operationId"]
        assert_error(poll(other, later, operation_id), 401002)
        assert register(other, later)["status"] == "assigned"
        # The operation was made for the certificate that was good when it began.
        assert poll(raw, device, operation_id).status == 200

    codes = {record["failure"]["code"] for record in device.attempts(result="failed")}
    assert codes == {"certificate-not-of-operation"}


def test_poll_over_mqtt_by_another_certificate_is_answered_401(
    enrolled: Device, make_device: MakeDevice
) -> None:
    stranger = make_device(enrolled.name, credential=certify(enrolled.name, key_of("ec#2")))
    with enrolled.over_https() as raw:
        operation_id = put(raw, enrolled).json()["operationId"]
    with stranger.at_dps() as mqtt:
        topic = "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=1&operationId="
        mqtt.publish(f"{topic}{operation_id}", b"", packet_id=None)
        answer = mqtt.read()

    assert answer.topic == "$dps/registrations/res/401/?$rid=1"
    assert json.loads(answer.payload)["errorCode"] == 401002


# -- in between ---------------------------------------------------------------------------------


def test_poll_that_cannot_be_answered_now_leaves_the_attempt_open(
    cloud: CloudThread, enrolled: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SDKs repeat a poll after 429 and 5xx, so nothing is over yet."""
    assert cloud.application is not None

    async def failing(*_: object) -> object:
        raise StorageFull("no space is left", "free some")

    with enrolled.over_https() as raw, enrolled.at_dps() as mqtt:
        operation_id = put(raw, enrolled).json()["operationId"]
        mqtt.publish("$dps/registrations/PUT/iotdps-register/?$rid=1", b"", packet_id=None)
        own_id = json.loads(mqtt.read().payload)["operationId"]
        topic = "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=2&operationId="
        with monkeypatch.context() as patch:
            patch.setattr(cloud.application.dps, "get_operation", failing)
            reply = poll(raw, enrolled, operation_id)
            assert_error(reply, 503001)
            assert reply["retry-after"] == "5"
            mqtt.publish(f"{topic}{own_id}", b"", packet_id=None)
            assert mqtt.read().topic == "$dps/registrations/res/503/?$rid=2&retry-after=5"
        assert enrolled.attempts() == []
        assert poll(raw, enrolled, operation_id).status == 200
        mqtt.publish(f"{topic}{own_id}", b"", packet_id=None)
        assert "/res/200/" in mqtt.read().topic

    (record,) = enrolled.attempts()
    assert (record["result"], record["count"]) == ("succeeded", 2)


# -- attempts -------------------------------------------------------------------------------------


def test_registration_leaves_one_attempt_with_every_stage_and_wire_id(enrolled: Device) -> None:
    with enrolled.over_https() as raw:
        accepted = raw.request(
            "PUT",
            f"{enrolled.dps_path}/register?{VERSION}",
            b"{}",
            UserAgent="unit/1.0",  # as the C SDK spells it
            **JSON,
        )
        operation_id = accepted.json()["operationId"]
        assert enrolled.attempts() == []  # it is not over
        poll(raw, enrolled, operation_id)
        poll(raw, enrolled, operation_id)

    (record,) = enrolled.attempts()
    names = [stage["name"] for stage in record["stages"]]
    assert names[:2] == ["tls", "register"]
    assert names[-1] == "poll"
    assert {"attestation", "enrollment", "allocation", "record"} <= set(names)
    assert record["result"] == "succeeded"
    assert record["wire_ids"] == {"operationId": [operation_id]}
    context = record["context"]
    assert context["transport"] == "https"
    assert context["client"] == "unit/1.0"
    assert context["thumbprint"] == enrolled.thumbprint
    assert context["hub"] == enrolled.cloud.address
    assert record["count"] == 1  # to ask once more for what one was told is no attempt


def test_device_that_does_not_come_for_its_result_is_recorded(
    cloud: CloudThread, enrolled: Device
) -> None:
    with enrolled.over_https() as raw:
        operation_id = put(raw, enrolled).json()["operationId"]
    assert cloud.application is not None
    cloud.clock.shift_s += 121
    cloud.call(cloud.application.begun_attempts.expire)

    (record,) = enrolled.attempts()
    assert record["failure"]["code"] == "gone-before-result"
    assert record["wire_ids"]["operationId"] == [operation_id]


def wait_for_attempts(device: Device) -> list[dict[str, Any]]:
    """Return the attempts once there are some."""
    deadline = time.monotonic() + 10
    while not (found := device.attempts()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found
