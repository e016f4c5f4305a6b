"""All that can be asked of hubs in the resource API."""

from __future__ import annotations

from mooring.cloud.hub.errors import CertificateNotFound
from mooring.cloud.hub.resource_api import hubs
from mooring.cloud.hub.resource_api.requests import HUB, check_nothing, hub_of, id_of
from mooring.cloud.resource_api.application import ResourceKind
from mooring.cloud.resource_api.certificates import CertificateResource, certificate_operations
from mooring.cloud.resource_api.requests import Operation

_CERTIFICATES = CertificateResource(
    "Certificates",
    owner=HUB,
    type_name="Microsoft.Devices/IotHubs/Certificates",
    owner_id=lambda request: id_of(request, hub_of(request)),
    of=lambda request: request.services.hub.certificates.of(hub_of(request)),
    not_found=CertificateNotFound,
    created_status=201,
)

OPERATIONS: tuple[Operation, ...] = (*hubs.OPERATIONS, *certificate_operations(_CERTIFICATES))

HUBS = ResourceKind(OPERATIONS, check_nothing)
