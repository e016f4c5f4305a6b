"""What is counted on a hub, by the names that settings and the admin API use."""

from __future__ import annotations

from enum import StrEnum

KIB = 1024

METHOD_METER_BYTES = 4 * KIB
"""Azure: a direct method of 0 to 4 KB counts as 4 KB, one of 4 to 8 KB as 8 KB, and so on."""


class HubLimit(StrEnum):
    """A figure that holds for a hub. Rates first, in the order of Azure's table."""

    REGISTRY_OPERATIONS = "registryOperations"
    DEVICE_CONNECTIONS = "deviceConnections"
    DEVICE_TO_CLOUD_SENDS = "deviceToCloudSends"
    CLOUD_TO_DEVICE_SENDS = "cloudToDeviceSends"
    CLOUD_TO_DEVICE_RECEIVES = "cloudToDeviceReceives"
    DIRECT_METHOD_KILOBYTES = "directMethodKilobytes"
    QUERIES = "queries"
    TWIN_READS = "twinReads"
    TWIN_UPDATES = "twinUpdates"
    MESSAGES_PER_DAY = "messagesPerDay"
    DEVICES = "devices"


WINDOWS_S: dict[HubLimit, int] = {
    HubLimit.REGISTRY_OPERATIONS: 60,
    HubLimit.DEVICE_CONNECTIONS: 1,
    HubLimit.DEVICE_TO_CLOUD_SENDS: 1,
    HubLimit.CLOUD_TO_DEVICE_SENDS: 60,
    HubLimit.CLOUD_TO_DEVICE_RECEIVES: 60,
    HubLimit.DIRECT_METHOD_KILOBYTES: 1,
    HubLimit.QUERIES: 60,
    HubLimit.TWIN_READS: 1,
    HubLimit.TWIN_UPDATES: 1,
}
"""The limits that are rates, and the seconds that each is stated for."""

MAX_LIMIT = 1_000_000_000
"""The largest figure that may be set; Azure's largest is a third of it for one unit."""
