"""Device twins in the service API: ``/twins/{deviceId}``."""

from __future__ import annotations

from mooring.cloud.accounts.model import Right
from mooring.cloud.api.hub_errors import ErrorShape
from mooring.cloud.hub.service_api.requests import Operation, ServiceAnswer, ServiceRequest
from mooring.cloud.hub.twins.documents import twin_to_json
from mooring.cloud.hub.twins.errors import twin_invalid
from mooring.cloud.hub.twins.model import Twin
from mooring.protocol.azure.errors import PayloadMalformed
from mooring.protocol.azure.twins import TwinUpdate, read_twin_update

ITEM = "/twins/{deviceId}"


async def get_twin(request: ServiceRequest) -> ServiceAnswer:
    """Show a twin."""
    return _answer(await request.services.hub.twins.get(request.hub, request.ids["deviceId"]))


async def patch_twin(request: ServiceRequest) -> ServiceAnswer:
    """Merge tags and desired properties; null deletes."""
    update = _read(request)
    return _answer(
        await request.services.hub.twins.patch(
            request.hub,
            request.ids["deviceId"],
            tags=update.tags,
            desired=update.desired,
            if_match=request.if_match,
        )
    )


async def replace_twin(request: ServiceRequest) -> ServiceAnswer:
    """Replace tags and desired properties, those of the two that are given."""
    update = _read(request)
    return _answer(
        await request.services.hub.twins.replace(
            request.hub,
            request.ids["deviceId"],
            tags=update.tags,
            desired=update.desired,
            if_match=request.if_match,
        )
    )


OPERATIONS = (
    Operation("GET", ITEM, Right.SERVICE_CONNECT, get_twin, ErrorShape.TWIN),
    Operation("PATCH", ITEM, Right.SERVICE_CONNECT, patch_twin, ErrorShape.TWIN),
    Operation("PUT", ITEM, Right.SERVICE_CONNECT, replace_twin, ErrorShape.TWIN),
)


def _read(request: ServiceRequest) -> TwinUpdate:
    try:
        return read_twin_update(request.json_object())
    except PayloadMalformed as error:
        raise twin_invalid(error) from error


def _answer(twin: Twin) -> ServiceAnswer:
    return ServiceAnswer(twin_to_json(twin), {"etag": f'"{twin.etag}"'})
