"""What a hub refuses because too much was asked of it."""

from __future__ import annotations

from mooring.cloud.hub.errors import HubError
from mooring.protocol.azure.error_codes import HubErrorCode


class Throttled(HubError):
    """Too many of these came in a short time: 429, with the seconds to wait."""

    code = "throttled"
    error_code = HubErrorCode.THROTTLED

    def __init__(self, message: str, remedy: str, *, retry_after_s: int = 1) -> None:
        """Hold the facts; `retry_after_s` is when the same may pass."""
        super().__init__(message, remedy)
        self.retry_after_s = retry_after_s


class QuotaExceeded(HubError):
    """The hub had its messages of the day; there are new ones at 00:00 UTC."""

    code = "quota-exceeded"
    error_code = HubErrorCode.QUOTA_EXCEEDED


class NotInThisTier(HubError):
    """The basic tier has no such operation."""

    code = "not-in-this-tier"
    error_code = HubErrorCode.NOT_IN_THIS_TIER
