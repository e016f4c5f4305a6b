"""Device twins in the service API: ``/twins/{deviceId}``."""

from __future__ import annotations

from mooring.cloud.accounts.model import Right
from mooring.cloud.api.hub_errors import ErrorShape
from mooring.cloud.hub.service_api.requests import Operation, ServiceAnswer, ServiceRequest
from mooring.cloud.hub.throttling.model import HubLimit
from mooring.cloud.hub.twins.documents import twin_to_json
from mooring.cloud.hub.twins.errors import twin_invalid
from mooring.cloud.hub.twins.model import Twin
from mooring.protocol.azure.errors import PayloadMalformed
from mooring.protocol.azure.json_documents import encode_json
from mooring.protocol.azure.twins import TwinUpdate, read_twin_update

ITEM = "/twins/{deviceId}"
_RIGHT = Right.SERVICE_CONNECT


async def get_twin(request: ServiceRequest) -> ServiceAnswer:
    """Show a twin."""
    answer = _answer(await request.services.hub.twins.get(request.hub, request.ids["deviceId"]))
    if request.throttle.is_on:
        request.throttle.charge(len(encode_json(answer.document)))
    return answer


async def patch_twin(request: ServiceRequest) -> ServiceAnswer:
    """Merge tags and desired properties; null deletes."""
    update = await request.reading(lambda: _read(request))
    twin = await request.services.hub.twins.patch(
        request.hub,
        request.ids["deviceId"],
        tags=update.tags,
        desired=update.desired,
        if_match=request.if_match,
    )
    request.throttle.charge(len(request.body))
    return _answer(twin)


async def replace_twin(request: ServiceRequest) -> ServiceAnswer:
    """Replace tags and desired properties, those of the two that are given."""
    update = await request.reading(lambda: _read(request))
    twin = await request.services.hub.twins.replace(
        request.hub,
        request.ids["deviceId"],
        tags=update.tags,
        desired=update.desired,
        if_match=request.if_match,
    )
    request.throttle.charge(len(request.body))
    return _answer(twin)


OPERATIONS = (
    Operation("GET", ITEM, _RIGHT, get_twin, ErrorShape.TWIN, HubLimit.TWIN_READS),
    Operation("PATCH", ITEM, _RIGHT, patch_twin, ErrorShape.TWIN, HubLimit.TWIN_UPDATES),
    Operation("PUT", ITEM, _RIGHT, replace_twin, ErrorShape.TWIN, HubLimit.TWIN_UPDATES),
)


def _read(request: ServiceRequest) -> TwinUpdate:
    try:
        return read_twin_update(request.json_object())
    except PayloadMalformed as error:
        raise twin_invalid(error) from error


def _answer(twin: Twin) -> ServiceAnswer:
    return ServiceAnswer(twin_to_json(twin), {"etag": f'"{twin.etag}"'})
