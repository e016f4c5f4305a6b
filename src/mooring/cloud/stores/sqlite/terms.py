"""Enrollment terms as they are kept: two columns that queries ask for, the rest as JSON."""

from __future__ import annotations

import json
from functools import lru_cache

from mooring.cloud.dps.model import (
    AllocationPolicy,
    CustomAllocation,
    EnrollmentTerms,
    InitialTwin,
    ProvisioningStatus,
    ReprovisionPolicy,
)

CACHED_TERMS = 256
"""Distinct terms remembered, at most some tens of kilobytes each (twins are bounded)."""


def dump_terms(terms: EnrollmentTerms) -> tuple[str, str | None, str]:
    """Return provisioning status, allocation policy, and the rest as JSON."""
    twin = terms.initial_twin
    policy = terms.reprovision_policy
    custom = terms.custom_allocation
    rest = {
        "update_hub_assignment": None if policy is None else policy.update_hub_assignment,
        "migrate_device_data": None if policy is None else policy.migrate_device_data,
        "custom_allocation": None
        if custom is None
        else {"webhook_url": custom.webhook_url, "api_version": custom.api_version},
        "hub_host_names": list(terms.hub_host_names),
        "initial_twin": None
        if twin is None
        else {"tags": dict(twin.tags), "desired": dict(twin.desired)},
        "iot_edge": terms.iot_edge,
    }
    allocation = terms.allocation_policy
    return (
        terms.provisioning_status.value,
        None if allocation is None else allocation.value,
        json.dumps(rest, separators=(",", ":")),
    )


# Most enrollments of a service have the same terms; nobody changes what is returned.
@lru_cache(maxsize=CACHED_TERMS)
def load_terms(status: str, allocation: str | None, rest: str) -> EnrollmentTerms:
    """Return what `dump_terms` took apart."""
    document = json.loads(rest)
    twin = document["initial_twin"]
    custom = document.get("custom_allocation")  # absent in what was written before it was served
    updates = document["update_hub_assignment"]
    return EnrollmentTerms(
        provisioning_status=ProvisioningStatus(status),
        reprovision_policy=None
        if updates is None
        else ReprovisionPolicy(updates, document["migrate_device_data"]),
        custom_allocation=None if custom is None else CustomAllocation(**custom),
        allocation_policy=None if allocation is None else AllocationPolicy(allocation),
        hub_host_names=tuple(document["hub_host_names"]),
        initial_twin=None if twin is None else InitialTwin(twin["tags"], twin["desired"]),
        iot_edge=document["iot_edge"],
    )
