"""The settings of one hub, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from mooring.cloud.hub.devicebound.model import CloudToDeviceSettings
from mooring.cloud.hub.throttling.model import HubLimit

MAX_UNITS = 200
"""Units of one hub at most; fewer for some sizes, see `Sku.max_units`."""


class EventSource(StrEnum):
    """Where a message of the telemetry log comes from (``iothub-message-source``)."""

    TELEMETRY = "Telemetry"
    CONNECTION_STATE = "deviceConnectionStateEvents"
    LIFECYCLE = "deviceLifecycleEvents"
    TWIN_CHANGE = "twinChangeEvents"


HUB_EVENTS = (EventSource.CONNECTION_STATE, EventSource.LIFECYCLE, EventSource.TWIN_CHANGE)
"""What the hub itself can report."""


class HubThrottling(StrEnum):
    """Which limits on rates hold."""

    OFF = "off"
    AZURE = "azure"


class Sku(StrEnum):
    """Size of a hub, which its limits follow (Azure: IoT Hub pricing)."""

    F1 = "F1"
    B1 = "B1"
    B2 = "B2"
    B3 = "B3"
    S1 = "S1"
    S2 = "S2"
    S3 = "S3"

    @property
    def max_units(self) -> int:
        """Return how many units a hub of this size may have (Azure: IoT Hub pricing)."""
        return {"F1": 1, "B3": 10, "S3": 10}.get(self.value, MAX_UNITS)


@dataclass(frozen=True, slots=True)
class HubSettings:
    """What can be chosen on a hub.

    Attributes:
        events: What the hub reports of itself in its telemetry log. In Azure a route that names
            the source does that; without one only telemetry is there.
        disable_local_auth: Shared access policies open nothing (Azure: ``disableLocalAuth``).
        disable_device_sas: Devices get in by certificate only (Azure: ``disableDeviceSAS``).
        throttling: Whether Azure's limits hold; they follow `sku` and `units`.
        sku: Size of the hub.
        units: How many units of that size.
        limits: Figures that hold in the place of Azure's, where throttling is on.
        cloud_to_device: Lives and delivery counts of cloud-to-device messages and feedback.
    """

    events: frozenset[EventSource] = frozenset()
    disable_local_auth: bool = False
    disable_device_sas: bool = False
    throttling: HubThrottling = HubThrottling.OFF
    sku: Sku = Sku.S1
    units: int = 1
    limits: Mapping[HubLimit, int] = field(default_factory=lambda: MappingProxyType({}))
    cloud_to_device: CloudToDeviceSettings = field(default_factory=CloudToDeviceSettings)


DEFAULT_SETTINGS = HubSettings()
