"""Admin routes of a hub's settings."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body

from mooring.cloud.api.context import Services
from mooring.cloud.hub.settings.documents import settings_to_json
from mooring.protocol.azure.json_members import Members

router = APIRouter(prefix="/hubs/{hub_name}/settings", tags=["hub"])


@router.get("")
async def get_settings(hub_name: str, services: Services) -> dict[str, Any]:
    """Show how a hub behaves."""
    hub = services.hub.hubs.get(hub_name)
    return settings_to_json(services.hub.settings.of(hub))


@router.patch("")
async def update_settings(
    hub_name: str, body: Annotated[dict[str, Any], Body()], services: Services
) -> dict[str, Any]:
    """Change some settings of a hub, at once; members that are not sent stay as they are."""
    hub = services.hub.hubs.get(hub_name)
    return settings_to_json(await services.hub.settings.update(hub, Members(body)))
