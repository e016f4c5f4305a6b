"""What individual enrollments and groups have in common."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypeVar

from pydantic import Field

from mooring.cloud.dps.documents.base import Document
from mooring.cloud.dps.errors import InputInvalid
from mooring.cloud.dps.model import (
    AllocationPolicy,
    CustomAllocation,
    EnrollmentGroup,
    EnrollmentTerms,
    IndividualEnrollment,
    InitialTwin,
    ProvisioningStatus,
    ReprovisionPolicy,
)
from mooring.protocol.azure.errors import quoted
from mooring.protocol.azure.timestamps import format_timestamp

_Word = TypeVar("_Word", bound=StrEnum)


class CapabilitiesBody(Document):
    """What the device is."""

    iot_edge: bool = False


class PropertiesBody(Document):
    """First properties of a twin."""

    desired: dict[str, Any] = Field(default_factory=dict)


class TwinBody(Document):
    """First content of a twin."""

    tags: dict[str, Any] = Field(default_factory=dict)
    properties: PropertiesBody = Field(default_factory=PropertiesBody)


class ReprovisionBody(Document):
    """What a later registration may change."""

    update_hub_assignment: bool = True
    migrate_device_data: bool = True


class CustomAllocationBody(Document):
    """The webhook that chooses the hub."""

    webhook_url: str = ""
    api_version: str = ""


class TermsBody(Document):
    """The members that both kinds of enrollment have."""

    etag: str | None = None
    provisioning_status: str | None = None
    reprovision_policy: ReprovisionBody | None = None
    allocation_policy: str | None = None
    iot_hubs: list[str] = Field(default_factory=list)
    iot_hub_host_name: str | None = None
    custom_allocation_definition: CustomAllocationBody | None = None
    initial_twin: TwinBody | None = None
    capabilities: CapabilitiesBody | None = None

    def to_terms(self) -> EnrollmentTerms:
        """Return the terms that the document asks for.

        Raises:
            InputInvalid: A word that is none of those allowed.
        """
        reprovision = self.reprovision_policy
        policy = _word(AllocationPolicy, self.allocation_policy, "allocationPolicy")
        hubs = tuple(self.iot_hubs)
        if self.iot_hub_host_name and not hubs and policy in {None, AllocationPolicy.STATIC}:
            # Azure: the way to say "static" before api-version 2018-09-01-preview
            policy, hubs = AllocationPolicy.STATIC, (self.iot_hub_host_name,)
        custom = self.custom_allocation_definition
        if policy is not AllocationPolicy.CUSTOM:
            custom = None  # left from when it was
        twin = self.initial_twin
        return EnrollmentTerms(
            provisioning_status=_word(
                ProvisioningStatus, self.provisioning_status, "provisioningStatus"
            )
            or ProvisioningStatus.ENABLED,
            reprovision_policy=None
            if reprovision is None
            else ReprovisionPolicy(
                reprovision.update_hub_assignment, reprovision.migrate_device_data
            ),
            allocation_policy=policy,
            hub_host_names=hubs,
            custom_allocation=None
            if custom is None
            else CustomAllocation(custom.webhook_url, custom.api_version),
            initial_twin=None if twin is None else InitialTwin(twin.tags, twin.properties.desired),
            iot_edge=self.capabilities is not None and self.capabilities.iot_edge,
        )


def terms_to_json(record: IndividualEnrollment | EnrollmentGroup) -> dict[str, Any]:
    """Return the members that both kinds of enrollment have."""
    terms = record.terms
    policy = terms.reprovision_policy or ReprovisionPolicy()
    document: dict[str, Any] = {
        "capabilities": {"iotEdge": terms.iot_edge},
        # Azure: the quotes belong to the value; the .NET SDK adds them where they are missing.
        "etag": f'"{record.etag}"',
        "provisioningStatus": terms.provisioning_status.value,
        "reprovisionPolicy": {
            "updateHubAssignment": policy.update_hub_assignment,
            "migrateDeviceData": policy.migrate_device_data,
        },
        "createdDateTimeUtc": format_timestamp(record.created_at),
        "lastUpdatedDateTimeUtc": format_timestamp(record.updated_at),
    }
    if terms.allocation_policy is not None:
        document["allocationPolicy"] = terms.allocation_policy.value
    if terms.hub_host_names:
        document["iotHubs"] = list(terms.hub_host_names)
    if terms.custom_allocation is not None:
        document["customAllocationDefinition"] = {
            "webhookUrl": terms.custom_allocation.webhook_url,
            "apiVersion": terms.custom_allocation.api_version,
        }
    if terms.initial_twin is not None:
        document["initialTwin"] = {
            "tags": dict(terms.initial_twin.tags),
            "properties": {"desired": dict(terms.initial_twin.desired)},
        }
    return document


def _word(words: type[_Word], given: str | None, field: str) -> _Word | None:
    """Return the word that is `given` in any case. Raises InputInvalid."""
    if not given:
        return None
    for word in words:
        if word.value.lower() == given.lower():
            return word
    raise InputInvalid(
        f"{field}: {quoted(given)} is not known.",
        f"Give one of {', '.join(words)}.",
        field=field,
    )
