"""The hubs that DPS assigns to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from mooring.cloud.dps.configuration import Configuration
from mooring.cloud.dps.errors import InputInvalid, LimitReached, NotFound
from mooring.cloud.dps.hubs import LinkedHubs
from mooring.cloud.dps.inputs import MAX_LINKED_HUBS
from mooring.cloud.dps.model import LinkedHub, ServiceRecord
from mooring.protocol.azure.errors import quoted

MAX_WEIGHT = 1000
"""Azure: ``allocationWeight`` is 1…1000."""


class LinkedHubService:
    """Links and unlinks hubs."""

    def __init__(self, configuration: Configuration, hubs: LinkedHubs) -> None:
        """Change `configuration`; `hubs` says which there are."""
        self._configuration = configuration
        self._hubs = hubs

    @property
    def current(self) -> tuple[LinkedHub, ...]:
        """Return all of them, by host name."""
        return self._configuration.current.linked_hubs

    async def list(self) -> tuple[LinkedHub, ...]:
        """Return all of them, by host name."""
        return self.current

    async def link(self, hub: LinkedHub) -> LinkedHub:
        """Link a hub, or change the weight of a linked one.

        Raises:
            InputInvalid: No such hub exists, or the weight is not 1…1000.
            LimitReached: There are 50.
        """
        linked = self._check(hub)

        def change(record: ServiceRecord) -> ServiceRecord:
            others = [each for each in record.linked_hubs if each.host_name != linked.host_name]
            return replace(record, linked_hubs=_in_order([*others, linked]))

        await self._configuration.change(change)
        return linked

    async def unlink(self, host_name: str) -> None:
        """Assign no more to it; devices already there stay. Raises NotFound."""
        folded = host_name.lower()

        def change(record: ServiceRecord) -> ServiceRecord:
            left = tuple(hub for hub in record.linked_hubs if hub.host_name != folded)
            if len(left) == len(record.linked_hubs):
                raise NotFound(
                    f"Hub {quoted(host_name)} is not linked.",
                    "List the linked hubs to see their names.",
                    field="hostName",
                )
            return replace(record, linked_hubs=left)

        await self._configuration.change(change)

    def settle(self, hubs: Iterable[LinkedHub]) -> tuple[LinkedHub, ...]:
        """Return `hubs` as they are kept when they are all that shall be linked.

        Raises:
            InputInvalid: No such hub exists, a weight is not 1…1000, or a hub comes twice.
            LimitReached: There are more than 50.
        """
        settled = [self._check(hub) for hub in hubs]
        names = [hub.host_name for hub in settled]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise InputInvalid(
                f"iotHubs: hub {twice!r} comes twice.",
                "Send each hub once.",
                field="iotHubs",
                code="hub-twice",
            )
        return _in_order(settled)

    def _check(self, hub: LinkedHub) -> LinkedHub:
        host_name = hub.host_name.lower()
        if not self._hubs.has_hub(host_name):
            raise InputInvalid(
                f"hostName: there is no hub {quoted(hub.host_name)}.",
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
        return replace(hub, host_name=host_name)


def _in_order(hubs: list[LinkedHub]) -> tuple[LinkedHub, ...]:
    if len(hubs) > MAX_LINKED_HUBS:
        raise LimitReached(
            f"{len(hubs)} hubs would be linked; {MAX_LINKED_HUBS} may be.", "Unlink one first."
        )
    return tuple(sorted(hubs, key=lambda hub: hub.host_name))
