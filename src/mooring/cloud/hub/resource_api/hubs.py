"""Hubs themselves in the resource API.

Azure: IoT Hub resource provider, operations ``IotHubResource_*``. Every change is done when it is
answered: no operation is left to be polled.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

from mooring.cloud.accounts.model import ResourceKind
from mooring.cloud.accounts.policies import PolicyDraft
from mooring.cloud.api.errors import RequestRefused
from mooring.cloud.etags import etag_matches
from mooring.cloud.hub.errors import EtagMismatch, HubNotFound
from mooring.cloud.hub.model import DEFAULT_PARTITIONS, Hub
from mooring.cloud.hub.resource_api.requests import HUB, hub_of, id_of
from mooring.cloud.hub.settings.documents import settings_to_json
from mooring.cloud.resource_api.policies import owner_only, policy_to_json, read_policies
from mooring.cloud.resource_api.requests import (
    LOCATION,
    PROVIDER,
    SUBSCRIPTION,
    Operation,
    ResourceAnswer,
    ResourceRequest,
)
from mooring.protocol.azure.errors import quoted
from mooring.protocol.azure.json_documents import JsonValue, encode_json
from mooring.protocol.azure.json_members import Members

HUB_TYPE = "Microsoft.Devices/IotHubs"

_TIERS = {"F": "Free", "B": "Basic", "S": "Standard"}
_SETTINGS = ("disableLocalAuth", "disableDeviceSAS", "cloudToDevice")
"""Properties that are settings of a hub here, by the same names."""


async def list_hubs(request: ResourceRequest) -> ResourceAnswer:
    """List the hubs, in the order of their creation."""
    hubs = request.services.hub.hubs.list()
    return ResourceAnswer({"value": [await _to_json(request, hub) for hub in hubs]})


async def get_hub(request: ResourceRequest) -> ResourceAnswer:
    """Show a hub, without keys."""
    return await _answer(request, hub_of(request))


async def put_hub(request: ResourceRequest) -> ResourceAnswer:
    """Create a hub, or change one: what the body leaves out stays as it is.

    A list of shared access policies replaces those that there are.
    """
    document = request.document()
    properties = document.members("properties") or Members({}, "properties")
    _check_offered(properties)
    policies = read_policies(properties)
    name = request.path["resourceName"]
    try:
        hub, status = request.services.hub.hubs.get(name), 200
    except HubNotFound:
        if policies is not None:
            owner_only(request)  # before anything is made
        hub, status = await _create(request, name, properties), 201
    else:
        present = await _to_json(request, hub)
        if_match = request.if_match or document.text("etag") or None
        if if_match is not None and not etag_matches(if_match, str(present["etag"])):
            raise EtagMismatch(
                f"Hub {hub.name!r} has changed since it was read (If-Match does not fit).",
                "Read it again, apply your change to what it is now, and send that with its etag.",
                field="If-Match",
            )
    if policies is not None:
        await _set_policies(request, hub, policies)
    given = {name: properties.value(name) for name in _SETTINGS} | {"sku": document.value("sku")}
    if any(value is not None for value in given.values()):
        await request.services.hub.settings.update(hub, Members(given))
    return await _answer(request, hub, status)


async def delete_hub(request: ResourceRequest) -> ResourceAnswer:
    """Refuse: a hub stays with its cloud."""
    hub = hub_of(request)
    raise RequestRefused(
        409,
        "hub-not-deletable",
        f"Hub {hub.name!r} cannot be deleted.",
        "Delete its devices, and unlink it from the provisioning service to give it no new ones.",
    )


async def list_keys(request: ResourceRequest) -> ResourceAnswer:
    """List the shared access policies with their keys; for the owner token."""
    owner_only(request)
    policies = await request.services.accounts.list_policies(
        ResourceKind.HUB, hub_of(request).host_name
    )
    return ResourceAnswer({"value": [policy_to_json(policy, keys=True) for policy in policies]})


async def get_keys(request: ResourceRequest) -> ResourceAnswer:
    """Show a shared access policy with its keys; for the owner token."""
    owner_only(request)
    policy = request.services.accounts.get_policy(
        ResourceKind.HUB, hub_of(request).host_name, request.path["keyName"]
    )
    return ResourceAnswer(policy_to_json(policy, keys=True))


async def get_statistics(request: ResourceRequest) -> ResourceAnswer:
    """Count the device identities."""
    counts = await request.services.hub.devices.count(hub_of(request))
    return ResourceAnswer(
        {
            "totalDeviceCount": counts.total,
            "enabledDeviceCount": counts.total - counts.disabled,
            "disabledDeviceCount": counts.disabled,
        }
    )


OPERATIONS = (
    Operation("IotHubResource_Get", "GET", HUB, get_hub),
    Operation("IotHubResource_CreateOrUpdate", "PUT", HUB, put_hub),
    # Its tags are all that it could change, and a hub has none here.
    Operation("IotHubResource_Update", "PATCH", HUB, None),
    Operation("IotHubResource_Delete", "DELETE", HUB, delete_hub),
    Operation("IotHubResource_ListByResourceGroup", "GET", HUB.rpartition("/")[0], list_hubs),
    Operation(
        "IotHubResource_ListBySubscription", "GET", f"{SUBSCRIPTION}{PROVIDER}/IotHubs", list_hubs
    ),
    Operation("IotHubResource_GetStats", "GET", f"{HUB}/IotHubStats", get_statistics),
    Operation("IotHubResource_ListKeys", "POST", f"{HUB}/listkeys", list_keys),
    Operation(
        "IotHubResource_GetKeysForKeyName",
        "POST",
        f"{HUB}/IotHubKeys/{{keyName}}/listkeys",
        get_keys,
    ),
)


async def _answer(request: ResourceRequest, hub: Hub, status: int = 200) -> ResourceAnswer:
    document = await _to_json(request, hub)
    return ResourceAnswer(document, status, etag=str(document["etag"]))


async def _to_json(request: ResourceRequest, hub: Hub) -> dict[str, JsonValue]:
    """Return a hub as Azure's IotHubDescription."""
    settings = request.services.hub.settings.of(hub)
    shown = settings_to_json(settings)
    policies = await request.services.accounts.list_policies(ResourceKind.HUB, hub.host_name)
    properties: dict[str, JsonValue] = {
        "state": "Active",
        "provisioningState": "Succeeded",
        "hostName": hub.host_name,
        "publicNetworkAccess": "Enabled",
        "ipFilterRules": [],
        "privateEndpointConnections": [],
        "authorizationPolicies": [policy_to_json(policy, keys=False) for policy in policies],
        "eventHubEndpoints": {
            "events": {
                "partitionCount": hub.partition_count,
                "partitionIds": [str(number) for number in range(hub.partition_count)],
                "path": hub.name,
                "endpoint": f"sb://{hub.host_name}/",
            }
        },
        "enableFileUploadNotifications": False,
        "features": "None",
        **{name: shown[name] for name in _SETTINGS},
    }
    sku: JsonValue = {
        "name": settings.sku.value,
        "tier": _TIERS[settings.sku.value[0]],
        "capacity": settings.units,
    }
    # No version is kept of a hub: its etag is what it looks like, keys included.
    keys: JsonValue = [policy_to_json(policy, keys=True) for policy in policies]
    digest = hashlib.sha256(encode_json([properties, sku, keys])).digest()
    return {
        "id": id_of(request, hub),
        "name": hub.name,
        "type": HUB_TYPE,
        "location": LOCATION,
        "resourcegroup": request.resource_group,
        "subscriptionid": request.path["subscriptionId"],
        "tags": {},
        "etag": base64.b64encode(digest[:12]).decode(),
        "properties": properties,
        "sku": sku,
    }


async def _create(request: ResourceRequest, name: str, properties: Members) -> Hub:
    endpoints = properties.members("eventHubEndpoints")
    events = None if endpoints is None else endpoints.members("events")
    count = None if events is None else events.integer("partitionCount")
    host_name = properties.text("hostName") or _host_name_for(request, name)
    return await request.services.create_hub(
        name, host_name, DEFAULT_PARTITIONS if count is None else count
    )


def _host_name_for(request: ResourceRequest, name: str) -> str:
    """Return a host name beside that of the first hub, as Azure gives one. Raises RequestRefused.

    Azure's tools cannot send one: ``hostName`` is read-only to them.
    """
    first = request.services.hub.hubs.list()[0].host_name
    domain = first if first == "localhost" else first.partition(".")[2]
    if not domain or first.rpartition(".")[2].isdigit() or ":" in first:
        raise RequestRefused(
            400,
            "host-name-missing",
            f"properties.hostName: missing, and there is no domain to put {quoted(name)} into: "
            f"the first hub is {quoted(first)}.",
            "Give the host name that devices shall dial, or make the hub with "
            "`mooring hub create`.",
            field="properties.hostName",
        )
    return f"{name}.{domain}"


async def _set_policies(request: ResourceRequest, hub: Hub, drafts: Sequence[PolicyDraft]) -> None:
    accounts = request.services.accounts
    settled = await accounts.settle_policies(ResourceKind.HUB, hub.host_name, drafts)
    if settled == await accounts.list_policies(ResourceKind.HUB, hub.host_name):
        return
    owner_only(request)
    await accounts.put_policies(ResourceKind.HUB, hub.host_name, drafts)


def _check_offered(properties: Members) -> None:
    """Refuse settings that would promise a protection that is not there."""
    unoffered = {
        "publicNetworkAccess": (properties.text("publicNetworkAccess") or "").lower() == "disabled",
        "ipFilterRules": bool(properties.objects("ipFilterRules")),
        "privateEndpointConnections": bool(properties.objects("privateEndpointConnections")),
        "disableModuleSAS": bool(properties.boolean("disableModuleSAS")),
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
