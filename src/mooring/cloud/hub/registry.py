"""Hubs and their device identities."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from mooring.cloud.hub.model import DEFAULT_PARTITIONS, DeviceDraft, DeviceIdentity, Hub
from mooring.cloud.paging import Page

DeviceChanged: TypeAlias = Callable[[Hub, str], None]
"""Told hub and device id after a device was disabled, deleted or given other credentials."""


class HubRegistry:
    """The hubs of this cloud; few, and all known in memory."""

    async def create(
        self, name: str, host_name: str, *, partition_count: int = DEFAULT_PARTITIONS
    ) -> Hub:
        """Create a hub. Raises InputInvalid, HubAlreadyExists, LimitReached."""
        raise NotImplementedError

    def list(self) -> tuple[Hub, ...]:
        """Return all hubs, in the order of their creation."""
        raise NotImplementedError

    def get(self, name: str) -> Hub:
        """Return a hub by its name. Raises HubNotFound."""
        raise NotImplementedError

    def by_host_name(self, host_name: str) -> Hub:
        """Return a hub by its host name, without regard to case. Raises HubNotFound."""
        raise NotImplementedError


class DeviceRegistry:
    """The identity registry of every hub."""

    async def put(
        self, hub: Hub, draft: DeviceDraft, *, if_match: str | None = None
    ) -> DeviceIdentity:
        """Create, or replace when `if_match` is ``*`` or the device's etag.

        Raises:
            InputInvalid: A field is bad.
            DeviceAlreadyExists: There is one and `if_match` is None.
            DeviceNotFound: `if_match` is given and there is none.
            EtagMismatch: The etag is stale.
        """
        raise NotImplementedError

    async def get(self, hub: Hub, device_id: str) -> DeviceIdentity:
        """Return one. Raises DeviceNotFound."""
        raise NotImplementedError

    async def list(
        self, hub: Hub, *, limit: int | None = None, continuation: str | None = None
    ) -> Page[DeviceIdentity]:
        """Return a page, by device id. Raises InputInvalid for a bad continuation."""
        raise NotImplementedError

    async def delete(self, hub: Hub, device_id: str, *, if_match: str | None = None) -> None:
        """Delete one. Raises DeviceNotFound, EtagMismatch."""
        raise NotImplementedError

    def on_change(self, listener: DeviceChanged) -> None:
        """Have `listener` called, after the commit, when a live connection must be closed."""
        raise NotImplementedError
