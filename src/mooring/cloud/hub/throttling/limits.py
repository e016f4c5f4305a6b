"""Azure's figures as data: what a hub of a size and a number of units may do.

Sources: A, "IoT Hub quotas and throttling" (operation throttles, other limits); P, "Azure IoT Hub
pricing" (messages per day). Rows that Mooring has no operation for yet (file upload, jobs,
configurations, device streams) come with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from mooring.cloud.hub.settings.model import HubSettings, Sku
from mooring.cloud.hub.throttling.model import KIB, HubLimit


class Size(Enum):
    """The three columns of A."""

    ONE = (Sku.F1, Sku.B1, Sku.S1)
    TWO = (Sku.B2, Sku.S2)
    THREE = (Sku.B3, Sku.S3)


@dataclass(frozen=True, slots=True)
class Figure:
    """`per_unit` times the units, and never less than `least`, which holds for the whole hub."""

    per_unit: int
    least: int = 0

    def of(self, units: int) -> int:
        """Return the limit of a hub of `units`."""
        return max(self.per_unit * units, self.least)


# By size, per window (`WINDOWS_S`): a minute where A says "/min", else a second.
RATES: dict[HubLimit, tuple[Figure, Figure, Figure]] = {
    # A: 100/min/unit, 100/min/unit, 5,000/min/unit
    HubLimit.REGISTRY_OPERATIONS: (Figure(100), Figure(100), Figure(5_000)),
    # A: higher of 100/s and 12/s/unit, 120/s/unit, 6,000/s/unit
    HubLimit.DEVICE_CONNECTIONS: (Figure(12, least=100), Figure(120), Figure(6_000)),
    # A: the same three
    HubLimit.DEVICE_TO_CLOUD_SENDS: (Figure(12, least=100), Figure(120), Figure(6_000)),
    # A: 100/min/unit, 100/min/unit, 5,000/min/unit
    HubLimit.CLOUD_TO_DEVICE_SENDS: (Figure(100), Figure(100), Figure(5_000)),
    # A: 1,000/min/unit, 1,000/min/unit, 50,000/min/unit; over HTTPS only
    HubLimit.CLOUD_TO_DEVICE_RECEIVES: (Figure(1_000), Figure(1_000), Figure(50_000)),
    # A: 160 KB/s/unit, 480 KB/s/unit, 24 MB/s/unit
    HubLimit.DIRECT_METHOD_KILOBYTES: (Figure(160), Figure(480), Figure(24 * KIB)),
    # A: 20/min/unit, 20/min/unit, 1,000/min/unit
    HubLimit.QUERIES: (Figure(20), Figure(20), Figure(1_000)),
    # A: 100/s, higher of 100/s and 10/s/unit, 500/s/unit
    HubLimit.TWIN_READS: (Figure(0, least=100), Figure(10, least=100), Figure(500)),
    # A: 50/s, higher of 50/s and 5/s/unit, 250/s/unit
    HubLimit.TWIN_UPDATES: (Figure(0, least=50), Figure(5, least=50), Figure(250)),
}

# P: of one unit.
MESSAGES_PER_DAY: dict[Sku, int] = {
    Sku.F1: 8_000,
    Sku.B1: 400_000,
    Sku.B2: 6_000_000,
    Sku.B3: 300_000_000,
    Sku.S1: 400_000,
    Sku.S2: 6_000_000,
    Sku.S3: 300_000_000,
}

# A, "Other limits": of a hub, whatever its units; P for the free tier.
DEVICES = 1_000_000
FREE_DEVICES = 500

# P: a message is charged in blocks of this many bytes.
BLOCK_BYTES = 4 * KIB
FREE_BLOCK_BYTES = KIB // 2

STANDARD_ONLY = frozenset(
    {
        HubLimit.CLOUD_TO_DEVICE_SENDS,
        HubLimit.CLOUD_TO_DEVICE_RECEIVES,
        HubLimit.DIRECT_METHOD_KILOBYTES,
        HubLimit.TWIN_READS,
        HubLimit.TWIN_UPDATES,
    }
)
"""What the basic tier has not (A, footnote 1)."""

CHARGED = frozenset(
    {
        HubLimit.DEVICE_TO_CLOUD_SENDS,
        HubLimit.CLOUD_TO_DEVICE_SENDS,
        HubLimit.DIRECT_METHOD_KILOBYTES,
        HubLimit.QUERIES,
        HubLimit.TWIN_READS,
        HubLimit.TWIN_UPDATES,
    }
)
"""What counts as messages of the day (Azure: "Understand Azure IoT Hub pricing")."""

_SIZES = {sku: number for number, size in enumerate(Size) for sku in size.value}


def limits_of(settings: HubSettings) -> Mapping[HubLimit, int]:
    """Return every limit of a hub: Azure's, with those in its place that the settings name."""
    size = _SIZES[settings.sku]
    found = {limit: figures[size].of(settings.units) for limit, figures in RATES.items()}
    found[HubLimit.MESSAGES_PER_DAY] = MESSAGES_PER_DAY[settings.sku] * settings.units
    found[HubLimit.DEVICES] = FREE_DEVICES if settings.sku is Sku.F1 else DEVICES
    return {**found, **settings.limits}


def is_basic(sku: Sku) -> bool:
    """Return whether a hub of that size is of the basic tier."""
    return sku in (Sku.B1, Sku.B2, Sku.B3)


def block_bytes(sku: Sku) -> int:
    """Return the size of the blocks in which messages of the day are charged."""
    return FREE_BLOCK_BYTES if sku is Sku.F1 else BLOCK_BYTES
