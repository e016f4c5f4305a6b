"""The hubs of this cloud."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from mooring.cloud.hub.errors import HubAlreadyExists, HubNotFound, InputInvalid, LimitReached
from mooring.cloud.hub.model import DEFAULT_PARTITIONS, MAX_PARTITIONS, Hub
from mooring.cloud.hub.store import HubStore
from mooring.cloud.preconditions import RecordExists
from mooring.pki.errors import HostNameInvalid
from mooring.pki.issuing import check_server_name
from mooring.protocol.azure.errors import quoted
from mooring.runtime.clock import Clock

MAX_HUBS = 50
"""As many as one DPS can link (Azure: 50)."""

_HUB_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,48}[A-Za-z0-9])?", re.ASCII)


class HubRegistry:
    """The hubs of this cloud; few, and all known in memory."""

    def __init__(
        self, store: HubStore, opened: Callable[[Hub], Awaitable[None]], clock: Clock
    ) -> None:
        """Know nothing yet; `opened` is awaited for each hub before it is offered."""
        self._store = store
        self._opened = opened
        self._clock = clock
        self._hubs: dict[str, Hub] = {}
        self._by_host_name: dict[str, Hub] = {}

    async def load(self) -> None:
        """Know the hubs that the store holds."""
        for hub in await self._store.list_hubs():
            await self._keep(hub)

    async def create(
        self, name: str, host_name: str, *, partition_count: int = DEFAULT_PARTITIONS
    ) -> Hub:
        """Create a hub. Raises InputInvalid, HubAlreadyExists, LimitReached."""
        if _HUB_NAME.fullmatch(name) is None:
            raise InputInvalid(
                f"name {quoted(name)} may not name a hub.",
                "Use 1 to 50 letters, digits and hyphens, no hyphen at either end.",
                field="name",
            )
        try:
            # Before anything is kept: the server certificate must be able to name it.
            host_name = check_server_name(host_name.strip())
        except HostNameInvalid as error:
            raise InputInvalid(
                f"hostName {quoted(host_name)} is no host name.",
                "Give a bare host name or address, without scheme and port.",
                field="hostName",
            ) from error
        if not 1 <= partition_count <= MAX_PARTITIONS:
            raise InputInvalid(
                f"partitionCount {partition_count} is not between 1 and {MAX_PARTITIONS}.",
                "Give a whole number in that range; it cannot be changed later.",
                field="partitionCount",
            )
        if len(self._hubs) >= MAX_HUBS:
            raise LimitReached(f"There are {MAX_HUBS} hubs already.", "Use one of them.")
        try:
            hub = await self._store.create_hub(name, host_name, partition_count, self._clock.now())
        except RecordExists:
            raise HubAlreadyExists(
                f"There is a hub with the name {name!r} or the host name {host_name!r} already.",
                "Choose others.",
                field="name",
            ) from None
        await self._keep(hub)
        return hub

    def list(self) -> tuple[Hub, ...]:
        """Return all hubs, in the order of their creation."""
        return tuple(self._hubs.values())

    def get(self, name: str) -> Hub:
        """Return a hub by its name. Raises HubNotFound."""
        hub = self._hubs.get(name.lower())
        if hub is None:
            raise HubNotFound(
                f"There is no hub {name!r}.", "List the hubs to see their names.", field="hub"
            )
        return hub

    def by_host_name(self, host_name: str) -> Hub:
        """Return a hub by its host name, without regard to case. Raises HubNotFound."""
        hub = self._by_host_name.get(host_name.lower())
        if hub is None:
            raise HubNotFound(
                f"There is no hub with the host name {quoted(host_name)}.",
                "Use the host name that the provisioning service assigned, or one of "
                f"{', '.join(sorted(self._by_host_name)) or 'none: there is no hub'}.",
                field="host",
            )
        return hub

    def has_host_name(self, host_name: str) -> bool:
        """Return whether a hub goes by that host name."""
        return host_name.lower() in self._by_host_name

    async def _keep(self, hub: Hub) -> None:
        await self._opened(hub)
        self._hubs[hub.name.lower()] = hub
        self._by_host_name[hub.host_name.lower()] = hub
