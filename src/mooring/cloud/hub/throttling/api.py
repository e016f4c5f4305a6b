"""Admin route of a hub's quotas: what it may do, and what of it is used."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from mooring.cloud.api.context import Services
from mooring.cloud.hub.throttling.documents import quotas_to_json

router = APIRouter(prefix="/hubs/{hub_name}/quotas", tags=["hub"])


@router.get("")
async def get_quotas(hub_name: str, services: Services) -> dict[str, Any]:
    """Show the limits of a hub, and what was counted, delayed and refused since the start."""
    hub = services.hub.hubs.get(hub_name)
    counts = await services.hub.devices.count(hub)
    return quotas_to_json(
        services.hub.throttling.of(hub), devices=counts.total, now=services.clock.now()
    )
