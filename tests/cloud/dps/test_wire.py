"""What a device is told of its registration."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from mooring.cloud.dps.model import AttestationType, Operation, Registration
from mooring.cloud.dps.wire import operation_body, registration_body
from mooring.protocol.azure.registration_state import RegistrationStatus, RegistrationSubstatus

AT = datetime(2030, 2, 3, 4, 5, 6, 123456, tzinfo=UTC)
ASSIGNED = Registration(
    registration_id="gw01",
    status=RegistrationStatus.ASSIGNED,
    substatus=RegistrationSubstatus.INITIAL_ASSIGNMENT,
    assigned_hub="hub.hawser.test",
    device_id="pump",
    enrollment_group_id=None,
    error_code=None,
    error_message=None,
    thumbprint="AB" * 32,
    etag="e",
    created_at=AT,
    updated_at=AT,
)


def told(registration: Registration) -> dict[str, Any]:
    """Return the registration state of the answer to a poll, and of a look-up, which agree."""
    body = operation_body(Operation("4.0", registration, AT))
    assert body.isascii()
    state = json.loads(body)["registrationState"]
    assert json.loads(registration_body(registration)) == state
    return dict(state)


@pytest.mark.parametrize(
    ("kind", "group_id", "member", "value"),
    [
        (AttestationType.X509, None, "x509", {}),
        (AttestationType.X509, "plant-7", "x509", {"enrollmentGroupId": "plant-7"}),
        (AttestationType.SYMMETRIC_KEY, None, "symmetricKey", {}),
        (AttestationType.SYMMETRIC_KEY, "k", "symmetricKey", {"enrollmentGroupId": "k"}),
    ],
)
def test_attestation_and_group_are_told(
    kind: AttestationType, group_id: str | None, member: str, value: dict[str, str]
) -> None:
    state = told(replace(ASSIGNED, attestation_type=kind, enrollment_group_id=group_id))

    assert state[member] == value
    assert not {"x509", "symmetricKey", "tpm"} - {member} & state.keys()


def test_payload_is_told_only_where_a_webhook_returned_one() -> None:
    assert "payload" not in told(ASSIGNED)
    assert told(replace(ASSIGNED, payload={"größe": [1, {"b": None}]}))["payload"] == {
        "größe": [1, {"b": None}]
    }
    assert told(replace(ASSIGNED, payload={}))["payload"] == {}


@pytest.mark.parametrize("status", [RegistrationStatus.FAILED, RegistrationStatus.DISABLED])
def test_device_that_is_not_assigned_is_told_of_no_hub(status: RegistrationStatus) -> None:
    state = told(replace(ASSIGNED, status=status, payload={"of": "before"}))

    assert state["status"] == status
    assert not {"assignedHub", "deviceId", "substatus", "payload"} & state.keys()
    assert state["registrationId"] == "gw01"
    assert state["createdDateTimeUtc"] == "2030-02-03T04:05:06.1234560Z"


def test_registration_that_goes_on_is_told_as_assigning_alone() -> None:
    going_on = replace(ASSIGNED, status=RegistrationStatus.ASSIGNING)

    assert json.loads(operation_body(Operation("4.0", going_on, AT))) == {
        "operationId": "4.0",
        "status": "assigning",
    }
