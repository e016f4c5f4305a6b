"""Cloud-to-device messages and their feedback, as frozen data.

The words are Azure's ("Understand cloud-to-device messaging from an IoT hub", iothub.md 5.3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

MAX_QUEUE_MESSAGES = 50
"""Messages that wait for one device or are locked by it (Azure: 50, then 403004)."""

MAX_MESSAGE_BYTES = 64 * 1024
"""Body and properties of one cloud-to-device message (Azure: 64 KB, then 413001)."""

LOCK_DURATION = timedelta(seconds=60)
"""How long a device has to settle a message that it received (Azure: 60 s, fixed)."""

MAX_FEEDBACK_RECORDS = 64
"""Records of one feedback message (Azure: 64)."""

FEEDBACK_GATHERED = timedelta(seconds=15)
"""How long feedback is gathered before it is sent with fewer records than that (Azure: 15 s)."""


@dataclass(frozen=True, slots=True)
class FeedbackSettings:
    """A hub's feedback queue (Azure: ``cloudToDevice.feedback``).

    Attributes:
        ttl: How long a record waits for a back end, 1 min to 2 days.
        lock_duration: How long a back end has to settle what it received, 5 to 300 s.
        max_delivery_count: Abandons after which a feedback message is dropped, 1 to 100.
    """

    ttl: timedelta = timedelta(hours=1)
    lock_duration: timedelta = timedelta(seconds=60)
    max_delivery_count: int = 10


@dataclass(frozen=True, slots=True)
class CloudToDeviceSettings:
    """How a hub treats cloud-to-device messages (Azure: ``cloudToDevice``).

    Attributes:
        default_ttl: Life of a message without an expiry time of its own, 1 min to 2 days.
        max_delivery_count: Abandons after which a message is dead-lettered, 1 to 100.
        feedback: The feedback queue.
        lock_expiry_counts: Whether a lock that ends counts like an abandon. Azure's present text
            says no, older ones said yes.
    """

    default_ttl: timedelta = timedelta(hours=1)
    max_delivery_count: int = 10
    feedback: FeedbackSettings = FeedbackSettings()
    lock_expiry_counts: bool = False


class Ack(StrEnum):
    """Which feedback the sender wants (``iothub-ack``)."""

    NONE = "none"
    POSITIVE = "positive"
    NEGATIVE = "negative"
    FULL = "full"


class FeedbackStatus(StrEnum):
    """What became of a message (``statusCode`` of a feedback record)."""

    SUCCESS = "Success"
    EXPIRED = "Expired"
    DELIVERY_COUNT_EXCEEDED = "DeliveryCountExceeded"
    REJECTED = "Rejected"
    PURGED = "Purged"


def is_told(ack: Ack, status: FeedbackStatus) -> bool:
    """Return whether a sender that asked for `ack` gets a record of `status`."""
    if ack is Ack.FULL:
        return True
    return ack is (Ack.POSITIVE if status is FeedbackStatus.SUCCESS else Ack.NEGATIVE)


class MessageState(StrEnum):
    """Where a message of a queue is; those that are settled are not in it."""

    ENQUEUED = "Enqueued"
    INVISIBLE = "Invisible"


@dataclass(frozen=True, slots=True)
class MessageDraft:
    """A message to send.

    Attributes:
        body: Any bytes.
        system: By the names of `mooring.protocol.azure.property_bag.SYSTEM_PROPERTIES`; the hub
            itself says ``to`` and ``absolute-expiry-time``.
        application: The sender's own properties; None for a name without a value.
        expires_at: When the message is given up; None for the hub's default.
        ack: Which feedback is wanted; None when the sender did not say (none).
    """

    body: bytes
    system: Mapping[str, str] = field(default_factory=dict)
    application: Mapping[str, str | None] = field(default_factory=dict)
    expires_at: datetime | None = None
    ack: Ack | None = None


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """A message in a device's queue.

    Attributes:
        message_key: Its number in the store, never used again, whatever is deleted.
        sequence_number: Counts from 1 for one incarnation of the device.
        enqueued_at: When the hub accepted it.
        expires_at: When it is given up.
        delivery_count: How often it was given back unsettled so far.
        ack: Which feedback the sender gets.
        properties: The property bag as a device gets it, percent-encoded.
        body: As sent.
    """

    message_key: int
    sequence_number: int
    enqueued_at: datetime
    expires_at: datetime
    delivery_count: int
    ack: Ack
    properties: str
    body: bytes


@dataclass(frozen=True, slots=True)
class LockedMessage:
    """A message that was given to a device, which settles it by `lock_token` (a UUID)."""

    lock_token: str
    message: QueuedMessage


@dataclass(frozen=True, slots=True)
class FeedbackRecord:
    """What became of one message whose sender asked to be told."""

    original_message_id: str | None
    status: FeedbackStatus
    device_id: str
    device_generation_id: str
    enqueued_at: datetime
    """When the message was settled: the record's own time, not the message's."""


@dataclass(frozen=True, slots=True)
class FeedbackMessage:
    """Records that a back end receives and settles together, by `lock_token` (a UUID)."""

    lock_token: str
    enqueued_at: datetime
    delivery_count: int
    records: tuple[FeedbackRecord, ...]
