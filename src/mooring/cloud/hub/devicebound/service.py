"""The queue of each device: messages are sent, given out under a lock, and settled.

Enqueued -> Invisible (locked) -> Completed or dead-lettered (iothub.md 5.3). A message is on disk
before it counts as accepted, and its settlement is before anybody is told. Locks are in memory: a
restart ends them, and what was not settled is delivered again.

Devices are served in callback style, without a task per message: `take` looks up, `done` is
called after the commit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

from mooring.cloud.hub.devicebound.errors import LockLost, QueueFull
from mooring.cloud.hub.devicebound.feedback import FeedbackQueue
from mooring.cloud.hub.devicebound.locks import Lock, LockTable
from mooring.cloud.hub.devicebound.messages import new_message
from mooring.cloud.hub.devicebound.model import (
    LOCK_DURATION,
    MAX_QUEUE_MESSAGES,
    CloudToDeviceSettings,
    FeedbackStatus,
    LockedMessage,
    MessageDraft,
    MessageState,
    QueuedMessage,
)
from mooring.cloud.hub.devicebound.store import Redelivery
from mooring.cloud.hub.errors import DeviceNotFound
from mooring.cloud.hub.model import Hub
from mooring.cloud.hub.store import HubStore
from mooring.cloud.preconditions import RecordsFull
from mooring.protocol.azure.errors import quoted
from mooring.runtime.clock import Clock
from mooring.runtime.logs import get_logger

EXPIRED_AT_ONCE = 500
"""Messages given up in one write, so that nothing waits long behind them."""

QueueKey: TypeAlias = tuple[int, str]
"""Hub id and device id."""

Done: TypeAlias = Callable[[BaseException | None], None]
"""Called on the event loop: None once it is on disk, else why it is not: LockLost, or
mooring.storage.errors.StorageUnavailable, after which the lock holds as before."""

Wake: TypeAlias = Callable[[], None]
"""Called when there may be something to take: a message came, or one was given back."""

_DEFAULT_SETTINGS = CloudToDeviceSettings()
_log = get_logger("cloud.hub.devicebound")


def default_settings(_hub: Hub) -> CloudToDeviceSettings:
    """Return Azure's defaults, whatever the hub."""
    return _DEFAULT_SETTINGS


class DeviceboundService:
    """Cloud-to-device messages of all hubs.

    Attributes:
        feedback: What became of them, for back ends.
    """

    def __init__(
        self,
        store: HubStore,
        clock: Clock,
        *,
        settings_of: Callable[[Hub], CloudToDeviceSettings] = default_settings,
    ) -> None:
        """Work on `store`; `settings_of` returns the settings of a hub as they are now."""
        self._store = store
        self._clock = clock
        self._settings_of = settings_of
        self._locks = LockTable[QueueKey]()
        self._hubs: dict[int, Hub] = {}
        self._listeners: dict[QueueKey, list[Wake]] = {}
        self.feedback = FeedbackQueue(store, clock, settings_of=settings_of)

    # -- for senders ------------------------------------------------------------------------

    async def send(self, hub: Hub, device_id: str, draft: MessageDraft) -> int:
        """Put a message into the queue of a device; return its sequence number, once on disk.

        Raises:
            InputInvalid, ExpiryInPast, MessageTooLarge: What `messages.new_message` refuses.
            DeviceNotFound: There is no such device.
            QueueFull: `MAX_QUEUE_MESSAGES` wait or are locked.
        """
        now = self._clock.now()
        message = new_message(device_id, draft, settings=self._settings_of(hub), now=now)
        key = (hub.hub_id, device_id)
        try:
            number = await self._store.enqueue_message(
                hub.hub_id,
                device_id,
                message,
                limit=MAX_QUEUE_MESSAGES,
                locked=tuple(self._locks.messages(key)),
            )
        except RecordsFull:
            raise QueueFull(
                f"{MAX_QUEUE_MESSAGES} messages wait for device {device_id!r} already.",
                "Wait until it has taken some, or purge its queue.",
                field="deviceId",
            ) from None
        if number is None:
            raise _not_found(hub, device_id)
        self._wake(key)
        return number

    async def purge(self, hub: Hub, device_id: str) -> int:
        """Delete all of a device's messages, locked ones too; return how many there were.

        Raises:
            DeviceNotFound: There is no such device.
        """
        await self._find(hub, device_id)
        return await self._store.purge_queue(hub.hub_id, device_id, self._clock.now())

    async def messages(
        self, hub: Hub, device_id: str
    ) -> Sequence[tuple[QueuedMessage, MessageState]]:
        """Return a device's queue, oldest first. Raises DeviceNotFound."""
        await self._find(hub, device_id)
        now = self._clock.now()
        queue = await self._store.queue_of(hub.hub_id, device_id)
        key = (hub.hub_id, device_id)
        self._end_locks(self._locks.ended(self._clock.monotonic(), key))
        locked = set(self._locks.messages(key))
        return [
            (
                message,
                MessageState.INVISIBLE if message.message_key in locked else MessageState.ENQUEUED,
            )
            for message in queue
            if message.expires_at > now or message.message_key in locked
        ]

    def count(self, hub: Hub, device_id: str) -> int:
        """Return Azure's ``cloudToDeviceMessageCount``: what waits or is locked."""
        return self._store.count_messages(hub.hub_id, device_id, self._clock.now())

    async def counts(self, hub: Hub, device_ids: Sequence[str]) -> Mapping[str, int]:
        """Return the counts of many devices; those without a message are left out."""
        return await self._store.count_all_messages(hub.hub_id, device_ids, self._clock.now())

    # -- for devices ------------------------------------------------------------------------

    def subscribe(self, hub: Hub, device_id: str, wake: Wake) -> None:
        """Have `wake` called when the device may `take` something, until `unsubscribe`."""
        self._listeners.setdefault((hub.hub_id, device_id), []).append(wake)

    def unsubscribe(self, hub: Hub, device_id: str, wake: Wake) -> None:
        """Call `wake` no more; one that is not subscribed is no fault."""
        key = (hub.hub_id, device_id)
        listeners = self._listeners.get(key)
        if listeners is None or wake not in listeners:
            return
        listeners.remove(wake)
        if not listeners:
            del self._listeners[key]

    def take(
        self,
        hub: Hub,
        device_id: str,
        generation_id: str,
        limit: int,
        *,
        holder: object | None = None,
    ) -> list[LockedMessage]:
        """Give a device up to `limit` of its messages, oldest first, under locks.

        `generation_id` is that of the identity that was authenticated: a message that was sent to
        an earlier incarnation of the id is never given to this one, nor the reverse. A
        `holder` has its locks until `release`: over MQTT nothing is sent again while the
        connection stands. Without one they end after 60 s.

        Raises:
            mooring.storage.errors.StorageFailed: The queue cannot be read.
        """
        key = (hub.hub_id, device_id)
        self._hubs[hub.hub_id] = hub
        now = self._clock.monotonic()
        self._end_locks(self._locks.ended(now, key))
        messages = self._store.waiting_messages(
            hub.hub_id,
            device_id,
            generation_id,
            now=self._clock.now(),
            locked=self._locks.messages(key),
            limit=limit,
        )
        ends_at = now + LOCK_DURATION.total_seconds() if holder is None else math.inf
        return [
            LockedMessage(
                self._locks.lock(key, message.message_key, ends_at=ends_at, holder=holder).token,
                message,
            )
            for message in messages
        ]

    def complete(self, hub: Hub, device_id: str, lock_token: str, done: Done) -> None:
        """Settle a message: the device has it. `done` is never called before this returns.

        Raises:
            LockLost: There is no such lock now; `done` is not called.
            mooring.storage.errors.QueueFull: Too much waits to be written.
        """
        self._settle(hub, device_id, lock_token, FeedbackStatus.SUCCESS, done)

    def reject(self, hub: Hub, device_id: str, lock_token: str, done: Done) -> None:
        """Dead-letter a message: the device does not want it. As `complete`."""
        self._settle(hub, device_id, lock_token, FeedbackStatus.REJECTED, done)

    def abandon(self, hub: Hub, device_id: str, lock_token: str, done: Done) -> None:
        """Give a message back to its place in the queue, and count that.

        The last of as many deliveries as the hub allows dead-letters it. As `complete`.
        """
        lock = self._locks.find((hub.hub_id, device_id), lock_token, self._clock.monotonic())
        if lock is None:
            raise _lock_lost(lock_token)
        self._give_back(hub, lock, done)

    def release(self, holder: object) -> None:
        """Put back what `holder` did not settle, uncounted: its connection is over."""
        queues = set()
        for lock in self._locks.held_by(holder):
            if lock.is_settling:
                lock.is_released = True
            else:
                self._locks.drop(lock)
                queues.add(lock.queue)
        for queue in queues:
            self._wake(queue)

    # -- from time to time ------------------------------------------------------------------

    async def housekeep(self, hubs: Sequence[Hub]) -> None:
        """Of all `hubs`: end locks whose time is over, give up what expired, trim feedback."""
        self._end_locks(self._locks.ended(self._clock.monotonic()))
        await self._expire()
        for hub in hubs:
            await self.feedback.trim(hub)

    async def _expire(self) -> None:
        now = self._clock.now()
        beyond = 0
        while found := await self._store.expired_messages(
            now, beyond=beyond, limit=EXPIRED_AT_ONCE
        ):
            beyond = found[-1].message_key
            # Whoever holds one may still complete it; none of the others can be locked any more.
            keys = [
                message.message_key
                for message in found
                if message.message_key
                not in self._locks.messages((message.hub_id, message.device_id))
            ]
            await self._store.expire_messages(keys, now)
            if len(found) < EXPIRED_AT_ONCE:
                break

    # -- inside -----------------------------------------------------------------------------

    def _settle(
        self, hub: Hub, device_id: str, token: str, status: FeedbackStatus, done: Done
    ) -> None:
        lock = self._locks.find((hub.hub_id, device_id), token, self._clock.monotonic())
        if lock is None:
            raise _lock_lost(token)
        lock.is_settling = True
        try:
            self._store.settle_message(
                lock.message_key, status, self._clock.now(), partial(self._settled, lock, done)
            )
        except BaseException:
            lock.is_settling = False
            raise

    def _settled(
        self, lock: Lock[QueueKey], done: Done, was_there: bool | None, error: BaseException | None
    ) -> None:
        if error is not None:
            lock.is_settling = False
            done(error)
            if lock.is_released:
                self._locks.drop(lock)
                self._wake(lock.queue)
            return
        self._locks.drop(lock)
        # Purged, or deleted with its device, while it was locked.
        done(None if was_there else _lock_lost(lock.token))

    def _give_back(self, hub: Hub, lock: Lock[QueueKey], done: Done) -> None:
        lock.is_settling = True
        try:
            self._store.give_back_message(
                lock.message_key,
                max_delivery_count=self._settings_of(hub).max_delivery_count,
                now=self._clock.now(),
                done=partial(self._given_back, lock, done),
            )
        except BaseException:
            lock.is_settling = False
            raise

    def _given_back(
        self,
        lock: Lock[QueueKey],
        done: Done,
        became: Redelivery | None,
        error: BaseException | None,
    ) -> None:
        if error is not None:
            lock.is_settling = False
            done(error)
            return
        self._locks.drop(lock)
        done(_lock_lost(lock.token) if became is Redelivery.GONE else None)
        if became is Redelivery.AGAIN:
            self._wake(lock.queue)

    def _end_locks(self, locks: Sequence[Lock[QueueKey]]) -> None:
        """End locks whose time is over; where that counts, once the count is on disk."""
        freed = set()
        for lock in locks:
            hub = self._hubs[lock.queue[0]]
            if self._settings_of(hub).lock_expiry_counts:
                self._give_back(hub, lock, _log_failure)
            else:
                self._locks.drop(lock)
                freed.add(lock.queue)
        for queue in freed:
            self._wake(queue)

    def _wake(self, key: QueueKey) -> None:
        for wake in tuple(self._listeners.get(key, ())):
            wake()

    async def _find(self, hub: Hub, device_id: str) -> None:
        if await self._store.find_device(hub.hub_id, device_id) is None:
            raise _not_found(hub, device_id)


def _log_failure(error: BaseException | None) -> None:
    if error is not None and not isinstance(error, LockLost):
        _log.warning("a lock that ended was not counted", reason=str(error))


def _lock_lost(token: str) -> LockLost:
    return LockLost(
        f"There is no lock {quoted(token)} on a message of this receiver: it has ended, or its "
        "message was settled or purged.",
        "Settle within the time of the lock; receive the message again if it is still there.",
        field="lockToken",
    )


def _not_found(hub: Hub, device_id: str) -> DeviceNotFound:
    return DeviceNotFound(
        f"Hub {hub.name!r} has no device {quoted(device_id)}.",
        "List the devices to see their ids; upper and lower case count.",
        field="deviceId",
    )
