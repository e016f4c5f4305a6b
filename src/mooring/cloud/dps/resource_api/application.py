"""All that can be asked of the provisioning service in the resource API."""

from __future__ import annotations

from mooring.cloud.dps.errors import CertificateNotFound
from mooring.cloud.dps.resource_api import provider, service
from mooring.cloud.dps.resource_api.requests import SERVICE, check_service_name, service_id
from mooring.cloud.resource_api.application import ResourceKind
from mooring.cloud.resource_api.certificates import CertificateResource, certificate_operations
from mooring.cloud.resource_api.requests import Operation

_CERTIFICATES = CertificateResource(
    "DpsCertificate",
    owner=SERVICE,
    type_name="Microsoft.Devices/ProvisioningServices/Certificates",
    owner_id=service_id,
    of=lambda request: request.services.dps.certificates,
    not_found=CertificateNotFound,
)

OPERATIONS: tuple[Operation, ...] = (
    *service.OPERATIONS,
    *certificate_operations(_CERTIFICATES),
    *provider.OPERATIONS,
)
"""All that Azure's specification has for a provisioning service."""

PROVISIONING_SERVICES = ResourceKind(OPERATIONS, check_service_name)
