"""Events of the hub as messages in its telemetry log.

Azure: "IoT Hub non-telemetry event schemas".

An event is appended after the change that it tells of, in a commit of its own: after a crash
between the two it is missing, never wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from mooring.cloud.hub.model import Hub, TelemetryMessage
from mooring.cloud.hub.settings.model import EventSource, HubSettings
from mooring.cloud.hub.telemetry import TelemetryLog
from mooring.cloud.hub.twins.model import TwinChange
from mooring.protocol.azure.json_documents import JsonObject, encode_json
from mooring.protocol.azure.property_bag import PropertyBag, format_property_bag
from mooring.protocol.azure.timestamps import format_timestamp
from mooring.runtime.clock import Clock
from mooring.runtime.ids import new_tracking_id
from mooring.runtime.logs import get_logger

_SCHEMAS = {
    EventSource.CONNECTION_STATE: "deviceConnectionStateNotification",
    EventSource.LIFECYCLE: "deviceLifecycleNotification",
    EventSource.TWIN_CHANGE: "twinChangeNotification",
}

SEQUENCE_DIGITS = 64
"""Hex digits of a connection event's sequence number; readers compare them as text."""

_log = get_logger("cloud.hub.events")


class HubEvents:
    """Writes what the hub has to report, of the sources that its settings name."""

    def __init__(
        self, telemetry: TelemetryLog, settings_of: Callable[[Hub], HubSettings], clock: Clock
    ) -> None:
        """Append to `telemetry`."""
        self._telemetry = telemetry
        self._settings_of = settings_of
        self._clock = clock
        self._last_sequence = 0

    def wants(self, hub: Hub, source: EventSource) -> bool:
        """Return whether `hub` reports events of `source`."""
        return source in self._settings_of(hub).events

    def connected(self, hub: Hub, device_id: str) -> None:
        """Report that a device has connected."""
        self._connection(hub, device_id, "deviceConnected")

    def disconnected(self, hub: Hub, device_id: str) -> None:
        """Report that a device's connection ended."""
        self._connection(hub, device_id, "deviceDisconnected")

    def twin_changed(self, change: TwinChange) -> None:
        """Report a change of a twin."""
        self.report(
            change.hub,
            change.device_id,
            EventSource.TWIN_CHANGE,
            change.operation.value,
            lambda: change.body,
            at=change.changed_at,
        )

    def report(
        self,
        hub: Hub,
        device_id: str,
        source: EventSource,
        operation: str,
        body: Callable[[], JsonObject],
        *,
        at: datetime | None = None,
    ) -> None:
        """Report `operation` on a device, made `at`; `body` is asked for only if it is wanted."""
        if not self.wants(hub, source):
            return
        at = at or self._clock.now()
        bag = PropertyBag(
            system={
                "content-type": "application/json",
                "content-encoding": "utf-8",
                "correlation-id": new_tracking_id(),
                "user-id": hub.name,
            },
            application={
                "hubName": hub.name,
                "deviceId": device_id,
                "operationTimestamp": format_timestamp(at),
                "opType": operation,
                "iothub-message-schema": _SCHEMAS[source],
            },
        )
        self._telemetry.append_batch(
            self._telemetry.event_source(hub, device_id, source.value),
            (TelemetryMessage(format_property_bag(bag), encode_json(body())),),
            _appended,
        )

    def _connection(self, hub: Hub, device_id: str, operation: str) -> None:
        self.report(
            hub,
            device_id,
            EventSource.CONNECTION_STATE,
            operation,
            lambda: {"sequenceNumber": self._next_sequence()},
        )

    def _next_sequence(self) -> str:
        """Return a number above all before it, also those of an earlier run of the cloud."""
        now_us = int(self._clock.now().timestamp() * 1_000_000)
        self._last_sequence = max(self._last_sequence + 1, now_us)
        return f"{self._last_sequence:0{SEQUENCE_DIGITS}X}"


def _appended(error: BaseException | None) -> None:
    if error is not None:
        _log.warning("an event was not stored", error=str(error))
