"""DPS's view of hubs, answered by the hub service of the same process.

It joins two services, so it belongs to neither; the composition root hands it to DPS.
"""

from __future__ import annotations

import json

from mooring.cloud.dps.hubs import DeviceAssignment
from mooring.cloud.hub.service import HubService
from mooring.cloud.work import Work


class LocalHubs:
    """Adapter of `mooring.cloud.dps.hubs.LinkedHubs`."""

    def __init__(self, service: HubService) -> None:
        """Answer from `service`; both services must keep their records in one store."""
        self._service = service

    def has_hub(self, host_name: str) -> bool:
        """Return whether a hub of that name exists now."""
        return self._service.hubs.has_host_name(host_name)

    def prepare_device(self, host_name: str, assignment: DeviceAssignment) -> Work[None]:
        """Prepare to create the device, or to take over one of that id by its authentication."""
        twin = assignment.initial_twin
        return self._service.devices.prepare_pinned(
            self._service.hubs.by_host_name(host_name),
            assignment.device_id,
            assignment.sha256_thumbprint,
            initial_tags=None if twin is None else json.dumps(dict(twin.tags)),
            initial_desired=None if twin is None else json.dumps(dict(twin.desired)),
            reset_twin=assignment.reset_twin,
            iot_edge=assignment.iot_edge,
        )

    def prepare_removal(self, host_name: str, device_id: str) -> Work[None]:
        """Prepare to remove a device that moved to another hub; one that is gone is no fault."""
        return self._service.devices.prepare_removal(
            self._service.hubs.by_host_name(host_name), device_id
        )
