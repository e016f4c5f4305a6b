"""The feedback queue of each hub: what became of messages, for back ends.

Records are gathered to messages of at most 64, or of what there is after 15 s; a back end
receives such a message under a lock and settles it (iothub.md 4.3, 5.3).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from mooring.cloud.hub.devicebound.errors import LockLost
from mooring.cloud.hub.devicebound.locks import Lock, LockTable
from mooring.cloud.hub.devicebound.model import (
    FEEDBACK_GATHERED,
    MAX_FEEDBACK_RECORDS,
    CloudToDeviceSettings,
    FeedbackMessage,
    FeedbackRecord,
)
from mooring.cloud.hub.devicebound.store import DeviceboundStore
from mooring.cloud.hub.model import Hub
from mooring.protocol.azure.errors import quoted
from mooring.runtime.clock import Clock

TRIMMED_AT_ONCE = 2_000
"""Records dropped in one write, so that nothing waits long behind it."""


class FeedbackQueue:
    """The feedback of all hubs."""

    def __init__(
        self,
        store: DeviceboundStore,
        clock: Clock,
        *,
        settings_of: Callable[[Hub], CloudToDeviceSettings],
    ) -> None:
        """Work on `store`."""
        self._store = store
        self._clock = clock
        self._settings_of = settings_of
        self._locks = LockTable[int]()
        # One look-up at a time: two would find the same message before either has locked it.
        self._receiving = asyncio.Lock()

    async def receive(self, hub: Hub) -> FeedbackMessage | None:
        """Return the oldest feedback message that nobody holds, locked; None if there is none."""
        settings = self._settings_of(hub).feedback
        async with self._receiving:
            for lock in self._locks.ended(self._clock.monotonic()):
                self._locks.drop(lock)
            now = self._clock.now()
            rows = await self._store.feedback_batch(
                hub.hub_id,
                now=now,
                ttl=settings.ttl,
                gathered_before=now - FEEDBACK_GATHERED,
                max_records=MAX_FEEDBACK_RECORDS,
                locked=tuple(self._locks.messages(hub.hub_id)),
            )
            if not rows:
                return None
            batch_key = rows[0].batch_key
            assert batch_key is not None
            lock = self._locks.lock(
                hub.hub_id,
                batch_key,
                ends_at=self._clock.monotonic() + settings.lock_duration.total_seconds(),
            )
        records = tuple(row.record for row in rows)
        return FeedbackMessage(
            lock_token=lock.token,
            enqueued_at=records[-1].enqueued_at,
            delivery_count=rows[0].delivery_count,
            records=records,
        )

    async def complete(self, hub: Hub, lock_token: str) -> None:
        """Settle a feedback message: the back end has it. Raises LockLost."""
        lock = self._take_lock(hub, lock_token)
        try:
            was_there = await self._store.settle_feedback(hub.hub_id, lock.message_key)
        except BaseException:
            lock.is_settling = False
            raise
        self._locks.drop(lock)
        if not was_there:
            raise _lock_lost(lock_token)

    async def abandon(self, hub: Hub, lock_token: str) -> None:
        """Give a feedback message back, and count that; the last one drops it. Raises LockLost."""
        lock = self._take_lock(hub, lock_token)
        try:
            was_there = await self._store.give_back_feedback(
                hub.hub_id,
                lock.message_key,
                max_delivery_count=self._settings_of(hub).feedback.max_delivery_count,
            )
        except BaseException:
            lock.is_settling = False
            raise
        self._locks.drop(lock)
        if not was_there:
            raise _lock_lost(lock_token)

    async def list(self, hub: Hub, *, limit: int) -> Sequence[FeedbackRecord]:
        """Return records that no back end has settled, oldest first; nothing is locked."""
        since = self._clock.now() - self._settings_of(hub).feedback.ttl
        rows = await self._store.list_feedback(hub.hub_id, since=since, limit=limit)
        return [row.record for row in rows]

    async def trim(self, hub: Hub) -> None:
        """Drop records that nobody came for in time."""
        before = self._clock.now() - self._settings_of(hub).feedback.ttl
        while (
            await self._store.trim_feedback(hub.hub_id, before=before, limit=TRIMMED_AT_ONCE)
            == TRIMMED_AT_ONCE
        ):
            pass

    def _take_lock(self, hub: Hub, token: str) -> Lock[int]:
        lock = self._locks.find(hub.hub_id, token, self._clock.monotonic())
        if lock is None:
            raise _lock_lost(token)
        lock.is_settling = True
        return lock


def _lock_lost(token: str) -> LockLost:
    return LockLost(
        f"There is no lock {quoted(token)} on a feedback message: it has ended, or the message "
        "was settled or expired.",
        "Settle within the time of the lock; receive the message again if it is still there.",
        field="lockToken",
    )
