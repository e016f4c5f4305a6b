"""DPS records as the device API spells them."""

from __future__ import annotations

from mooring.cloud.dps.model import AttestationType, Operation, Registration
from mooring.protocol.azure.dps_payloads import (
    OperationStatus,
    RegistrationState,
    RegistrationStatus,
    SymmetricKeyResult,
    X509Result,
    encode_operation,
)
from mooring.protocol.azure.json_documents import encode_json
from mooring.protocol.azure.registration_state import registration_state_to_json


def registration_state(registration: Registration) -> RegistrationState:
    """Return what a device is told of its registration."""
    assigned = registration.status is RegistrationStatus.ASSIGNED
    group_id = registration.enrollment_group_id
    by_key = registration.attestation_type is AttestationType.SYMMETRIC_KEY
    return RegistrationState(
        registration_id=registration.registration_id,
        status=registration.status,
        created_date_time_utc=registration.created_at,
        last_updated_date_time_utc=registration.updated_at,
        substatus=registration.substatus if assigned else None,
        assigned_hub=registration.assigned_hub if assigned else None,
        device_id=registration.device_id if assigned else None,
        etag=registration.etag,
        error_code=registration.error_code,
        error_message=registration.error_message,
        x509=None if by_key else X509Result(enrollment_group_id=group_id),
        symmetric_key=SymmetricKeyResult(group_id) if by_key else None,
        payload=registration.payload if assigned else None,
    )


def registration_body(registration: Registration) -> bytes:
    """Return the body of the answer to a look-up."""
    return encode_json(registration_state_to_json(registration_state(registration)))


def operation_body(operation: Operation) -> bytes:
    """Return the body of the answer to a poll."""
    registration = operation.registration
    return encode_operation(
        OperationStatus(
            operation.operation_id,
            registration.status,
            registration_state(registration) if registration.status.is_terminal else None,
        )
    )
