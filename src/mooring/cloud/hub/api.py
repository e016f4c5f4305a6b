"""Routes of the hubs: hubs, device identities, telemetry."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from mooring.cloud.accounts.model import ResourceKind
from mooring.cloud.api.context import Caller, Continuation, IfMatch, Limit, Services
from mooring.cloud.api.streams import MEDIA_TYPE, json_lines
from mooring.cloud.hub.documents import (
    DeviceBody,
    HubBody,
    device_to_json,
    event_to_json,
    hub_to_json,
    partition_to_json,
)
from mooring.cloud.hub.model import Start
from mooring.protocol.azure.timestamps import parse_timestamp

MAX_SEQUENCE_NUMBER = 2**53 - 1
"""Far beyond what a partition can hold, and the largest that every JSON reader keeps exact."""

router = APIRouter(prefix="/hubs", tags=["hub"])

_Device = Annotated[str | None, Query(alias="deviceId", max_length=128)]
_SequenceNumber = Annotated[int, Query(alias="fromSequenceNumber", ge=0, le=MAX_SEQUENCE_NUMBER)]
_StartAt = Annotated[
    str | None, Query(max_length=64, description="earliest, latest, or a time as ISO 8601.")
]


@router.get("")
async def list_hubs(services: Services) -> dict[str, Any]:
    """List the hubs, in the order of their creation."""
    return {"value": [hub_to_json(hub) for hub in services.hub.hubs.list()]}


@router.post("", status_code=201)
async def create_hub(body: HubBody, services: Services, caller: Caller) -> dict[str, Any]:
    """Create a hub; DPS assigns devices to it, and the server certificate names it, at once.

    The owner token also gets the connection string, which holds a key.
    """
    hub = await services.create_hub(body.name, body.host_name, body.partition_count)
    document = hub_to_json(hub)
    if caller.is_owner:
        document["connectionString"] = await services.accounts.owner_connection_string(
            ResourceKind.HUB, hub.host_name, hub.host_name
        )
    return document


@router.get("/{hub_name}")
async def get_hub(hub_name: str, services: Services) -> dict[str, Any]:
    """Show a hub."""
    return hub_to_json(services.hub.hubs.get(hub_name))


@router.get("/{hub_name}/devices")
async def list_devices(
    hub_name: str, services: Services, limit: Limit = None, continuation: Continuation = None
) -> dict[str, Any]:
    """List device identities, by device id."""
    hub = services.hub.hubs.get(hub_name)
    page = await services.hub.devices.list(hub, limit=limit, continuation=continuation)
    counts = await services.hub.devicebound.counts(hub, [item.device_id for item in page.items])
    return {
        "value": [
            device_to_json(device, messages=counts.get(device.device_id, 0))
            for device in page.items
        ],
        "continuation": page.continuation,
    }


@router.put("/{hub_name}/devices/{device_id}")
async def put_device(
    hub_name: str,
    device_id: str,
    body: DeviceBody,
    services: Services,
    response: Response,
    if_match: IfMatch = None,
) -> dict[str, Any]:
    """Create a device identity, or with If-Match replace one."""
    hub = services.hub.hubs.get(hub_name)
    device = await services.hub.devices.put(hub, body.at(device_id), if_match=if_match)
    response.headers["etag"] = f'"{device.etag}"'
    return device_to_json(device, messages=services.hub.devicebound.count(hub, device_id))


@router.get("/{hub_name}/devices/{device_id}")
async def get_device(
    hub_name: str, device_id: str, services: Services, response: Response
) -> dict[str, Any]:
    """Show a device identity."""
    hub = services.hub.hubs.get(hub_name)
    device = await services.hub.devices.get(hub, device_id)
    response.headers["etag"] = f'"{device.etag}"'
    return device_to_json(device, messages=services.hub.devicebound.count(hub, device_id))


@router.delete("/{hub_name}/devices/{device_id}", status_code=204)
async def delete_device(
    hub_name: str, device_id: str, services: Services, if_match: IfMatch = None
) -> Response:
    """Delete a device identity; a live connection of it is closed."""
    await services.hub.devices.delete(services.hub.hubs.get(hub_name), device_id, if_match=if_match)
    return Response(status_code=204)


@router.get("/{hub_name}/partitions")
async def list_partitions(hub_name: str, services: Services) -> dict[str, Any]:
    """Show the state of each partition of the telemetry log."""
    partitions = await services.hub.telemetry.partitions(services.hub.hubs.get(hub_name))
    return {"value": [partition_to_json(partition) for partition in partitions]}


@router.get("/{hub_name}/positions")
async def find_positions(
    hub_name: str, services: Services, start: _StartAt = None, device_id: _Device = None
) -> dict[str, Any]:
    """Say by partition at which sequence number reading begins from `start` (the earliest) on.

    With `deviceId` only the partition that the device's messages are in.
    """
    positions = await services.hub.telemetry.positions(
        services.hub.hubs.get(hub_name), _start(start, Start.EARLIEST), device_id
    )
    return {"positions": {str(partition): number for partition, number in positions.items()}}


@router.get("/{hub_name}/telemetry")
async def read_telemetry(
    hub_name: str,
    services: Services,
    start: _StartAt = None,
    device_id: _Device = None,
    limit: Limit = None,
) -> dict[str, Any]:
    """Read telemetry of all partitions by enqueued time, from `start` (the earliest) on."""
    events = await services.hub.telemetry.read_all(
        services.hub.hubs.get(hub_name),
        start=_start(start, Start.EARLIEST),
        device_id=device_id,
        limit=limit or 100,
    )
    return {"value": [event_to_json(event) for event in events]}


@router.get("/{hub_name}/partitions/{partition}/telemetry")
async def read_partition(
    hub_name: str,
    partition: int,
    services: Services,
    from_sequence_number: _SequenceNumber = 0,
    device_id: _Device = None,
    limit: Limit = None,
) -> dict[str, Any]:
    """Read one partition page by page; `nextSequenceNumber` is where the next page starts."""
    page = await services.hub.telemetry.read(
        services.hub.hubs.get(hub_name),
        partition,
        from_sequence_number=from_sequence_number,
        device_id=device_id,
        limit=limit or 100,
    )
    return {
        "value": [event_to_json(event) for event in page.events],
        "nextSequenceNumber": page.next_sequence_number,
    }


@router.get("/{hub_name}/telemetry/follow")
async def follow_telemetry(
    hub_name: str, services: Services, start: _StartAt = None, device_id: _Device = None
) -> StreamingResponse:
    """Stream telemetry as it is stored: one JSON object per line, empty lines as heartbeat."""
    events = services.hub.telemetry.follow(
        services.hub.hubs.get(hub_name), start=_start(start, Start.LATEST), device_id=device_id
    )
    documents = (event_to_json(event) async for event in events)
    return StreamingResponse(json_lines(documents, services.closing), media_type=MEDIA_TYPE)


def _start(text: str | None, default: Start) -> Start | datetime:
    if text is None:
        return default
    if text in (Start.EARLIEST, Start.LATEST):
        return Start(text)
    return parse_timestamp(text, field="start")
