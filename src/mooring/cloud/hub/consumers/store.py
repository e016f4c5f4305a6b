"""The port behind which consumer groups are kept; rules as in `mooring.cloud.hub.store`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from mooring.cloud.hub.consumers.model import ConsumerGroup


class ConsumerStore(Protocol):
    """Consumer groups of all hubs and their positions."""

    async def add_group(
        self,
        hub_id: int,
        name: str,
        positions: Mapping[int, int],
        created_at: datetime,
        *,
        limit: int,
    ) -> None:
        """Create a group.

        Raises:
            RecordExists, RecordsFull: mooring.cloud.preconditions.
        """
        ...

    async def find_group(self, hub_id: int, name: str) -> ConsumerGroup | None:
        """Return one, by its name in any case."""
        ...

    async def list_groups(self, hub_id: int) -> Sequence[ConsumerGroup]:
        """Return all of a hub, by name."""
        ...

    async def delete_group(self, hub_id: int, name: str) -> bool:
        """Delete one; return whether it was there."""
        ...

    async def save_positions(self, hub_id: int, name: str, positions: Mapping[int, int]) -> bool:
        """Set positions, those of other partitions stay; return whether the group is there."""
        ...
