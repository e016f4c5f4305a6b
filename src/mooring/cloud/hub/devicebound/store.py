"""The port behind which queues and feedback are kept; see `mooring.cloud.hub.store`.

What a caller locks is in memory and none of the store's business: it says which messages to
leave out. A call that takes `done` returns at once and calls it after the commit, with the result
or with the reason why nothing was written.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Protocol, TypeAlias

from mooring.cloud.hub.devicebound.model import (
    Ack,
    FeedbackRecord,
    FeedbackStatus,
    QueuedMessage,
)


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to put into a queue; `properties` is the bag as the device gets it."""

    enqueued_at: datetime
    expires_at: datetime
    ack: Ack
    message_id: str | None
    properties: str
    body: bytes


class Redelivery(Enum):
    """What became of a message that was given back."""

    AGAIN = auto()
    DEAD_LETTERED = auto()
    GONE = auto()


Settled: TypeAlias = Callable[[bool | None, BaseException | None], None]
"""Told whether the message was still there, or why it could not be settled."""

GivenBack: TypeAlias = Callable[[Redelivery | None, BaseException | None], None]


@dataclass(frozen=True, slots=True)
class ExpiredMessage:
    """A message whose time has come, and whose queue it is in."""

    message_key: int
    hub_id: int
    device_id: str


@dataclass(frozen=True, slots=True)
class FeedbackRow:
    """A record that waits; `batch_key` is None until it is part of a feedback message."""

    batch_key: int | None
    delivery_count: int
    record: FeedbackRecord


class DeviceboundStore(Protocol):
    """Queues of devices and the feedback of hubs."""

    async def enqueue_message(
        self,
        hub_id: int,
        device_id: str,
        message: NewMessage,
        *,
        limit: int,
        locked: Collection[int],
    ) -> int | None:
        """Put a message at the end of a queue; return its sequence number, None: no device.

        Messages that expired are given up first, but for the `locked` ones.

        Raises:
            mooring.cloud.preconditions.RecordsFull: The queue has `limit` messages.
        """
        ...

    def waiting_messages(
        self,
        hub_id: int,
        device_id: str,
        generation_id: str,
        *,
        now: datetime,
        locked: Collection[int],
        limit: int,
    ) -> Sequence[QueuedMessage]:
        """Return the oldest that are not `locked` nor expired, in microseconds.

        Those only that were sent to this incarnation of the device.
        """
        ...

    async def queue_of(self, hub_id: int, device_id: str) -> Sequence[QueuedMessage]:
        """Return the whole queue, oldest first."""
        ...

    def settle_message(
        self, message_key: int, status: FeedbackStatus, now: datetime, done: Settled
    ) -> None:
        """Delete a message, and in the same commit write its feedback if it is wanted."""
        ...

    def give_back_message(
        self, message_key: int, *, max_delivery_count: int, now: datetime, done: GivenBack
    ) -> None:
        """Count one delivery more; at `max_delivery_count` dead-letter, with feedback."""
        ...

    async def expired_messages(
        self, now: datetime, *, beyond: int, limit: int
    ) -> Sequence[ExpiredMessage]:
        """Return those of all queues with a key above `beyond` that expired, by key."""
        ...

    async def expire_messages(self, message_keys: Sequence[int], now: datetime) -> None:
        """Give up messages, with feedback; those that are gone are skipped."""
        ...

    async def purge_queue(self, hub_id: int, device_id: str, now: datetime) -> int:
        """Delete a whole queue, with feedback; return how many there were."""
        ...

    def count_messages(self, hub_id: int, device_id: str, now: datetime) -> int:
        """Return how many did not expire, in microseconds."""
        ...

    async def count_all_messages(
        self, hub_id: int, device_ids: Sequence[str], now: datetime
    ) -> Mapping[str, int]:
        """Return how many did not expire, of the devices that have any."""
        ...

    # -- feedback ---------------------------------------------------------------------------

    async def feedback_batch(
        self,
        hub_id: int,
        *,
        now: datetime,
        ttl: timedelta,
        gathered_before: datetime,
        max_records: int,
        locked: Collection[int],
    ) -> Sequence[FeedbackRow]:
        """Return the oldest feedback message whose key is not `locked`, empty for none.

        Where there is none yet, one is made: of `max_records` records, or of fewer once the
        oldest is of `gathered_before` or earlier. Records older than `ttl` are dropped.
        """
        ...

    async def settle_feedback(self, hub_id: int, batch_key: int) -> bool:
        """Delete the records of a feedback message; return whether there were any."""
        ...

    async def give_back_feedback(
        self, hub_id: int, batch_key: int, *, max_delivery_count: int
    ) -> bool:
        """Count one delivery more; at `max_delivery_count` drop it. Return whether it was there."""
        ...

    async def list_feedback(
        self, hub_id: int, *, since: datetime, limit: int
    ) -> Sequence[FeedbackRow]:
        """Return records settled after `since`, oldest first, without changing anything."""
        ...

    async def trim_feedback(self, hub_id: int, *, before: datetime, limit: int) -> int:
        """Drop up to `limit` records of `before` or earlier; return how many."""
        ...
