"""The provisioning service itself in the resource API.

Azure: DPS resource API, operations ``IotDpsResource_*`` and ``Operations_List``. Every change is
done when it is answered: no operation is left to be polled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mooring.cloud.accounts.model import AccessPolicy, ResourceKind
from mooring.cloud.accounts.policies import PolicyDraft
from mooring.cloud.api.errors import RequestRefused
from mooring.cloud.dps.configuration import Along
from mooring.cloud.dps.model import DPS_NAME, AllocationPolicy, ServiceRecord
from mooring.cloud.dps.resource_api.linked_hubs import linked_hub_to_json, read_linked_hubs
from mooring.cloud.dps.resource_api.requests import SERVICE, service_id
from mooring.cloud.dps.resource_api.service_body import read_service, read_tags
from mooring.cloud.resource_api.policies import owner_only, policy_to_json
from mooring.cloud.resource_api.requests import (
    LOCATION,
    PROVIDER,
    SUBSCRIPTION,
    Operation,
    ResourceAnswer,
    ResourceRequest,
)
from mooring.cloud.work import Work
from mooring.protocol.azure.errors import quoted
from mooring.protocol.azure.json_documents import JsonValue

SERVICE_TYPE = "Microsoft.Devices/provisioningServices"

SKU: JsonValue = {"name": "S1", "tier": "Standard", "capacity": 1}
"""Azure: the one SKU of DPS. Nothing is metered here."""


async def get_service(request: ResourceRequest) -> ResourceAnswer:
    """Show the provisioning service, without keys."""
    return await _answer(request, request.services.dps.configuration.current)


async def list_services(request: ResourceRequest) -> ResourceAnswer:
    """List the one provisioning service."""
    service = await get_service(request)
    return ResourceAnswer({"value": [service.document]})


async def put_service(request: ResourceRequest) -> ResourceAnswer:
    """Change the provisioning service.

    What the body leaves out stays as it is; a list that is there replaces the stored one.
    """
    name = request.path["provisioningServiceName"]
    if name.lower() != DPS_NAME:
        raise RequestRefused(
            409,
            "one-provisioning-service",
            f"A cloud has one provisioning service, {DPS_NAME!r}; {quoted(name)} cannot be made.",
            "Use that, or start another cloud with a state folder and an address of its own.",
            field="provisioningServiceName",
        )
    body = read_service(request.document())
    dps = request.services.dps

    def change(record: ServiceRecord) -> ServiceRecord:
        linked = record.linked_hubs
        if body.linked_hubs is not None:
            wanted = read_linked_hubs(body.linked_hubs, linked, request.services.accounts)
            linked = dps.linked_hubs.settle(wanted)
        return replace(
            record,
            allocation_policy=body.allocation_policy or record.allocation_policy,
            tags=record.tags if body.tags is None else body.tags,
            linked_hubs=linked,
        )

    changed = await dps.configuration.change(
        change,
        # A client that sends back what it read has the etag in the body and no header.
        if_match=request.if_match or body.etag,
        along=_prepare_policies(request, body.policies),
    )
    return await _answer(request, changed)


async def patch_service(request: ResourceRequest) -> ResourceAnswer:
    """Change the tags."""
    tags = read_tags(request.document())
    changed = await request.services.dps.configuration.change(
        lambda record: replace(record, tags=record.tags if tags is None else tags),
        if_match=request.if_match,
    )
    return await _answer(request, changed)


async def delete_service(request: ResourceRequest) -> ResourceAnswer:
    """Refuse: the service goes with its cloud."""
    raise RequestRefused(
        409,
        "service-not-deletable",
        f"The provisioning service {DPS_NAME!r} is a part of this cloud and cannot be deleted.",
        "Delete its enrollments and certificates one by one; 'mooring cloud reset' deletes the "
        "cloud's whole state.",
    )


async def list_keys(request: ResourceRequest) -> ResourceAnswer:
    """List the shared access policies with their keys; for the owner token."""
    policies = await _stored_policies(request)
    return ResourceAnswer({"value": [policy_to_json(policy, keys=True) for policy in policies]})


async def list_keys_of_policy(request: ResourceRequest) -> ResourceAnswer:
    """Show a shared access policy with its keys; for the owner token."""
    owner_only(request)
    policy = request.services.accounts.get_policy(
        ResourceKind.DPS, request.services.dps.id_scope, request.path["keyName"]
    )
    return ResourceAnswer(policy_to_json(policy, keys=True))


OPERATIONS = (
    Operation("IotDpsResource_Get", "GET", SERVICE, get_service),
    Operation("IotDpsResource_CreateOrUpdate", "PUT", SERVICE, put_service, any_name=True),
    Operation("IotDpsResource_Update", "PATCH", SERVICE, patch_service),
    Operation("IotDpsResource_Delete", "DELETE", SERVICE, delete_service),
    Operation(
        "IotDpsResource_ListByResourceGroup", "GET", SERVICE.rpartition("/")[0], list_services
    ),
    Operation(
        "IotDpsResource_ListBySubscription",
        "GET",
        f"{SUBSCRIPTION}{PROVIDER}/provisioningServices",
        list_services,
    ),
    Operation("IotDpsResource_ListKeys", "POST", f"{SERVICE}/listkeys", list_keys),
    Operation(
        "IotDpsResource_ListKeysForKeyName",
        "POST",
        f"{SERVICE}/keys/{{keyName}}/listkeys",
        list_keys_of_policy,
    ),
)


async def _answer(request: ResourceRequest, record: ServiceRecord) -> ResourceAnswer:
    accounts, id_scope = request.services.accounts, request.services.dps.id_scope
    facts = await request.services.information(False)
    policies = await accounts.list_policies(ResourceKind.DPS, id_scope)
    document: dict[str, JsonValue] = {
        "id": service_id(request),
        "name": DPS_NAME,
        "type": SERVICE_TYPE,
        "location": LOCATION,
        "resourcegroup": request.resource_group,
        "subscriptionid": request.path["subscriptionId"],
        "tags": dict(record.tags),
        "etag": record.etag,
        "sku": SKU,
        "properties": {
            "state": "Active",
            "provisioningState": "Succeeded",
            "publicNetworkAccess": "Enabled",
            "ipFilterRules": [],
            "privateEndpointConnections": [],
            "iotHubs": [linked_hub_to_json(hub) for hub in record.linked_hubs],
            "allocationPolicy": _wire_policy(record.allocation_policy),
            # As a connection string or a device takes them: with the port, where it is another.
            "serviceOperationsHostName": str(facts["service_url"]).removeprefix("https://"),
            "deviceProvisioningHostName": str(facts["global_endpoint"]),
            "idScope": id_scope,
            "authorizationPolicies": [policy_to_json(policy, keys=False) for policy in policies],
            "enableDataResidency": False,
            "disableLocalAuth": False,
        },
    }
    return ResourceAnswer(document, etag=record.etag)


def _wire_policy(policy: AllocationPolicy) -> str:
    # Resource Manager spells them with a capital, the service API without.
    return policy.value[:1].upper() + policy.value[1:]


async def _stored_policies(request: ResourceRequest) -> list[AccessPolicy]:
    owner_only(request)
    return await request.services.accounts.list_policies(
        ResourceKind.DPS, request.services.dps.id_scope
    )


def _prepare_policies(request: ResourceRequest, drafts: Sequence[PolicyDraft] | None) -> Along:
    """Return what prepares the shared access policies that are asked for, if they differ."""

    async def prepare() -> tuple[Work[None], ...]:
        if drafts is None:
            return ()
        accounts, id_scope = request.services.accounts, request.services.dps.id_scope
        settled = await accounts.settle_policies(ResourceKind.DPS, id_scope, drafts)
        if settled == await accounts.list_policies(ResourceKind.DPS, id_scope):
            return ()
        owner_only(request)
        return (accounts.prepare_policies(ResourceKind.DPS, id_scope, settled),)

    return prepare
