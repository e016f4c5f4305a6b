"""The hubs that DPS assigns to."""

from __future__ import annotations

from mooring.cloud.dps.model import LinkedHub


class LinkedHubService:
    """Links and unlinks hubs."""

    async def link(self, hub: LinkedHub) -> LinkedHub:
        """Link a hub, or change the weight of a linked one.

        Raises:
            InputInvalid: No such hub exists, or the weight is not 1…1000.
            LimitReached: There are 50.
        """
        raise NotImplementedError

    async def list(self) -> tuple[LinkedHub, ...]:
        """Return all of them, by host name."""
        raise NotImplementedError

    async def unlink(self, host_name: str) -> None:
        """Assign no more to it; devices already there stay. Raises NotFound."""
        raise NotImplementedError
