"""`mooring dps show` and `update`: the provisioning service itself, by the resource API."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

import typer

from mooring.cli.azure_api import AzureApi
from mooring.cli.calls import DpsCall
from mooring.cli.dps_collections import until_quickest

Properties = dict[str, Any]

Wanted = Callable[[Properties], Properties]
"""From the properties as they are to those members that are to change."""


class DefaultAllocation(StrEnum):
    """How a hub is chosen for enrollments that do not say."""

    HASHED = "hashed"
    GEO_LATENCY = "geoLatency"
    STATIC = "static"


def change_service(api: AzureApi, wanted: Wanted) -> dict[str, Any]:
    """Change the service as it is now, and return it; what others changed meanwhile is kept.

    Raises:
        ApiError: It is refused, or others change it all the time.
    """

    def attempt() -> dict[str, Any]:
        found = api.get_json(api.resource())
        body = {"properties": wanted(found["properties"])}
        changed: dict[str, Any] = api.put_json(api.resource(), body, if_match=found["etag"])
        return changed

    return until_quickest(attempt)


def show(call: DpsCall) -> None:
    """Show the service: ID scope, endpoints, default allocation, linked hubs, policies."""
    with call.api() as api:
        found = api.get_json(api.resource())
    call.show(found, _facts)


def update(
    call: DpsCall,
    allocation: Annotated[
        DefaultAllocation, typer.Option(help="For enrollments that do not say it themselves.")
    ],
) -> None:
    """Change the service's default allocation policy; it counts from the next registration on."""
    with call.api() as api:
        found = change_service(api, lambda _: {"allocationPolicy": allocation.value})
    call.show(found, _facts)


def _facts(found: dict[str, Any]) -> dict[str, object]:
    properties = found["properties"]
    return {
        "ID scope": properties["idScope"],
        "global device endpoint": properties["deviceProvisioningHostName"],
        "service endpoint": properties["serviceOperationsHostName"],
        "allocation": _lower_first(properties["allocationPolicy"]),
        "linked hubs": ", ".join(hub["name"] for hub in properties["iotHubs"]) or "none",
        "policies": ", ".join(row["keyName"] for row in properties["authorizationPolicies"]),
        "resource id": found["id"],
        "etag": found["etag"],
    }


def _lower_first(text: str) -> str:
    # Resource Manager spells allocation policies with a capital, the service API without.
    return text[:1].lower() + text[1:]
