"""Admin routes of consumer groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict

from mooring.cloud.api.context import Limit, Services
from mooring.cloud.hub.consumers.model import ConsumerGroup
from mooring.cloud.hub.documents import event_to_json
from mooring.cloud.hub.model import Start
from mooring.protocol.azure.timestamps import format_timestamp

router = APIRouter(prefix="/hubs/{hub_name}/consumerGroups", tags=["hub"])


class GroupBody(BaseModel):
    """A consumer group as asked for; `start` is where it begins to read."""

    model_config = ConfigDict(extra="forbid")
    name: str
    start: Start = Start.EARLIEST


class PositionsBody(BaseModel):
    """By partition, the sequence number to read next."""

    model_config = ConfigDict(extra="forbid")
    positions: dict[int, int]


@router.get("")
async def list_groups(hub_name: str, services: Services) -> dict[str, Any]:
    """List the consumer groups of a hub, ``$Default`` first."""
    groups = await services.hub.consumers.list(services.hub.hubs.get(hub_name))
    return {"value": [_group(group) for group in groups]}


@router.post("", status_code=201)
async def create_group(hub_name: str, body: GroupBody, services: Services) -> dict[str, Any]:
    """Create a consumer group."""
    hub = services.hub.hubs.get(hub_name)
    return _group(await services.hub.consumers.create(hub, body.name, start=body.start))


@router.get("/{group_name}")
async def get_group(hub_name: str, group_name: str, services: Services) -> dict[str, Any]:
    """Show a consumer group and its positions."""
    hub = services.hub.hubs.get(hub_name)
    return _group(await services.hub.consumers.get(hub, group_name))


@router.delete("/{group_name}", status_code=204)
async def delete_group(hub_name: str, group_name: str, services: Services) -> Response:
    """Delete a consumer group."""
    await services.hub.consumers.delete(services.hub.hubs.get(hub_name), group_name)
    return Response(status_code=204)


@router.get("/{group_name}/telemetry")
async def read_group(
    hub_name: str, group_name: str, services: Services, limit: Limit = None
) -> dict[str, Any]:
    """Read what the group has not dealt with; `positions` is what to commit afterwards."""
    hub = services.hub.hubs.get(hub_name)
    page = await services.hub.consumers.read(hub, group_name, limit=limit or 100)
    return {
        "value": [event_to_json(event) for event in page.events],
        "positions": _positions(page.positions),
    }


@router.post("/{group_name}/positions")
async def commit_positions(
    hub_name: str, group_name: str, body: PositionsBody, services: Services
) -> dict[str, Any]:
    """Have the group read on from these positions; partitions that are not named stay."""
    hub = services.hub.hubs.get(hub_name)
    return _group(await services.hub.consumers.commit(hub, group_name, body.positions))


def _group(group: ConsumerGroup) -> dict[str, Any]:
    return {
        "name": group.name,
        "positions": _positions(group.positions),
        "createdDateTimeUtc": format_timestamp(group.created_at),
    }


def _positions(positions: Mapping[int, int]) -> dict[str, int]:
    return {str(partition): position for partition, position in sorted(positions.items())}
