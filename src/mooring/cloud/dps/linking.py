"""The hubs that DPS assigns to."""

from __future__ import annotations

from mooring.cloud.dps.errors import InputInvalid, LimitReached, NotFound
from mooring.cloud.dps.hubs import LinkedHubs
from mooring.cloud.dps.inputs import MAX_LINKED_HUBS
from mooring.cloud.dps.model import LinkedHub
from mooring.cloud.dps.store import DpsStore
from mooring.cloud.preconditions import RecordsFull

MAX_WEIGHT = 1000
"""Azure: ``allocationWeight`` is 1…1000."""


class LinkedHubService:
    """Links and unlinks hubs; knows the linked ones in memory."""

    def __init__(self, store: DpsStore, hubs: LinkedHubs, linked: tuple[LinkedHub, ...]) -> None:
        """Work on `store`; use `load`."""
        self._store = store
        self._hubs = hubs
        self.current = linked

    @classmethod
    async def load(cls, store: DpsStore, hubs: LinkedHubs) -> LinkedHubService:
        """Read the present state of `store`."""
        return cls(store, hubs, tuple(await store.list_linked_hubs()))

    async def link(self, hub: LinkedHub) -> LinkedHub:
        """Link a hub, or change the weight of a linked one.

        Raises:
            InputInvalid: No such hub exists, or the weight is not 1…1000.
            LimitReached: There are 50.
        """
        host_name = hub.host_name.lower()
        if not self._hubs.has_hub(host_name):
            raise InputInvalid(
                f"hostName: there is no hub {hub.host_name!r}.",
                "Create the hub first, or correct the name.",
                field="hostName",
                code="hub-unknown",
            )
        if not 1 <= hub.allocation_weight <= MAX_WEIGHT:
            raise InputInvalid(
                f"allocationWeight: {hub.allocation_weight} is not between 1 and {MAX_WEIGHT}.",
                "Give a whole number in that range.",
                field="allocationWeight",
                code="weight-out-of-range",
            )
        linked = LinkedHub(host_name, hub.allocation_weight, hub.apply_allocation_policy)
        try:
            await self._store.save_linked_hub(linked, limit=MAX_LINKED_HUBS)
        except RecordsFull:
            raise LimitReached(
                f"{MAX_LINKED_HUBS} hubs are linked already.", "Unlink one first."
            ) from None
        self.current = tuple(await self._store.list_linked_hubs())
        return linked

    async def list(self) -> tuple[LinkedHub, ...]:
        """Return all of them, by host name."""
        return self.current

    async def unlink(self, host_name: str) -> None:
        """Assign no more to it; devices already there stay. Raises NotFound."""
        gone = await self._store.delete_linked_hub(host_name.lower())
        self.current = tuple(await self._store.list_linked_hubs())
        if not gone:
            raise NotFound(
                f"Hub {host_name!r} is not linked.",
                "List the linked hubs to see their names.",
                field="hostName",
            )
