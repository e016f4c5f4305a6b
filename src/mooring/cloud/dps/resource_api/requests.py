"""Where the provisioning service is in the resource API."""

from __future__ import annotations

from collections.abc import Mapping

from mooring.cloud.api.errors import RequestRefused
from mooring.cloud.dps.model import DPS_NAME
from mooring.cloud.resource_api.requests import PROVIDER, SUBSCRIPTION, ResourceRequest
from mooring.protocol.azure.errors import quoted

SERVICE = (
    f"{SUBSCRIPTION}/resourceGroups/{{resourceGroupName}}"
    f"{PROVIDER}/provisioningServices/{{provisioningServiceName}}"
)
"""Path of a provisioning service; any subscription and any resource group are as good."""


def service_id(request: ResourceRequest) -> str:
    """Return the resource id of the provisioning service, as this caller addresses it."""
    return SERVICE.format(
        subscriptionId=request.path["subscriptionId"],
        resourceGroupName=request.resource_group,
        provisioningServiceName=DPS_NAME,
    )


def check_service_name(path: Mapping[str, str]) -> None:
    """Return if a path names the one service of this cloud, or none. Raises RequestRefused."""
    name = path.get("provisioningServiceName")
    if name is not None and name.lower() != DPS_NAME:
        raise RequestRefused(
            404,
            "resource-not-found",
            f"There is no provisioning service {quoted(name)}.",
            f"The one of this cloud is named {DPS_NAME!r}.",
            field="provisioningServiceName",
        )
