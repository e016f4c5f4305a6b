"""What the HTTPS listener serves: one ASGI application that tells Azure's APIs apart by path."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from mooring.cloud.api.azure_errors import azure_error
from mooring.cloud.api.body_limit import BodyLimit
from mooring.cloud.api.context import CloudServices
from mooring.cloud.api.errors import RequestRefused, failure_of, log_failure
from mooring.cloud.api.failures import FailureGuard
from mooring.cloud.dps.device_api import create_device_app
from mooring.cloud.dps.resource_api import create_resource_app
from mooring.protocol.azure.error_codes import DpsErrorCode

SERVICE_COLLECTIONS = frozenset({"enrollments", "enrollmentgroups", "registrations"})
RESOURCE_ROOTS = frozenset({"subscriptions", "providers"})


@dataclass(frozen=True, slots=True)
class AzureApis:
    """The applications behind the paths; None where there is none yet.

    `device` has ``/{idScope}/registrations/…``, `service` ``/enrollments…``,
    ``/enrollmentGroups…`` and ``/registrations…``, `resource` ``/subscriptions/…`` and
    ``/providers/…``.
    """

    device: ASGIApp | None = None
    service: ASGIApp | None = None
    resource: ASGIApp | None = None

    def serving(self, path: str) -> ASGIApp | None:
        """Return what serves `path`; the case of the names does not matter."""
        first, _, rest = path.removeprefix("/").partition("/")
        first = first.lower()
        if first in SERVICE_COLLECTIONS:
            return self.service
        if first in RESOURCE_ROOTS:
            return self.resource
        if first and rest.partition("/")[0].lower() == "registrations":
            return self.device
        return None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        app = self.serving(scope["path"])
        if app is not None and app in (self.device, self.resource):
            # These limit what they read themselves, by other figures and in other words.
            await app(scope, receive, send)
            return
        app = app or azure_error(
            DpsErrorCode.NOT_FOUND,
            "There is nothing at this path. Devices register at /{idScope}/registrations/, the "
            "service API has /enrollments, /enrollmentGroups and /registrations, the resource API "
            "/subscriptions; MQTT over WebSocket is at /$iothub/websocket.",
        )
        await BodyLimit(app, refuse=_refuse)(scope, receive, send)


def create_azure_app(services: CloudServices) -> ASGIApp:
    """Return the application that serves `services` in the ways of Azure."""
    return FailureGuard(
        AzureApis(
            device=create_device_app(
                services.device_requests, services.attempts, services.begun_attempts
            ),
            resource=create_resource_app(services),
        ),
        fail=_fail,
    )


def _refuse(error: RequestRefused) -> ASGIApp:
    code = {413: DpsErrorCode.BODY_TOO_LARGE}.get(error.status, DpsErrorCode.BAD_REQUEST)
    return azure_error(code, f"{error.message}; {error.remedy}", headers=error.headers)


def _fail(method: str, path: str, error: Exception) -> ASGIApp:
    if isinstance(error, RequestRefused):
        return _refuse(error)
    failure = failure_of(error)
    return azure_error(
        DpsErrorCode.SERVICE_UNAVAILABLE if failure.status == 503 else DpsErrorCode.INTERNAL_ERROR,
        f"{failure.message}; {failure.remedy}",
        tracking_id=log_failure(method, path, error),
        headers=failure.headers,
    )
