"""What the HTTPS listener serves: one ASGI application that tells Azure's APIs apart by path."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from mooring.cloud.api.azure_errors import azure_error, failure_answer
from mooring.cloud.api.context import CloudServices
from mooring.cloud.api.failures import FailureGuard
from mooring.cloud.dps.device_api.application import create_device_app
from mooring.cloud.dps.resource_api.application import PROVISIONING_SERVICES
from mooring.cloud.dps.service_api.application import create_service_app
from mooring.cloud.hub.device_api.application import create_hub_device_app
from mooring.cloud.hub.resource_api.application import HUBS
from mooring.cloud.hub.service_api.application import create_hub_service_app
from mooring.cloud.resource_api.application import create_resource_app
from mooring.protocol.azure.error_codes import DpsErrorCode

SERVICE_COLLECTIONS = frozenset({"enrollments", "enrollmentgroups", "registrations"})
HUB_COLLECTIONS = frozenset(
    {"devices", "twins", "statistics", "messages", "jobs", "configurations", "digitaltwins"}
)
RESOURCE_ROOTS = frozenset({"subscriptions", "providers"})


@dataclass(frozen=True, slots=True)
class AzureApis:
    """The applications behind the paths.

    `device` has ``/{idScope}/registrations/…``, `service` ``/enrollments…``,
    ``/enrollmentGroups…`` and ``/registrations…``, `resource` ``/subscriptions/…`` and
    ``/providers/…``, `hub_device` ``/devices/{deviceId}/messages/…``, `hub_service` what else
    `HUB_COLLECTIONS` begin. Each bounds the bodies that it reads, and answers errors in its own
    shape.
    """

    device: ASGIApp
    service: ASGIApp
    resource: ASGIApp
    hub_service: ASGIApp
    hub_device: ASGIApp

    def serving(self, path: str) -> ASGIApp | None:
        """Return what serves `path`, or None; the case of the names does not matter."""
        first, _, rest = path.removeprefix("/").partition("/")
        first = first.lower()
        if first in SERVICE_COLLECTIONS:
            return self.service
        if first in RESOURCE_ROOTS:
            return self.resource
        if first in HUB_COLLECTIONS:
            below = rest.split("/", 2)
            if first == "devices" and len(below) > 2 and below[1].lower() == "messages":
                return self.hub_device
            return self.hub_service
        if first and rest.partition("/")[0].lower() == "registrations":
            return self.device
        return None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        app = self.serving(scope["path"]) or azure_error(
            DpsErrorCode.NOT_FOUND,
            "There is nothing at this path. Devices register at /{idScope}/registrations/, the "
            "service API has /enrollments, /enrollmentGroups and /registrations, that of the hubs "
            "/devices, /twins and /statistics, the resource API /subscriptions; MQTT over "
            "WebSocket is at /$iothub/websocket.",
        )
        await app(scope, receive, send)


def create_azure_app(services: CloudServices) -> ASGIApp:
    """Return the application that serves `services` in the ways of Azure."""
    apis = AzureApis(
        device=create_device_app(
            services.device_requests, services.attempts, services.begun_attempts
        ),
        service=create_service_app(services),
        resource=create_resource_app(services, PROVISIONING_SERVICES, HUBS),
        hub_service=create_hub_service_app(services),
        hub_device=create_hub_device_app(services),
    )
    return FailureGuard(apis, fail=failure_answer)
