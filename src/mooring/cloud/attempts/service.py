"""Attempt records: taken off the device path, counted, written in batches."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from mooring.cloud.attempts.model import (
    MAX_RECORDS_PER_ADDRESS,
    AttemptFilter,
    AttemptRecord,
    record_of,
)
from mooring.cloud.attempts.store import AttemptStore
from mooring.cloud.attempts.watching import AttemptWatch
from mooring.runtime.attempts import Attempt
from mooring.runtime.logs import get_logger
from mooring.storage.errors import StorageUnavailable

FLUSH_EVERY_S = 5.0
"""How long a record may wait in memory: it is no promise to a device, only a trace. A fleet that
comes back repeats itself, and what repeats within this time is one write."""

FLUSH_AT = 500
"""Distinct records at which they are written without waiting longer."""

MAX_PENDING = 2_000
"""Distinct records that wait in memory, some 4 MB; the oldest go when a flood outruns the disk."""

DEFAULT_PAGE = 100
MAX_PAGE = 1_000

_log = get_logger("cloud.attempts")


class AttemptService:
    """Records attempts without making the device wait, lists them, and tells who watches."""

    def __init__(
        self,
        store: AttemptStore,
        *,
        flush_every_s: float = FLUSH_EVERY_S,
        max_pending: int = MAX_PENDING,
    ) -> None:
        """Write to `store`, at most `flush_every_s` after a record was taken."""
        self._store = store
        self._flush_every_s = flush_every_s
        self._max_pending = max_pending
        self._pending: OrderedDict[bytes, AttemptRecord] = OrderedDict()
        self._pending_by_address: Counter[str] = Counter()
        self._timer: asyncio.TimerHandle | None = None
        self._writing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._watches: list[AttemptWatch] = []
        self._closed = False
        self._failing = False
        self.dropped = 0

    def record(self, attempt: Attempt) -> None:
        """Keep a finished `attempt`; returns at once, never raises for a full store."""
        record = record_of(attempt)
        self._queue(record)
        for watch in self._watches:
            watch.offer(record)

    @contextmanager
    def watch(self, wanted: AttemptFilter | None = None) -> Iterator[AttemptWatch]:
        """Watch what `wanted` names from now on, before it is written, until the block is left."""
        watch = AttemptWatch(wanted or AttemptFilter())
        self._watches.append(watch)
        try:
            yield watch
        finally:
            self._watches.remove(watch)

    async def flush(self) -> None:
        """Write what waits; returns when it is durable.

        What the storage cannot take now waits on, within the bounds, for a later turn.
        """
        async with self._writing:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if not self._pending:
                return
            records = list(self._pending.values())
            self._pending.clear()
            self._pending_by_address.clear()
            try:
                await self._store.add(records)
            except StorageUnavailable as error:
                if not self._failing:
                    _log.warning("attempt records wait for the storage", reason=error.message)
                self._failing = True
                self._take_back(records)
            except Exception as error:  # noqa: BLE001 - a lost trace must not end the service
                self.dropped += len(records)
                _log.error("attempt records lost", records=len(records), exc_info=error)
            else:
                self._failing = False

    async def list(
        self,
        wanted: AttemptFilter | None = None,
        *,
        limit: int = DEFAULT_PAGE,
        before: int | None = None,
    ) -> tuple[list[AttemptRecord], int | None]:
        """Return up to `limit` records, newest first, and where the next page starts.

        What was recorded before the call is in the answer.
        """
        await self.flush()
        return await self._store.list(
            wanted or AttemptFilter(), limit=max(1, min(limit, MAX_PAGE)), before=before
        )

    async def close(self) -> None:
        """Write what waits and take no timer any more."""
        self._closed = True
        if self._task is not None:
            await self._task
        await self.flush()

    def _take_back(self, records: Sequence[AttemptRecord]) -> None:
        """Queue what could not be written, as older than what came meanwhile."""
        newer = list(self._pending.values())
        self._pending.clear()
        self._pending_by_address.clear()
        for record in (*records, *newer):
            self._queue(record)

    def _queue(self, record: AttemptRecord) -> None:
        earlier = self._pending.pop(record.identity, None)
        if earlier is not None:
            self._pending[record.identity] = earlier.joined(record)
        else:
            self._make_room(record.source_address)
            self._pending[record.identity] = record
            self._pending_by_address[record.source_address] += 1
        if self._closed:
            return
        if len(self._pending) >= FLUSH_AT and not self._failing:
            self._start_flush()
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._flush_every_s, self._start_flush)

    def _make_room(self, source_address: str) -> None:
        """Drop what the store would drop anyway, before it costs memory and a write."""
        if self._pending_by_address[source_address] >= MAX_RECORDS_PER_ADDRESS:
            oldest = next(
                record
                for record in self._pending.values()
                if record.source_address == source_address
            )
        elif len(self._pending) >= self._max_pending:
            oldest = next(iter(self._pending.values()))
        else:
            return
        del self._pending[oldest.identity]
        self._pending_by_address[oldest.source_address] -= 1
        self.dropped += 1

    def _start_flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self.flush(), name="attempts")
        else:  # the disk is slower than the timer: look again later
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._flush_every_s, self._start_flush)
