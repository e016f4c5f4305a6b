"""Conditions on the records that a list gives: members of their documents, compared with values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from mooring.cloud.dps.errors import InputInvalid
from mooring.cloud.dps.model import (
    AllocationPolicy,
    AttestationType,
    EnrollmentGroup,
    ProvisioningStatus,
    SymmetricKeys,
)
from mooring.protocol.azure.dps_queries import Comparison
from mooring.protocol.azure.errors import quoted
from mooring.protocol.azure.identifiers import fold_registration_id as fold
from mooring.protocol.azure.registration_state import RegistrationStatus, RegistrationSubstatus

MAX_SCANNED = 100_000
"""Records that one page is looked for in: some tenths of a second on a reader's thread. Where no
more than a few fit of a million, pages are short, and each says where to go on."""


class QueryField(StrEnum):
    """Members that records can be asked by, as the service API spells them."""

    REGISTRATION_ID = "registrationId"
    ENROLLMENT_GROUP_ID = "enrollmentGroupId"
    DEVICE_ID = "deviceId"
    PROVISIONING_STATUS = "provisioningStatus"
    ALLOCATION_POLICY = "allocationPolicy"
    ATTESTATION_TYPE = "attestation.type"
    IOT_EDGE = "capabilities.iotEdge"
    STATUS = "status"
    SUBSTATUS = "substatus"
    ASSIGNED_HUB = "assignedHub"


_TERMS = (
    QueryField.PROVISIONING_STATUS,
    QueryField.ALLOCATION_POLICY,
    QueryField.ATTESTATION_TYPE,
    QueryField.IOT_EDGE,
)
ENROLLMENT_FIELDS = (QueryField.REGISTRATION_ID, QueryField.DEVICE_ID, *_TERMS)
GROUP_FIELDS = (QueryField.ENROLLMENT_GROUP_ID, *_TERMS)
REGISTRATION_FIELDS = (
    QueryField.REGISTRATION_ID,
    QueryField.DEVICE_ID,
    QueryField.STATUS,
    QueryField.SUBSTATUS,
    QueryField.ASSIGNED_HUB,
)

_WORDS: Mapping[QueryField, type[StrEnum]] = {
    QueryField.PROVISIONING_STATUS: ProvisioningStatus,
    QueryField.ALLOCATION_POLICY: AllocationPolicy,
    QueryField.ATTESTATION_TYPE: AttestationType,
    QueryField.STATUS: RegistrationStatus,
    QueryField.SUBSTATUS: RegistrationSubstatus,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """A member and the value that it must have.

    `value` is as it is kept: ids folded, host names in lower case, words in Azure's spelling, so
    that adapters compare for equality and nothing else.
    """

    field: QueryField
    value: str | bool


def to_conditions(
    comparisons: Iterable[Comparison], fields: tuple[QueryField, ...]
) -> tuple[Condition, ...]:
    """Return what a query's `comparisons` ask of records that have `fields`.

    Raises:
        InputInvalid: A member that is not among them, or a value that it cannot have.
    """
    by_name = {field.value.lower(): field for field in fields}
    conditions = []
    for comparison in comparisons:
        field = by_name.get(comparison.member.lower())
        if field is None:
            raise _invalid(
                f"{quoted(comparison.member)} cannot be asked for here", f"Ask by {_list(fields)}."
            )
        conditions.append(Condition(field, _kept(field, comparison.value)))
    return tuple(conditions)


def group_fits(group: EnrollmentGroup, conditions: tuple[Condition, ...]) -> bool:
    """Return whether `group` has what every one of `conditions` asks for."""
    terms = group.terms
    symmetric = isinstance(group.attestation, SymmetricKeys)
    values: dict[QueryField, str | bool | None] = {
        QueryField.ENROLLMENT_GROUP_ID: fold(group.enrollment_group_id),
        QueryField.PROVISIONING_STATUS: terms.provisioning_status,
        QueryField.ALLOCATION_POLICY: terms.allocation_policy,
        QueryField.ATTESTATION_TYPE: AttestationType.SYMMETRIC_KEY
        if symmetric
        else AttestationType.X509,
        QueryField.IOT_EDGE: terms.iot_edge,
    }
    return all(values[condition.field] == condition.value for condition in conditions)


def _kept(field: QueryField, value: str | bool) -> str | bool:
    """Return `value` as records keep it. Raises InputInvalid."""
    if field is QueryField.IOT_EDGE:
        if isinstance(value, bool):
            return value
        raise _invalid(f"{field} is true or false, not {quoted(value)}", "Leave the quotes out.")
    if isinstance(value, bool):
        raise _invalid(f"{field} is a text, not true or false", "Put the value into quotes.")
    if field in {QueryField.REGISTRATION_ID, QueryField.ENROLLMENT_GROUP_ID}:
        return fold(value)
    if field is QueryField.ASSIGNED_HUB:
        return value.lower()
    words = _WORDS.get(field)
    if words is None:
        return value
    for word in words:
        if word.value.lower() == value.lower():
            return word.value
    raise _invalid(f"{field} is never {quoted(value)}", f"Ask for {_list(tuple(words))}.")


def _list(words: tuple[StrEnum, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


def _invalid(fault: str, remedy: str) -> InputInvalid:
    return InputInvalid(f"query: {fault}.", remedy, field="query", code="query-not-served")
