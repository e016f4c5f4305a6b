"""``registrationState``: what DPS knows of a device that registered, as the wire spells it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from mooring.protocol.azure.errors import PayloadMalformed, quoted
from mooring.protocol.azure.json_documents import JsonObject, JsonValue
from mooring.protocol.azure.json_members import Members
from mooring.protocol.azure.timestamps import format_timestamp

_Value = TypeVar("_Value")


class RegistrationStatus(StrEnum):
    """Where a registration stands."""

    UNASSIGNED = "unassigned"
    ASSIGNING = "assigning"
    ASSIGNED = "assigned"
    FAILED = "failed"
    DISABLED = "disabled"

    @property
    def is_terminal(self) -> bool:
        """True when polling on would bring nothing new."""
        return self not in {RegistrationStatus.UNASSIGNED, RegistrationStatus.ASSIGNING}


class RegistrationSubstatus(StrEnum):
    """How an assigned registration came about."""

    INITIAL_ASSIGNMENT = "initialAssignment"
    DEVICE_DATA_MIGRATED = "deviceDataMigrated"
    DEVICE_DATA_RESET = "deviceDataReset"
    REPROVISIONED_TO_INITIAL_ASSIGNMENT = "reprovisionedToInitialAssignment"


@dataclass(frozen=True, slots=True)
class X509CertificateInfo:
    """A certificate as DPS describes it; thumbprints and serial number are upper-case hex."""

    subject_name: str
    sha1_thumbprint: str
    sha256_thumbprint: str
    issuer_name: str
    not_before_utc: datetime
    not_after_utc: datetime
    serial_number: str
    version: int


@dataclass(frozen=True, slots=True)
class X509Result:
    """How X.509 attestation went; without a group nothing is in it, and it is still sent."""

    enrollment_group_id: str | None = None
    certificate_info: X509CertificateInfo | None = None
    signing_certificate_info: X509CertificateInfo | None = None


@dataclass(frozen=True, slots=True)
class SymmetricKeyResult:
    """How attestation by symmetric key went."""

    enrollment_group_id: str | None = None


@dataclass(frozen=True, slots=True)
class TpmResult:
    """How attestation by TPM went; the key is encrypted to the device's TPM."""

    authentication_key: str | None = None


@dataclass(frozen=True, slots=True)
class RegistrationState:
    """The device's view of its registration.

    `substatus` is a word of `RegistrationSubstatus`, or one that a newer service invented.
    `payload` is what a custom allocation webhook returned; we send objects only, which is all
    that the Java SDK can read.
    `issued_certificate_chain` is base64 DER, leaf first.
    """

    registration_id: str
    status: RegistrationStatus
    created_date_time_utc: datetime | None = None
    last_updated_date_time_utc: datetime | None = None
    substatus: str | None = None
    assigned_hub: str | None = None
    device_id: str | None = None
    etag: str | None = None
    error_code: int | None = None
    error_message: str | None = None
    x509: X509Result | None = None
    symmetric_key: SymmetricKeyResult | None = None
    tpm: TpmResult | None = None
    payload: JsonValue = None
    issued_certificate_chain: tuple[str, ...] | None = None


def parse_status(text: str, *, field: str = "status") -> RegistrationStatus:
    """Return the status that a word of the wire names.

    Raises:
        PayloadMalformed: No such word; names `field`.
    """
    # The word for "disabled" in the first releases; the C SDK knows it to this day.
    if text == "blacklisted":
        return RegistrationStatus.DISABLED
    try:
        return RegistrationStatus(text)
    except ValueError:
        raise PayloadMalformed(
            f"{field} {quoted(text)} is no status of a registration",
            remedy=f"Known are {', '.join(RegistrationStatus)}.",
            field=field,
        ) from None


def registration_state_to_json(state: RegistrationState) -> JsonObject:
    """Return `state` with the wire's member names; members without a value are left out.

    Raises:
        ValueError: `state` is assigned without hub or device id (the C and Java SDKs would
            fail on it), a payload is no object, or a time is naive.
    """
    if state.status is RegistrationStatus.ASSIGNED and not (state.assigned_hub and state.device_id):
        raise ValueError("an assigned registration needs a hub and a device id")
    if state.payload is not None and not isinstance(state.payload, Mapping):
        raise ValueError("the payload of a registration must be an object")
    members: list[tuple[str, JsonValue]] = [
        ("x509", _x509_to_json(state.x509)),
        ("symmetricKey", _symmetric_key_to_json(state.symmetric_key)),
        ("tpm", _tpm_to_json(state.tpm)),
        ("registrationId", state.registration_id),
        ("createdDateTimeUtc", _format_time(state.created_date_time_utc)),
        ("assignedHub", state.assigned_hub),
        ("deviceId", state.device_id),
        ("status", state.status.value),
        ("substatus", state.substatus),
        ("errorCode", state.error_code),
        ("errorMessage", state.error_message),
        ("lastUpdatedDateTimeUtc", _format_time(state.last_updated_date_time_utc)),
        ("etag", state.etag),
        ("payload", state.payload),
        ("issuedCertificateChain", _as_list(state.issued_certificate_chain)),
    ]
    return without_nulls(members)


def registration_state_from_json(
    value: JsonObject, *, path: str = "registrationState"
) -> RegistrationState:
    """Return the state that a peer sent; unknown members are ignored.

    Raises:
        PayloadMalformed: ``registrationId`` or ``status`` is missing, or a member has a wrong
            type; names the member under `path`.
        TimestampMalformed: A time cannot be read.
    """
    members = Members(value, path)
    x509 = members.members("x509")
    symmetric_key = members.members("symmetricKey")
    tpm = members.members("tpm")
    return RegistrationState(
        registration_id=members.required_text("registrationId"),
        status=parse_status(members.required_text("status"), field=members.field("status")),
        created_date_time_utc=members.timestamp("createdDateTimeUtc"),
        last_updated_date_time_utc=members.timestamp("lastUpdatedDateTimeUtc"),
        substatus=members.text("substatus"),
        assigned_hub=members.text("assignedHub"),
        device_id=members.text("deviceId"),
        etag=members.text("etag"),
        error_code=members.integer("errorCode"),
        error_message=members.text("errorMessage"),
        x509=None if x509 is None else _x509_from_json(x509),
        symmetric_key=None
        if symmetric_key is None
        else SymmetricKeyResult(symmetric_key.text("enrollmentGroupId")),
        tpm=None if tpm is None else TpmResult(tpm.text("authenticationKey")),
        payload=members.value("payload"),
        issued_certificate_chain=members.texts("issuedCertificateChain"),
    )


def certificate_info_to_json(info: X509CertificateInfo) -> JsonObject:
    """Return `info` with its eight members; the Java and .NET SDKs need every one."""
    return {
        "subjectName": info.subject_name,
        "sha1Thumbprint": info.sha1_thumbprint,
        "sha256Thumbprint": info.sha256_thumbprint,
        "issuerName": info.issuer_name,
        "notBeforeUtc": format_timestamp(info.not_before_utc),
        "notAfterUtc": format_timestamp(info.not_after_utc),
        "serialNumber": info.serial_number,
        "version": info.version,
    }


def without_nulls(members: Iterable[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    """Return the members that have a value, in order."""
    return {name: value for name, value in members if value is not None}


def _x509_to_json(x509: X509Result | None) -> JsonValue:
    if x509 is None:
        return None
    return without_nulls(
        [
            ("enrollmentGroupId", x509.enrollment_group_id),
            ("certificateInfo", _info_to_json(x509.certificate_info)),
            ("signingCertificateInfo", _info_to_json(x509.signing_certificate_info)),
        ]
    )


def _info_to_json(info: X509CertificateInfo | None) -> JsonValue:
    return None if info is None else certificate_info_to_json(info)


def _symmetric_key_to_json(result: SymmetricKeyResult | None) -> JsonValue:
    if result is None:
        return None
    return without_nulls([("enrollmentGroupId", result.enrollment_group_id)])


def _tpm_to_json(result: TpmResult | None) -> JsonValue:
    if result is None:
        return None
    return without_nulls([("authenticationKey", result.authentication_key)])


def _x509_from_json(members: Members) -> X509Result:
    certificate = members.members("certificateInfo")
    signer = members.members("signingCertificateInfo")
    return X509Result(
        enrollment_group_id=members.text("enrollmentGroupId"),
        certificate_info=None if certificate is None else _certificate_info(certificate),
        signing_certificate_info=None if signer is None else _certificate_info(signer),
    )


def _certificate_info(members: Members) -> X509CertificateInfo:
    return X509CertificateInfo(
        subject_name=_required(members, "subjectName", members.text("subjectName")),
        sha1_thumbprint=members.required_text("sha1Thumbprint"),
        sha256_thumbprint=members.required_text("sha256Thumbprint"),
        issuer_name=_required(members, "issuerName", members.text("issuerName")),
        not_before_utc=_required(members, "notBeforeUtc", members.timestamp("notBeforeUtc")),
        not_after_utc=_required(members, "notAfterUtc", members.timestamp("notAfterUtc")),
        serial_number=members.required_text("serialNumber"),
        version=_required(members, "version", members.integer("version")),
    )


def _required(members: Members, name: str, value: _Value | None) -> _Value:
    if value is None:
        raise PayloadMalformed(
            f"{members.field(name)} is missing",
            remedy="A certificate is described by eight members; send all.",
            field=members.field(name),
        )
    return value


def _format_time(at: datetime | None) -> str | None:
    return None if at is None else format_timestamp(at)


def _as_list(texts: tuple[str, ...] | None) -> list[JsonValue] | None:
    return None if texts is None else list(texts)
