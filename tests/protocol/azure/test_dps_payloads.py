"""Bodies of the DPS device API, as the SDKs send them and as they must get them back."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.protocol.azure.dps_payloads import (
    MAX_DPS_BODY_BYTES,
    ErrorBody,
    OperationStatus,
    RegisterBody,
    RegistrationState,
    RegistrationStatus,
    RegistrationSubstatus,
    SymmetricKeyResult,
    TpmAttestation,
    TpmResult,
    X509CertificateInfo,
    X509Result,
    announced_model_id,
    decode_error_body,
    decode_operation,
    decode_register_body,
    encode_error_body,
    encode_operation,
    encode_register_body,
)
from mooring.protocol.azure.errors import AzureError, BodyTooLarge, PayloadMalformed

CREATED = datetime(2030, 2, 3, 4, 5, 6, 123456, UTC)
UPDATED = datetime(2030, 2, 3, 4, 5, 6, 765432, UTC)
OPERATION = "4.9ac1d27704be55f3.c0ffee00-1d2e-4f3a-8b4c-5d6e7f809101"

ASSIGNED = RegistrationState(
    registration_id="edge-gw-01",
    status=RegistrationStatus.ASSIGNED,
    created_date_time_utc=CREATED,
    last_updated_date_time_utc=UPDATED,
    substatus=RegistrationSubstatus.INITIAL_ASSIGNMENT,
    assigned_hub="hub.hawser.test",
    device_id="edge-gw-01",
    etag="ImE5ZjAwMTAyLTAwMDAtMDcwMCI=",
    x509=X509Result(enrollment_group_id="plant-7"),
)
INFO = X509CertificateInfo(
    subject_name="CN=edge-gw-01, O=Quay",
    sha1_thumbprint="3F0A" * 10,
    sha256_thumbprint="9C11" * 16,
    issuer_name="",
    not_before_utc=CREATED,
    not_after_utc=UPDATED,
    serial_number="01A2B3C4",
    version=3,
)

texts = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
times = st.none() | st.datetimes(timezones=st.just(UTC))
infos = st.none() | st.just(INFO)
states = st.builds(
    RegistrationState,
    registration_id=st.text("abc-", min_size=1),
    status=st.sampled_from(RegistrationStatus),
    created_date_time_utc=times,
    last_updated_date_time_utc=times,
    substatus=texts,
    assigned_hub=st.text("hub.", min_size=1),
    device_id=st.text("dev", min_size=1),
    etag=texts,
    error_code=st.none() | st.integers(400000, 599999),
    error_message=texts,
    x509=st.none() | st.builds(X509Result, texts, infos, infos),
    symmetric_key=st.none() | st.builds(SymmetricKeyResult, texts),
    tpm=st.none() | st.builds(TpmResult, texts),
    payload=st.none() | st.dictionaries(st.text("ab"), st.integers() | st.lists(st.booleans())),
    issued_certificate_chain=st.none() | st.lists(st.text("AZaz09+/=")).map(tuple),
)


@pytest.mark.parametrize("data", [b"", b" ", b"\r\n\t ", b"{}", b'{"payload":null}'])
def test_register_body_when_empty_or_blank_carries_nothing(data: bytes) -> None:
    assert decode_register_body(data) == RegisterBody()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"payload": null, "registrationId": "gw1"}', RegisterBody("gw1")),  # Python
        (b'{"registrationId":"gw1"}', RegisterBody("gw1")),  # Node
        (b'{"payload":{"modelId":"dtmi:a;1"}}', RegisterBody(None, {"modelId": "dtmi:a;1"})),
        (b'{"payload":"{\\"a\\":1}"}', RegisterBody(None, '{"a":1}')),  # Java
        (b'{"payload":[1,true]}', RegisterBody(None, [1, True])),
        (b'{"payload":7,"unknown":{"x":1}}', RegisterBody(None, 7)),
        (b'{"payload":false}', RegisterBody(None, False)),
        (b'{"csr":"MIIB"}', RegisterBody(csr="MIIB")),
        (
            b'{"tpm":{"endorsementKey":"ek","storageRootKey":"srk"}}',
            RegisterBody(tpm=TpmAttestation("ek", "srk")),
        ),
    ],
)
def test_register_body_when_an_sdk_sends_it_is_read(data: bytes, expected: RegisterBody) -> None:
    assert decode_register_body(data) == expected


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (b"[]", "body"),
        (b"null", "body"),
        (b"register", "body"),
        (b'{"registrationId":7}', "registrationId"),
        (b'{"csr":{}}', "csr"),
        (b'{"tpm":"x"}', "tpm"),
        (b'{"tpm":{}}', "tpm.endorsementKey"),
        (b'{"tpm":{"endorsementKey":1}}', "tpm.endorsementKey"),
    ],
)
def test_register_body_when_wrong_names_the_member(data: bytes, field: str) -> None:
    with pytest.raises(PayloadMalformed) as refusal:
        decode_register_body(data)
    assert refusal.value.field == field
    assert field in refusal.value.message


@pytest.mark.parametrize("filler", [b" ", b"1"])
def test_register_body_when_above_96_kb_is_refused(filler: bytes) -> None:
    assert MAX_DPS_BODY_BYTES == 96 * 1024
    with pytest.raises(BodyTooLarge):
        decode_register_body(filler * (MAX_DPS_BODY_BYTES + 1))
    decode_register_body(b" " * MAX_DPS_BODY_BYTES)


def test_register_body_when_encoded_has_payload_only_if_given() -> None:
    assert encode_register_body("gw1") == b'{"registrationId":"gw1"}'
    assert (
        encode_register_body("gw1", {"modelId": "dtmi:a;1"})
        == b'{"registrationId":"gw1","payload":{"modelId":"dtmi:a;1"}}'
    )


def test_operation_when_assigning_is_what_the_register_answer_holds() -> None:
    data = encode_operation(OperationStatus("4.77aa01.5e1f", RegistrationStatus.ASSIGNING))
    assert data == b'{"operationId":"4.77aa01.5e1f","status":"assigning"}'


def test_operation_when_assigned_matches_the_vector() -> None:
    data = encode_operation(OperationStatus(OPERATION, RegistrationStatus.ASSIGNED, ASSIGNED))
    assert json.loads(data) == {
        "operationId": OPERATION,
        "status": "assigned",
        "registrationState": {
            "x509": {"enrollmentGroupId": "plant-7"},
            "registrationId": "edge-gw-01",
            "createdDateTimeUtc": "2030-02-03T04:05:06.1234560Z",
            "assignedHub": "hub.hawser.test",
            "deviceId": "edge-gw-01",
            "status": "assigned",
            "substatus": "initialAssignment",
            "lastUpdatedDateTimeUtc": "2030-02-03T04:05:06.7654320Z",
            "etag": "ImE5ZjAwMTAyLTAwMDAtMDcwMCI=",
        },
    }


def test_operation_when_individual_keeps_its_empty_x509_object() -> None:
    state = RegistrationState("gw", RegistrationStatus.DISABLED, x509=X509Result())
    data = encode_operation(OperationStatus("op", RegistrationStatus.DISABLED, state))
    assert json.loads(data)["registrationState"] == {
        "x509": {},
        "registrationId": "gw",
        "status": "disabled",
    }


@pytest.mark.parametrize(
    "operation",
    [
        OperationStatus(None, RegistrationStatus.ASSIGNING),
        OperationStatus("", RegistrationStatus.ASSIGNING),
        OperationStatus("op", RegistrationStatus.ASSIGNED),
        OperationStatus("op", RegistrationStatus.FAILED),
        OperationStatus("op", RegistrationStatus.DISABLED),
        OperationStatus(
            "op",
            RegistrationStatus.ASSIGNED,
            RegistrationState("gw", RegistrationStatus.ASSIGNED, device_id="gw"),
        ),
        OperationStatus(
            "op",
            RegistrationStatus.ASSIGNED,
            RegistrationState("gw", RegistrationStatus.ASSIGNED, assigned_hub="h"),
        ),
        OperationStatus(
            "op",
            RegistrationStatus.FAILED,
            RegistrationState("gw", RegistrationStatus.FAILED, payload=["x"]),
        ),
    ],
)
def test_operation_when_an_sdk_would_fail_on_it_is_not_encoded(operation: OperationStatus) -> None:
    with pytest.raises(ValueError, match=r"needs|must"):
        encode_operation(operation)


@given(st.none() | st.text("0123456789abcdef.-", min_size=1, max_size=64), states)
def test_operation_when_encoded_decodes_back(
    operation_id: str | None, state: RegistrationState
) -> None:
    operation = OperationStatus(operation_id or "op", state.status, state)
    data = encode_operation(operation)
    assert data.isascii()
    assert decode_operation(data) == operation


def test_operation_when_service_is_newer_ignores_what_it_added() -> None:
    operation = decode_operation(
        b'{"status":"assigned","future":[1],"registrationState":{"registrationId":"gw",'
        b'"status":"assigned","assignedHub":"h","deviceId":"d","substatus":"brandNew",'
        b'"x509":null,"etag":null,"added":{"x":1},"payload":[1]}}'
    )
    assert operation == OperationStatus(
        None,
        RegistrationStatus.ASSIGNED,
        RegistrationState(
            "gw",
            RegistrationStatus.ASSIGNED,
            substatus="brandNew",
            assigned_hub="h",
            device_id="d",
            payload=[1],
        ),
    )


def test_operation_when_status_is_the_historical_word_means_disabled() -> None:
    assert decode_operation(b'{"status":"blacklisted"}').status is RegistrationStatus.DISABLED


def state_body(**members: Any) -> bytes:
    state = {"registrationId": "gw", "status": "failed", **members}
    return json.dumps(
        {"operationId": "op", "status": "failed", "registrationState": state}
    ).encode()


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (b"", "body"),
        (b"<html>", "body"),
        (b"[]", "body"),
        (b"{}", "status"),
        (b'{"status":""}', "status"),
        (b'{"status":1}', "status"),
        (b'{"status":"lost"}', "status"),
        (b'{"status":"assigned"}', "registrationState"),
        (b'{"status":"assigning","operationId":4}', "operationId"),
        (b'{"status":"failed","registrationState":[]}', "registrationState"),
        (b'{"status":"failed","registrationState":{}}', "registrationState.registrationId"),
        (
            (
                b'{"status":"assigned","registrationState":{"registrationId":"g","status":"assigned",'
                b'"assignedHub":"h"}}'
            ),
            "registrationState",
        ),
        (state_body(status="odd"), "registrationState.status"),
        (state_body(assignedHub=7), "registrationState.assignedHub"),
        (state_body(errorCode="400208"), "registrationState.errorCode"),
        (state_body(errorCode=True), "registrationState.errorCode"),
        (state_body(createdDateTimeUtc="soon"), "registrationState.createdDateTimeUtc"),
        (state_body(createdDateTimeUtc=5), "registrationState.createdDateTimeUtc"),
        (state_body(x509="x"), "registrationState.x509"),
        (state_body(tpm=[]), "registrationState.tpm"),
        (state_body(issuedCertificateChain="x"), "registrationState.issuedCertificateChain"),
        (state_body(issuedCertificateChain=["x", 1]), "registrationState.issuedCertificateChain"),
        (
            state_body(x509={"certificateInfo": {}}),
            "registrationState.x509.certificateInfo.subjectName",
        ),
        (
            state_body(x509={"certificateInfo": {"subjectName": "", "sha1Thumbprint": ""}}),
            "registrationState.x509.certificateInfo.sha1Thumbprint",
        ),
    ],
)
def test_operation_when_wrong_names_the_member(data: bytes, field: str) -> None:
    with pytest.raises(AzureError) as refusal:
        decode_operation(data)
    assert refusal.value.field == field
    assert field in refusal.value.message


@pytest.mark.parametrize(
    ("status", "terminal"),
    [
        (RegistrationStatus.UNASSIGNED, False),
        (RegistrationStatus.ASSIGNING, False),
        (RegistrationStatus.ASSIGNED, True),
        (RegistrationStatus.FAILED, True),
        (RegistrationStatus.DISABLED, True),
    ],
)
def test_status_when_terminal_ends_the_polling(status: RegistrationStatus, terminal: bool) -> None:
    assert status.is_terminal is terminal


def test_error_body_when_encoded_has_the_members_of_the_device_api() -> None:
    body = ErrorBody(401002, "Invalid certificate.", "0b8e2f44", CREATED, {"k": "v"})
    assert json.loads(encode_error_body(body)) == {
        "errorCode": 401002,
        "trackingId": "0b8e2f44",
        "message": "Invalid certificate.",
        "info": {"k": "v"},
        "timestampUtc": "2030-02-03T04:05:06.1234560Z",
    }
    assert body.http_status == 401


@given(
    st.builds(
        ErrorBody,
        st.none() | st.integers(400000, 599999),
        st.text(max_size=10),
        st.none() | st.text(max_size=5),
        times,
        st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
    )
)
def test_error_body_when_encoded_decodes_back(body: ErrorBody) -> None:
    data = encode_error_body(body)
    assert data.isascii()
    assert decode_error_body(data) == body


def test_error_body_when_in_the_second_shape_is_read_too() -> None:
    body = decode_error_body(
        b'{"Message":"ErrorCode:ArgumentInvalid;no","ExceptionMessage":"Tracking ID:4f0c-G:1"}'
    )
    assert body == ErrorBody(None, "ErrorCode:ArgumentInvalid;no", "4f0c-G:1")
    assert body.http_status is None
    assert decode_error_body(b'{"Message":"x"}').tracking_id is None


def test_error_body_when_info_holds_other_types_spells_them_out() -> None:
    body = decode_error_body(b'{"errorCode":429001,"info":{"n":1,"t":"x"},"message":null}')
    assert body == ErrorBody(429001, "", info={"n": "1", "t": "x"})


@pytest.mark.parametrize("data", [b"", b"<html>", b'{"errorCode":"x"}', b'{"Message":1}'])
def test_error_body_when_unreadable_is_refused(data: bytes) -> None:
    with pytest.raises(PayloadMalformed):
        decode_error_body(data)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"modelId": "dtmi:a;1"}, "dtmi:a;1"),
        ({"iotcModelId": "dtmi:b;2"}, "dtmi:b;2"),
        ({"modelId": "", "iotcModelId": "dtmi:b;2"}, "dtmi:b;2"),
        ('{"modelId":"dtmi:c;3"}', "dtmi:c;3"),
        ("no json", None),
        ("\ud800", None),
        ('"{}"', None),
        ({"modelId": 7}, None),
        ([], None),
        (None, None),
    ],
)
def test_model_id_when_announced_in_any_way_is_found(payload: Any, expected: str | None) -> None:
    assert announced_model_id(payload) == expected


@given(st.binary(max_size=60))
def test_decode_when_bytes_are_arbitrary_raises_nothing_else(data: bytes) -> None:
    for decode in (decode_register_body, decode_operation, decode_error_body):
        with contextlib.suppress(AzureError):
            decode(data)
