"""Reading what a caller sends for the provisioning service itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mooring.cloud.accounts.policies import PolicyDraft
from mooring.cloud.api.errors import RequestRefused
from mooring.cloud.dps.configuration import check_default_policy
from mooring.cloud.dps.errors import InputInvalid
from mooring.cloud.dps.model import AllocationPolicy
from mooring.cloud.resource_api.policies import read_policies
from mooring.protocol.azure.errors import quoted
from mooring.protocol.azure.json_members import Members

MAX_TAGS = 50
MAX_TAG_NAME_CHARS = 512
MAX_TAG_VALUE_CHARS = 256
"""Azure: Resource Manager, tags of a resource."""

_POLICIES = {policy.value.lower(): policy for policy in AllocationPolicy}


@dataclass(frozen=True, slots=True)
class ServiceBody:
    """A provisioning service as asked for; what is None stays as it is."""

    etag: str | None
    allocation_policy: AllocationPolicy | None
    tags: dict[str, str] | None
    linked_hubs: Sequence[Members] | None
    policies: Sequence[PolicyDraft] | None


def read_service(document: Members) -> ServiceBody:
    """Return what `document` asks for.

    Raises:
        RequestRefused: It asks for a protection that this cloud does not offer.
        InputInvalid, AccountError, PayloadMalformed: A value is wrong.
    """
    properties = document.members("properties") or Members({}, "properties")
    _check_offered(document, properties)
    return ServiceBody(
        etag=document.text("etag") or None,
        allocation_policy=_read_allocation_policy(properties),
        tags=read_tags(document),
        linked_hubs=properties.objects("iotHubs"),
        policies=read_policies(properties),
    )


def _read_allocation_policy(properties: Members) -> AllocationPolicy | None:
    text = properties.text("allocationPolicy")
    if text is None:
        return None
    policy = _POLICIES.get(text.lower())
    if policy is None:
        raise InputInvalid(
            f"allocationPolicy: {quoted(text)} is no allocation policy.",
            "Give Hashed, GeoLatency or Static.",
            field=properties.field("allocationPolicy"),
            code="allocation-policy-unknown",
        )
    return check_default_policy(policy)


def read_tags(document: Members) -> dict[str, str] | None:
    """Return the tags; None leaves them as they are. Raises InputInvalid."""
    given = document.mapping("tags")
    if given is None:
        return None
    if len(given) > MAX_TAGS:
        raise _tags_refused(f"{len(given)} tags, more than {MAX_TAGS}.", "Send fewer.")
    tags = {}
    for name, value in given.items():
        if not 1 <= len(name) <= MAX_TAG_NAME_CHARS:
            raise _tags_refused(
                f"{quoted(name)} has {len(name)} characters.",
                f"Use names of 1 to {MAX_TAG_NAME_CHARS} characters.",
            )
        if not isinstance(value, str) or len(value) > MAX_TAG_VALUE_CHARS:
            raise _tags_refused(
                f"the value of {quoted(name)} is no text of at most {MAX_TAG_VALUE_CHARS} "
                "characters.",
                "Send shorter text.",
            )
        tags[name] = value
    return tags


def _tags_refused(fault: str, remedy: str) -> InputInvalid:
    return InputInvalid(f"tags: {fault}", remedy, field="tags", code="tags-malformed")


def _check_offered(document: Members, properties: Members) -> None:
    """Refuse settings that would promise a protection that is not there, and other SKUs."""
    unoffered = {
        "publicNetworkAccess": (properties.text("publicNetworkAccess") or "").lower() == "disabled",
        "ipFilterRules": bool(properties.objects("ipFilterRules")),
        "privateEndpointConnections": bool(properties.objects("privateEndpointConnections")),
        "disableLocalAuth": bool(properties.boolean("disableLocalAuth")),
    }
    for member, asked in unoffered.items():
        if asked:
            raise RequestRefused(
                501,
                "not-implemented",
                f"{properties.field(member)}: this cloud does not offer that.",
                "Leave it out; --bind says on which addresses the cloud can be reached.",
                field=properties.field(member),
            )
    sku = document.members("sku")
    name = None if sku is None else sku.text("name")
    if name is not None and name.upper() != "S1":
        raise InputInvalid(
            f"sku.name: {quoted(name)} is no SKU of a provisioning service.",
            "Give S1, or leave it out.",
            field="sku.name",
            code="sku-unknown",
        )
