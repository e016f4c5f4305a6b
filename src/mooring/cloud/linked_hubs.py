"""The cloud's own hubs, as DPS sees them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mooring.cloud.dps.hubs import DeviceAssignment, PinnedLeaf
from mooring.cloud.dps.model import SymmetricKeys
from mooring.cloud.hub.errors import HubNotFound
from mooring.cloud.hub.model import AuthenticationType, DeviceAuthentication, Provisioned
from mooring.cloud.hub.service import HubService
from mooring.cloud.work import Work


class OwnHubs:
    """Adapter of `mooring.cloud.dps.hubs.LinkedHubs` to the hub service beside it."""

    def __init__(self, hub: HubService) -> None:
        """Lead to the hubs of `hub`."""
        self._hub = hub

    def has_hub(self, host_name: str) -> bool:
        """Return whether a hub of that name exists now."""
        try:
            self._hub.hubs.by_host_name(host_name)
        except HubNotFound:
            return False
        return True

    def prepare_device(self, host_name: str, assignment: DeviceAssignment) -> Work[object]:
        """Prepare to create the device, or to give one of that id its authentication."""
        twin = assignment.initial_twin
        source = assignment.migrate_from
        return self._hub.devices.prepare_provisioned(
            self._hub.hubs.by_host_name(host_name),
            assignment.device_id,
            _authentication(assignment.credentials),
            initial_tags=None if twin is None else _dump(twin.tags),
            initial_desired=None if twin is None else _dump(twin.desired),
            reset_twin=assignment.reset_twin,
            iot_edge=assignment.iot_edge,
            migrate_from=None if source is None else self._hub.hubs.by_host_name(source),
        )

    def prepare_removal(self, host_name: str, device_id: str) -> Work[object]:
        """Prepare to remove a device that moved to another hub; one that is gone is no fault."""
        return self._hub.devices.prepare_removal(self._hub.hubs.by_host_name(host_name), device_id)

    def prepared(self, host_name: str, device_id: str, outcome: object) -> None:
        """Have a connection closed that the device's former credentials opened."""
        assert isinstance(outcome, Provisioned)
        hub = self._hub.hubs.by_host_name(host_name)
        self._hub.devices.provisioned(hub, device_id, outcome)

    def removed(self, host_name: str, device_id: str, outcome: object) -> None:
        """Have the connection closed of a device that was removed."""
        if outcome:
            self._hub.devices.removed(self._hub.hubs.by_host_name(host_name), device_id)


def _authentication(credentials: PinnedLeaf | SymmetricKeys) -> DeviceAuthentication:
    if isinstance(credentials, SymmetricKeys):
        return DeviceAuthentication(
            AuthenticationType.SAS,
            primary_key=credentials.primary,
            secondary_key=credentials.secondary,
        )
    thumbprint = credentials.sha256_thumbprint
    return DeviceAuthentication(AuthenticationType.SELF_SIGNED, thumbprint, thumbprint)


def _dump(document: Mapping[str, Any]) -> str:
    return json.dumps(dict(document), separators=(",", ":"))
