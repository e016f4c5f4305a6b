"""Events of devices that come and go."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from mooring.cloud.hub.events.service import HubEvents
from mooring.cloud.hub.model import Hub
from mooring.cloud.hub.settings.model import EventSource
from mooring.cloud.hub.twins.documents import whole_twin_event
from mooring.cloud.hub.twins.model import Twin
from mooring.protocol.azure.json_documents import JsonObject

LastTwin: TypeAlias = JsonObject | None
"""What is told of the twin of a device that is deleted; None where nobody wants to know."""


class DeviceLifecycle:
    """Reports devices that are created and deleted."""

    def __init__(self, events: HubEvents, find_twin: Callable[[int, str], Twin | None]) -> None:
        """Report by `events`; `find_twin` (hub id, device id) looks a twin up at once."""
        self._events = events
        self._find_twin = find_twin

    def created(self, hub: Hub, device_id: str) -> None:
        """Report a device that is there now."""
        self._events.report(
            hub,
            device_id,
            EventSource.LIFECYCLE,
            "createDeviceIdentity",
            lambda: self._document(hub, device_id),
        )

    def last_twin(self, hub: Hub, device_id: str) -> LastTwin:
        """Return what `deleted` is to tell of a device that is about to be deleted."""
        if not self._events.wants(hub, EventSource.LIFECYCLE):
            return None
        return self._document(hub, device_id)

    def deleted(self, hub: Hub, device_id: str, last: LastTwin) -> None:
        """Report a device that is gone."""
        self._events.report(
            hub,
            device_id,
            EventSource.LIFECYCLE,
            "deleteDeviceIdentity",
            lambda: last or {"deviceId": device_id},
        )

    def _document(self, hub: Hub, device_id: str) -> JsonObject:
        twin = self._find_twin(hub.hub_id, device_id)
        return {"deviceId": device_id} if twin is None else whole_twin_event(twin)
