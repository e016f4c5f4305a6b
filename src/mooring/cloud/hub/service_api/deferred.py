"""What Azure's hubs have and Mooring's not yet: answered 501, and listed in docs/coverage.md."""

from __future__ import annotations

from mooring.cloud.accounts.model import Right
from mooring.cloud.hub.service_api.requests import (
    NotImplementedHere,
    Operation,
    ServiceAnswer,
    ServiceRequest,
)


async def not_implemented(request: ServiceRequest) -> ServiceAnswer:
    """Say that the operation is not there. Raises NotImplementedHere."""
    raise NotImplementedHere(
        "Mooring does not offer this operation.",
        "docs/coverage.md lists what it offers, and what is to come.",
    )


_READ, _WRITE, _SERVICE = Right.REGISTRY_READ, Right.REGISTRY_WRITE, Right.SERVICE_CONNECT
_MODULES = "/devices/{deviceId}/modules"
_FILES = "/devices/{deviceId}/files"

_PATHS: tuple[tuple[str, str, Right | None], ...] = (
    ("GET", _MODULES, _READ),
    ("GET", _MODULES + "/{moduleId}", _READ),
    ("PUT", _MODULES + "/{moduleId}", _WRITE),
    ("DELETE", _MODULES + "/{moduleId}", _WRITE),
    ("POST", "/devices/{deviceId}/applyConfigurationContent", _WRITE),
    # File upload is the devices' own, with their own proof: nothing is told to anybody.
    ("POST", _FILES, None),
    ("POST", _FILES + "/notifications", None),
    ("GET", "/twins/{deviceId}/modules/{moduleId}", _SERVICE),
    ("PATCH", "/twins/{deviceId}/modules/{moduleId}", _SERVICE),
    ("PUT", "/twins/{deviceId}/modules/{moduleId}", _SERVICE),
    ("POST", "/twins/{deviceId}/modules/{moduleId}/methods", _SERVICE),
    ("GET", "/messages/serviceBound/filenotifications", _SERVICE),
    ("GET", "/jobs", _WRITE),
    ("POST", "/jobs", _WRITE),
    ("POST", "/jobs/create", _WRITE),
    ("GET", "/jobs/v2/query", _SERVICE),
    ("PUT", "/jobs/v2/{id}", _SERVICE),
    ("GET", "/jobs/v2/{id}", _SERVICE),
    ("POST", "/jobs/v2/{id}/cancel", _SERVICE),
    ("GET", "/jobs/{id}", _WRITE),
    ("DELETE", "/jobs/{id}", _WRITE),
    ("GET", "/configurations", _READ),
    ("POST", "/configurations/testQueries", _READ),
    ("GET", "/configurations/{id}", _READ),
    ("PUT", "/configurations/{id}", _WRITE),
    ("DELETE", "/configurations/{id}", _WRITE),
    ("GET", "/digitaltwins/{id}", _SERVICE),
    ("PATCH", "/digitaltwins/{id}", _SERVICE),
    ("POST", "/digitaltwins/{id}/commands/{name}", _SERVICE),
    ("POST", "/digitaltwins/{id}/components/{component}/commands/{name}", _SERVICE),
)

OPERATIONS = tuple(
    Operation(method, path, right, not_implemented) for method, path, right in _PATHS
)
