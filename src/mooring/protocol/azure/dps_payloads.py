"""The bodies of the DPS device API: register, operation status, error.

Clients differ widely in what they send with a register request (nothing, a space, only the
payload, everything) and agree in what they need back; both are written down in the functions.
"""

from __future__ import annotations

from dataclasses import dataclass

from mooring.protocol.azure.error_bodies import ErrorBody, decode_error_body, encode_error_body
from mooring.protocol.azure.errors import PayloadMalformed
from mooring.protocol.azure.json_documents import (
    JsonValue,
    decode_json,
    decode_object,
    encode_json,
)
from mooring.protocol.azure.json_members import Members
from mooring.protocol.azure.registration_state import (
    RegistrationState,
    RegistrationStatus,
    RegistrationSubstatus,
    SymmetricKeyResult,
    TpmResult,
    X509CertificateInfo,
    X509Result,
    parse_status,
    registration_state_from_json,
    registration_state_to_json,
)

__all__ = [
    "MAX_DPS_BODY_BYTES",
    "ErrorBody",
    "OperationStatus",
    "RegisterBody",
    "RegistrationState",
    "RegistrationStatus",
    "RegistrationSubstatus",
    "SymmetricKeyResult",
    "TpmAttestation",
    "TpmResult",
    "X509CertificateInfo",
    "X509Result",
    "announced_model_id",
    "decode_error_body",
    "decode_operation",
    "decode_register_body",
    "encode_error_body",
    "encode_operation",
    "encode_register_body",
]

MAX_DPS_BODY_BYTES = 96 * 1024
"""Azure: DPS limits, message size."""


@dataclass(frozen=True, slots=True)
class TpmAttestation:
    """Public parts of the device's TPM keys, base64."""

    endorsement_key: str
    storage_root_key: str | None = None


@dataclass(frozen=True, slots=True)
class RegisterBody:
    """What a device sends with its register request; each may be absent.

    `payload` is any JSON value (the Java SDK sends a string that holds JSON). `csr` is base64
    DER of a PKCS#10 request.
    """

    registration_id: str | None = None
    payload: JsonValue = None
    tpm: TpmAttestation | None = None
    csr: str | None = None


@dataclass(frozen=True, slots=True)
class OperationStatus:
    """The state of a registration that runs or has ended."""

    operation_id: str | None
    status: RegistrationStatus
    registration_state: RegistrationState | None = None


def decode_register_body(data: bytes) -> RegisterBody:
    """Return what a register request carries; an empty or blank body carries nothing.

    Raises:
        BodyTooLarge: More than `MAX_DPS_BODY_BYTES`.
        PayloadMalformed: Not a JSON object, or a member of the wrong type.
    """
    # .NET sends no body without a custom payload; blanks are what Python and Node poll with.
    if len(data) <= MAX_DPS_BODY_BYTES and not data.strip():
        return RegisterBody()
    members = Members(decode_object(data, max_bytes=MAX_DPS_BODY_BYTES))
    tpm = members.members("tpm")
    return RegisterBody(
        registration_id=members.text("registrationId"),
        payload=members.value("payload"),
        tpm=None
        if tpm is None
        else TpmAttestation(tpm.required_text("endorsementKey"), tpm.text("storageRootKey")),
        csr=members.text("csr"),
    )


def encode_register_body(registration_id: str, payload: JsonValue = None) -> bytes:
    """Return the body that the gateway registers with; ``payload`` only when there is one.

    Raises:
        ValueError: A number in `payload` is NaN or infinite.
    """
    document: dict[str, JsonValue] = {"registrationId": registration_id}
    if payload is not None:
        document["payload"] = payload
    return encode_json(document)


def encode_operation(operation: OperationStatus) -> bytes:
    """Return the body of a register or poll answer.

    Raises:
        ValueError: A member is missing that an SDK depends on: an operation id while assigning
            (C), the registration state when terminal (.NET, Java), hub and device id when
            assigned (C, Java).
    """
    if not operation.status.is_terminal and not operation.operation_id:
        raise ValueError("a registration that runs needs an operation id")
    if operation.status.is_terminal and operation.registration_state is None:
        raise ValueError("a registration that has ended needs its registration state")
    document: dict[str, JsonValue] = {}
    if operation.operation_id is not None:
        document["operationId"] = operation.operation_id
    document["status"] = operation.status.value
    if operation.registration_state is not None:
        document["registrationState"] = registration_state_to_json(operation.registration_state)
    return encode_json(document)


def decode_operation(data: bytes) -> OperationStatus:
    """Return what a register or poll answer says; unknown members are ignored.

    Raises:
        BodyTooLarge: More than `MAX_DPS_BODY_BYTES`.
        PayloadMalformed: Not a JSON object, ``status`` is missing or unknown, a member has a
            wrong type, or an assigned state names no hub or no device.
        TimestampMalformed: A time cannot be read.
    """
    members = Members(decode_object(data, max_bytes=MAX_DPS_BODY_BYTES))
    status = parse_status(members.required_text("status"))
    state_members = members.mapping("registrationState")
    state = None if state_members is None else registration_state_from_json(state_members)
    if status is RegistrationStatus.ASSIGNED and not (
        state is not None and state.assigned_hub and state.device_id
    ):
        raise PayloadMalformed(
            "registrationState.assignedHub or registrationState.deviceId is missing "
            "although status is assigned",
            remedy="Report it to the operator of the provisioning service.",
            field="registrationState",
        )
    return OperationStatus(members.text("operationId"), status, state)


def announced_model_id(payload: JsonValue) -> str | None:
    """Return the model id that a register payload announces, or None.

    Keys are ``modelId`` and the older ``iotcModelId``. A string payload is read as JSON once,
    because the Java SDK wraps its payload in a string.
    """
    if isinstance(payload, str):
        try:
            payload = decode_json(payload.encode(), max_bytes=MAX_DPS_BODY_BYTES)
        except (PayloadMalformed, UnicodeEncodeError):
            return None
    if not isinstance(payload, dict):
        return None
    for key in ("modelId", "iotcModelId"):
        model_id = payload.get(key)
        if isinstance(model_id, str) and model_id:
            return model_id
    return None
