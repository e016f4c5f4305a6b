"""What the resource API says of the provider as a whole, and what this cloud does not offer."""

from __future__ import annotations

import re

from mooring.cloud.api.errors import RequestRefused
from mooring.cloud.dps.model import DPS_NAME
from mooring.cloud.dps.resource_api.requests import SERVICE
from mooring.cloud.resource_api.requests import (
    PROVIDER,
    SUBSCRIPTION,
    Operation,
    ResourceAnswer,
    ResourceRequest,
)
from mooring.protocol.azure.errors import quoted
from mooring.protocol.azure.json_documents import JsonValue

_SERVICE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{1,62}[A-Za-z0-9]", re.ASCII)

_DISPLAYED = {
    "operations/Read": "Get all resource provider operations",
    "checkProvisioningServiceNameAvailability/Action": "Check a provisioning service's name",
    "provisioningServices/Read": "Get the provisioning service",
    "provisioningServices/Write": "Update the provisioning service",
    "provisioningServices/skus/Read": "Get the valid SKUs",
    "provisioningServices/listkeys/Action": "Get the shared access policies with their keys",
    "provisioningServices/certificates/Read": "Get CA certificates",
    "provisioningServices/certificates/Write": "Upload, replace and verify CA certificates",
    "provisioningServices/certificates/Delete": "Delete CA certificates",
}


async def list_operations(request: ResourceRequest) -> ResourceAnswer:
    """List what may be done, as Azure's roles name it."""
    listed: list[JsonValue] = [
        {
            "name": f"Microsoft.Devices/{name}",
            "display": {
                "provider": "Microsoft Devices",
                "resource": "ProvisioningServices",
                "operation": text,
            },
        }
        for name, text in _DISPLAYED.items()
    ]
    return ResourceAnswer({"value": listed})


async def check_name(request: ResourceRequest) -> ResourceAnswer:
    """Say whether a provisioning service of some name could be made: none could."""
    name = request.document().text("name") or ""
    if name.lower() == DPS_NAME:
        reason, message = "AlreadyExists", f"{DPS_NAME!r} is the provisioning service of this cloud"
    elif _SERVICE_NAME.fullmatch(name) is None:
        reason = "Invalid"
        message = f"{quoted(name)} is no name: use 3 to 64 letters, digits and hyphens"
    else:
        reason = "Invalid"
        message = f"a cloud has one provisioning service, and this one's is {DPS_NAME!r}"
    return ResourceAnswer({"nameAvailable": False, "reason": reason, "message": message})


async def list_skus(request: ResourceRequest) -> ResourceAnswer:
    """List what may stand in ``sku.name``."""
    return ResourceAnswer({"value": [{"name": "S1"}]})


async def get_operation_result(request: ResourceRequest) -> ResourceAnswer:
    """Refuse: no answer of this API gives an operation to be polled."""
    raise RequestRefused(
        404,
        "operation-not-found",
        f"There is no operation {quoted(request.path['operationId'])}.",
        "Every change is done when it is answered; nothing needs to be polled.",
        field="operationId",
    )


_LINKS = f"{SERVICE}/privateLinkResources"
_ENDPOINTS = f"{SERVICE}/privateEndpointConnections"
_ENDPOINT = f"{_ENDPOINTS}/{{privateEndpointConnectionName}}"

OPERATIONS = (
    Operation("Operations_List", "GET", f"{PROVIDER}/operations", list_operations),
    Operation(
        "IotDpsResource_CheckProvisioningServiceNameAvailability",
        "POST",
        f"{SUBSCRIPTION}{PROVIDER}/checkProvisioningServiceNameAvailability",
        check_name,
    ),
    Operation("IotDpsResource_ListValidSkus", "GET", f"{SERVICE}/skus", list_skus),
    Operation(
        "IotDpsResource_GetOperationResult",
        "GET",
        f"{SERVICE}/operationresults/{{operationId}}",
        get_operation_result,
    ),
    # A cloud on one machine has no private network to be put into.
    Operation("IotDpsResource_ListPrivateLinkResources", "GET", _LINKS, None),
    Operation("IotDpsResource_GetPrivateLinkResources", "GET", f"{_LINKS}/{{groupId}}", None),
    Operation("IotDpsResource_ListPrivateEndpointConnections", "GET", _ENDPOINTS, None),
    Operation("IotDpsResource_GetPrivateEndpointConnection", "GET", _ENDPOINT, None),
    Operation("IotDpsResource_CreateOrUpdatePrivateEndpointConnection", "PUT", _ENDPOINT, None),
    Operation("IotDpsResource_DeletePrivateEndpointConnection", "DELETE", _ENDPOINT, None),
)
