"""Reading the twins of a hub in chunks, so that nobody waits long for a reader or the loop."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from mooring.cloud.hub.errors import DeviceNotFound
from mooring.cloud.hub.model import Hub
from mooring.cloud.hub.query.narrowing import Candidates
from mooring.cloud.hub.twins.model import Twin

CHUNK_TWINS = 200
"""Twins read in one go: some milliseconds of a reader, and no more memory than an answer."""

CHUNK_LOOK_UPS = 50
"""Twins looked up one by one on the loop before it does something else: a millisecond or two."""


class TwinSource(Protocol):
    """Whoever has the twins."""

    async def get(self, hub: Hub, device_id: str) -> Twin:
        """Return one, in microseconds. Raises DeviceNotFound."""
        ...

    async def scan(self, hub: Hub, *, after: str | None = None, limit: int) -> Sequence[Twin]:
        """Return up to `limit` by device id, beyond `after`."""
        ...


class TwinScan:
    """Reads those twins of a hub that a condition can be true of, in the order of ids.

    Attributes:
        after: The last device that was looked at; whoever looks at them moves it on.
    """

    def __init__(
        self, twins: TwinSource, hub: Hub, candidates: Candidates, after: str | None = None
    ) -> None:
        """Prepare to read the `candidates` of `hub` beyond `after`."""
        self._twins = twins
        self._hub = hub
        self._candidates = candidates
        self.after = after

    async def chunks(self) -> AsyncGenerator[Sequence[Twin]]:
        """Yield what is beyond `after`, some at a time, none of them empty."""
        if self._candidates.device_ids is not None:
            ids = [id_ for id_ in self._candidates.device_ids if self._is_beyond(id_)]
            for start in range(0, len(ids), CHUNK_LOOK_UPS):
                found = await self._find(ids[start : start + CHUNK_LOOK_UPS])
                if found:
                    yield found
            return
        prefix = self._candidates.prefix
        if prefix and self._is_beyond(prefix):
            self.after = prefix
            found = await self._find([prefix])
            if found:
                yield found
        while True:
            chunk = await self._twins.scan(self._hub, after=self.after, limit=CHUNK_TWINS)
            fitting = [twin for twin in chunk if twin.identity.device_id.startswith(prefix)]
            if fitting:
                yield fitting
            if len(fitting) < CHUNK_TWINS:
                return

    async def is_through(self) -> bool:
        """Return whether nothing is beyond `after`."""
        candidates = self._candidates
        if candidates.device_ids is not None:
            return not any(self._is_beyond(id_) for id_ in candidates.device_ids)
        beyond = await self._twins.scan(self._hub, after=self.after, limit=1)
        return not beyond or not beyond[0].identity.device_id.startswith(candidates.prefix)

    def _is_beyond(self, device_id: str) -> bool:
        return self.after is None or device_id > self.after

    async def _find(self, device_ids: Sequence[str]) -> list[Twin]:
        found = []
        for device_id in device_ids:
            try:
                found.append(await self._twins.get(self._hub, device_id))
            except DeviceNotFound:
                continue
        return found
