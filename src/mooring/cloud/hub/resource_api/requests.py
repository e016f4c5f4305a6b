"""Where hubs are in the resource API."""

from __future__ import annotations

from collections.abc import Mapping

from mooring.cloud.api.errors import RequestRefused
from mooring.cloud.hub.errors import HubNotFound
from mooring.cloud.hub.model import Hub
from mooring.cloud.resource_api.requests import PROVIDER, SUBSCRIPTION, ResourceRequest
from mooring.protocol.azure.errors import quoted

HUB = f"{SUBSCRIPTION}/resourceGroups/{{resourceGroupName}}{PROVIDER}/IotHubs/{{resourceName}}"
"""Path of a hub; any subscription and any resource group are as good."""


def hub_of(request: ResourceRequest) -> Hub:
    """Return the hub that a path names. Raises RequestRefused."""
    name = request.path["resourceName"]
    try:
        return request.services.hub.hubs.get(name)
    except HubNotFound:
        names = ", ".join(hub.name for hub in request.services.hub.hubs.list())
        raise RequestRefused(
            404,
            "resource-not-found",
            f"There is no hub {quoted(name)}.",
            f"The hubs of this cloud are named {names}.",
            field="resourceName",
        ) from None


def id_of(request: ResourceRequest, hub: Hub) -> str:
    """Return the resource id of `hub`, as this caller addresses it."""
    return HUB.format(
        subscriptionId=request.path["subscriptionId"],
        resourceGroupName=request.resource_group,
        resourceName=hub.name,
    )


def check_nothing(path: Mapping[str, str]) -> None:
    """Let every name pass: the handlers look hubs up."""
