"""Locks on messages: who was given what, until when. They live in memory and end with the process.

A message whose lock ends, by time or with its holder, is delivered again: the queue promises
delivery at least once.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

QueueKeyT = TypeVar("QueueKeyT", bound=Hashable)
"""Names a queue; a token of one queue says nothing in another."""


@dataclass(slots=True, eq=False)
class Lock(Generic[QueueKeyT]):
    """One message that was given out.

    Attributes:
        token: A UUID, which the receiver settles by: 122 random bits, so nobody guesses one.
        queue: The queue that the message is in.
        message_key: The message.
        holder: Who received it, where that is told of when it goes; None for HTTP.
        ends_at: When the lock ends (monotonic s).
        is_settling: Whether its settlement is on the way to the disk; then it does not end.
        is_released: Whether its holder is gone: it ends if that settlement fails.
    """

    token: str
    queue: QueueKeyT
    message_key: int
    holder: object | None
    ends_at: float
    is_settling: bool = False
    is_released: bool = False


class LockTable(Generic[QueueKeyT]):
    """All locks on messages of some queues. All methods belong to one event loop's thread."""

    def __init__(self) -> None:
        """Hold none."""
        self._by_token: dict[str, Lock[QueueKeyT]] = {}
        self._by_queue: dict[QueueKeyT, dict[int, Lock[QueueKeyT]]] = {}
        self._by_holder: dict[object, set[Lock[QueueKeyT]]] = {}

    def __len__(self) -> int:
        """Return how many there are, ended ones among them."""
        return len(self._by_token)

    def lock(
        self, queue: QueueKeyT, message_key: int, *, ends_at: float, holder: object | None = None
    ) -> Lock[QueueKeyT]:
        """Lock a message, which must not be locked."""
        lock = Lock(str(uuid.uuid4()), queue, message_key, holder, ends_at)
        self._by_token[lock.token] = lock
        locks = self._by_queue.setdefault(queue, {})
        assert message_key not in locks, "a message is given to one receiver at a time"
        locks[message_key] = lock
        if holder is not None:
            self._by_holder.setdefault(holder, set()).add(lock)
        return lock

    def find(self, queue: QueueKeyT, token: str, now: float) -> Lock[QueueKeyT] | None:
        """Return a lock of `queue` that holds and may be settled."""
        lock = self._by_token.get(token)
        if lock is None or lock.queue != queue or lock.is_settling or lock.ends_at <= now:
            return None
        return lock

    def messages(self, queue: QueueKeyT) -> Collection[int]:
        """Return the messages of `queue` that are locked."""
        return self._by_queue.get(queue, {}).keys()

    def drop(self, lock: Lock[QueueKeyT]) -> None:
        """End a lock; twice is no fault."""
        if self._by_token.pop(lock.token, None) is None:
            return
        locks = self._by_queue[lock.queue]
        del locks[lock.message_key]
        if not locks:
            del self._by_queue[lock.queue]
        if lock.holder is not None:
            held = self._by_holder[lock.holder]
            held.discard(lock)
            if not held:
                del self._by_holder[lock.holder]

    def held_by(self, holder: object) -> list[Lock[QueueKeyT]]:
        """Return what `holder` has, also what is being settled."""
        return list(self._by_holder.get(holder, ()))

    def ended(self, now: float, queue: QueueKeyT | None = None) -> list[Lock[QueueKeyT]]:
        """Return the locks, of one queue or of all, whose time is over."""
        locks = self._by_token if queue is None else self._by_queue.get(queue, {})
        return [lock for lock in locks.values() if lock.ends_at <= now and not lock.is_settling]
