"""A consumer group, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from mooring.cloud.hub.model import TelemetryEvent

DEFAULT_GROUP = "$Default"
"""The group that every hub has (Azure: Event Hubs-compatible endpoint)."""

MAX_GROUPS = 20
"""Groups of one hub besides `DEFAULT_GROUP` (Azure: "IoT Hub quotas and throttling")."""

MAX_GROUP_NAME_CHARS = 50
"""Azure: Event Hubs quotas, size of a consumer group name."""


@dataclass(frozen=True, slots=True)
class ConsumerGroup:
    """A group by name; names are compared without regard to case.

    `positions`: by partition, the sequence number that the group reads next. A partition that is
    missing is read from its beginning.
    """

    name: str
    positions: Mapping[int, int]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class GroupPage:
    """What a group reads next, by enqueued time.

    `positions` is what to commit once all of `events` are dealt with: it holds only partitions
    that something was read from.
    """

    events: tuple[TelemetryEvent, ...]
    positions: Mapping[int, int]
