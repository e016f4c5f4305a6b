"""Counts of a hub in the service API: ``/statistics``."""

from __future__ import annotations

from mooring.cloud.accounts.model import Right
from mooring.cloud.hub.service_api.requests import Operation, ServiceAnswer, ServiceRequest


async def count_devices(request: ServiceRequest) -> ServiceAnswer:
    """Count the device identities."""
    counts = await request.services.hub.devices.count(request.hub)
    return ServiceAnswer(
        {
            "totalDeviceCount": counts.total,
            "enabledDeviceCount": counts.total - counts.disabled,
            "disabledDeviceCount": counts.disabled,
        }
    )


async def count_connections(request: ServiceRequest) -> ServiceAnswer:
    """Count the devices that are connected now."""
    count = request.services.hub.devices.count_connected(request.hub)
    return ServiceAnswer({"connectedDeviceCount": count})


OPERATIONS = (
    Operation("GET", "/statistics/devices", Right.REGISTRY_READ, count_devices),
    Operation("GET", "/statistics/service", Right.SERVICE_CONNECT, count_connections),
)
