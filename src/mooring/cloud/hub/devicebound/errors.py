"""What the queue of a device refuses."""

from __future__ import annotations

from mooring.cloud.hub.errors import HubError
from mooring.protocol.azure.error_codes import HubErrorCode


class QueueFull(HubError):
    """As many messages wait for the device as may."""

    code = "queue-full"
    error_code = HubErrorCode.DEVICE_QUEUE_FULL


class MessageTooLarge(HubError):
    """Body and properties are more than a message may have."""

    code = "message-too-large"
    error_code = HubErrorCode.MESSAGE_TOO_LARGE


class ExpiryInPast(HubError):
    """The message would have expired before it was sent."""

    code = "expiry-in-past"
    error_code = HubErrorCode.INVALID_MESSAGE_EXPIRY_TIME


class LockLost(HubError):
    """The lock has ended, or never was one of this receiver's: settle what it is given anew."""

    code = "lock-lost"
    error_code = HubErrorCode.MESSAGE_LOCK_LOST
