"""The rules of consumer groups.

In Azure a group is a name, and its readers keep their places elsewhere. Here the hub keeps them
too, for readers that have no store of their own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from mooring.cloud.hub.consumers.model import (
    DEFAULT_GROUP,
    MAX_GROUP_NAME_CHARS,
    MAX_GROUPS,
    ConsumerGroup,
    GroupPage,
)
from mooring.cloud.hub.consumers.store import ConsumerStore
from mooring.cloud.hub.errors import (
    ConsumerGroupExists,
    ConsumerGroupNotFound,
    InputInvalid,
    LimitReached,
)
from mooring.cloud.hub.model import Hub, Start, TelemetryEvent
from mooring.cloud.hub.telemetry import MAX_READ_MESSAGES, TelemetryLog
from mooring.cloud.preconditions import RecordExists, RecordsFull
from mooring.protocol.azure.errors import quoted
from mooring.runtime.clock import Clock

_NAME = re.compile(rf"[A-Za-z0-9](?:[A-Za-z0-9._-]{{0,{MAX_GROUP_NAME_CHARS - 2}}}[A-Za-z0-9])?")


class ConsumerService:
    """Consumer groups of all hubs."""

    def __init__(self, store: ConsumerStore, telemetry: TelemetryLog, clock: Clock) -> None:
        """Keep positions in `store`, read from `telemetry`."""
        self._store = store
        self._telemetry = telemetry
        self._clock = clock

    async def create(self, hub: Hub, name: str, *, start: Start = Start.EARLIEST) -> ConsumerGroup:
        """Create a group that reads from `start` on.

        Raises InputInvalid, ConsumerGroupExists, LimitReached.
        """
        if _NAME.fullmatch(name) is None:
            raise InputInvalid(
                f"name {quoted(name)} may not name a consumer group.",
                f"Use 1 to {MAX_GROUP_NAME_CHARS} letters, digits and '.', '_', '-', a letter or "
                "digit at either end.",
                field="name",
            )
        positions: dict[int, int] = {}
        if start is Start.LATEST:
            positions = {
                info.partition: info.last_sequence_number + 1
                for info in await self._telemetry.partitions(hub)
            }
        now = self._clock.now()
        try:
            await self._store.add_group(hub.hub_id, name, positions, now, limit=MAX_GROUPS)
        except RecordExists:
            raise ConsumerGroupExists(
                f"Hub {hub.name!r} has a consumer group {name!r} already.",
                "Choose another name, or use that one.",
                field="name",
            ) from None
        except RecordsFull:
            raise LimitReached(
                f"Hub {hub.name!r} has {MAX_GROUPS} consumer groups already.",
                "Delete one that nobody reads by.",
            ) from None
        return ConsumerGroup(name, positions, now)

    async def list(self, hub: Hub) -> tuple[ConsumerGroup, ...]:
        """Return all groups, `DEFAULT_GROUP` first."""
        found = await self._store.list_groups(hub.hub_id)
        default = [group for group in found if group.name == DEFAULT_GROUP]
        others = [group for group in found if group.name != DEFAULT_GROUP]
        return (*(default or [_default_of(hub)]), *others)

    async def get(self, hub: Hub, name: str) -> ConsumerGroup:
        """Return one. Raises ConsumerGroupNotFound."""
        found = await self._store.find_group(hub.hub_id, name)
        if found is not None:
            return found
        if name.lower() == DEFAULT_GROUP.lower():
            return _default_of(hub)
        raise _not_found(hub, name)

    async def delete(self, hub: Hub, name: str) -> None:
        """Delete one. Raises ConsumerGroupNotFound, InputInvalid for `DEFAULT_GROUP`."""
        if name.lower() == DEFAULT_GROUP.lower():
            raise InputInvalid(
                f"{DEFAULT_GROUP}: every hub has this consumer group; it cannot be deleted.",
                "Set its positions instead, to read from elsewhere.",
                field="name",
            )
        if not await self._store.delete_group(hub.hub_id, name):
            raise _not_found(hub, name)

    async def read(self, hub: Hub, name: str, *, limit: int = 100) -> GroupPage:
        """Return up to `limit` messages that the group has not dealt with, by enqueued time.

        Positions stay where they are: `commit` those of the page when its messages are dealt
        with. What retention removed meanwhile is passed over. Raises ConsumerGroupNotFound.
        """
        group = await self.get(hub, name)
        limit = max(1, min(limit, MAX_READ_MESSAGES))
        found: list[TelemetryEvent] = []
        for partition in range(hub.partition_count):
            page = await self._telemetry.read(
                hub,
                partition,
                from_sequence_number=group.positions.get(partition, 0),
                limit=limit,
            )
            found += page.events
        found.sort(key=lambda event: (event.enqueued_at, event.partition, event.sequence_number))
        events = tuple(found[:limit])
        # Later ones of a partition overwrite earlier ones: they are in order.
        return GroupPage(events, {event.partition: event.sequence_number + 1 for event in events})

    async def commit(self, hub: Hub, name: str, positions: Mapping[int, int]) -> ConsumerGroup:
        """Have the group read on from `positions`, by partition; also backwards.

        Raises ConsumerGroupNotFound, InputInvalid: no such partition, or beyond its end.
        """
        group = await self.get(hub, name)
        partitions = {info.partition: info for info in await self._telemetry.partitions(hub)}
        for partition, position in positions.items():
            info = partitions.get(partition)
            if info is None:
                raise InputInvalid(
                    f"positions: hub {hub.name!r} has partitions 0 to {hub.partition_count - 1}, "
                    f"not {partition}.",
                    "Name one of them.",
                    field="positions",
                )
            if not 0 <= position <= info.last_sequence_number + 1:
                raise InputInvalid(
                    f"positions.{partition}: {position} is not between 0 and "
                    f"{info.last_sequence_number + 1}, the next message.",
                    "Commit positions as the page that was read carries them.",
                    field=f"positions.{partition}",
                )
        if not await self._store.save_positions(hub.hub_id, group.name, positions):
            if group.name != DEFAULT_GROUP:
                raise _not_found(hub, name)
            await self._keep_default(hub, positions)
        return await self.get(hub, name)

    async def _keep_default(self, hub: Hub, positions: Mapping[int, int]) -> None:
        """Write the group that every hub has when it first has a position."""
        try:
            # The limit is for the others.
            await self._store.add_group(
                hub.hub_id, DEFAULT_GROUP, positions, hub.created_at, limit=MAX_GROUPS + 1
            )
        except RecordExists:
            await self._store.save_positions(hub.hub_id, DEFAULT_GROUP, positions)


def _default_of(hub: Hub) -> ConsumerGroup:
    return ConsumerGroup(DEFAULT_GROUP, {}, hub.created_at)


def _not_found(hub: Hub, name: str) -> ConsumerGroupNotFound:
    return ConsumerGroupNotFound(
        f"Hub {hub.name!r} has no consumer group {quoted(name)}.",
        "List the consumer groups to see their names, or create it.",
        field="group",
    )
