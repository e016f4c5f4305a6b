"""Device identities in the service API: ``/devices``."""

from __future__ import annotations

import asyncio

from mooring.cloud.accounts.model import Right
from mooring.cloud.hub.documents import DeviceBody, device_to_json
from mooring.cloud.hub.model import DeviceIdentity
from mooring.cloud.hub.service_api.requests import (
    Operation,
    ServiceAnswer,
    ServiceRequest,
    no_content,
)
from mooring.cloud.hub.throttling.model import HubLimit
from mooring.cloud.paging import MAX_PAGE_ITEMS

COLLECTION = "/devices"
ITEM = COLLECTION + "/{deviceId}"
_LIMIT = HubLimit.REGISTRY_OPERATIONS


async def list_devices(request: ServiceRequest) -> ServiceAnswer:
    """List device identities, by id: the first 1,000, or as many as ``top`` says."""
    top = request.count("top", request.parameters.get("top"), most=MAX_PAGE_ITEMS)
    service = request.services.hub
    page = await service.devices.list(request.hub, limit=top or MAX_PAGE_ITEMS)
    ids = [device.device_id for device in page.items]
    counts = await service.devicebound.counts(request.hub, ids)
    # A thousand take some hundredths of a second to describe, which no device is to wait.
    return ServiceAnswer(
        await asyncio.to_thread(
            lambda: [
                device_to_json(device, messages=counts.get(device.device_id, 0))
                for device in page.items
            ]
        )
    )


async def get_device(request: ServiceRequest) -> ServiceAnswer:
    """Show a device identity, with its keys."""
    device_id = request.ids["deviceId"]
    return _answer(request, await request.services.hub.devices.get(request.hub, device_id))


async def put_device(request: ServiceRequest) -> ServiceAnswer:
    """Create a device identity, or with If-Match replace one; 200 in both cases (Azure)."""
    device_id = request.ids["deviceId"]
    draft = await request.reading(lambda: request.document(DeviceBody).at(device_id))
    devices = request.services.hub.devices
    return _answer(request, await devices.put(request.hub, draft, if_match=request.if_match))


async def delete_device(request: ServiceRequest) -> ServiceAnswer:
    """Delete a device identity; without If-Match whatever it is by now."""
    await request.services.hub.devices.delete(
        request.hub, request.ids["deviceId"], if_match=request.if_match
    )
    return no_content()


OPERATIONS = (
    Operation("GET", COLLECTION, Right.REGISTRY_READ, list_devices, limit=_LIMIT),
    Operation("GET", ITEM, Right.REGISTRY_READ, get_device, limit=_LIMIT),
    Operation("PUT", ITEM, Right.REGISTRY_WRITE, put_device, limit=_LIMIT),
    Operation("DELETE", ITEM, Right.REGISTRY_WRITE, delete_device, limit=_LIMIT),
)


def _answer(request: ServiceRequest, device: DeviceIdentity) -> ServiceAnswer:
    messages = request.services.hub.devicebound.count(request.hub, device.device_id)
    return ServiceAnswer(device_to_json(device, messages=messages), {"etag": f'"{device.etag}"'})
