"""What a throw-away cloud refuses, named by the fact."""

from __future__ import annotations


class ThrowAwayCloudError(Exception):
    """Root of this package's errors; holds `message` and `remedy`."""

    def __init__(self, message: str, remedy: str) -> None:
        """Hold the facts; the sentence is `message`, then `remedy`."""
        super().__init__(f"{message}\n{remedy}".strip())
        self.message = message
        self.remedy = remedy


class SettingRefused(ThrowAwayCloudError):
    """A setting does not exist, or cannot have that value."""


class CloudNotStarted(ThrowAwayCloudError):
    """No address could be had, or the cloud ended or hung while starting."""


class CloudNotRunning(ThrowAwayCloudError):
    """The cloud was asked for something before it was started, or after its end."""


class RequestRefused(ThrowAwayCloudError):
    """The cloud refused a request; `status` is the HTTP status, `code` the cloud's own code."""

    def __init__(self, status: int, code: str, message: str, remedy: str) -> None:
        """Hold the facts."""
        super().__init__(f"{status} ({code}): {message}", remedy)
        self.status = status
        self.code = code


class NotSeenInTime(ThrowAwayCloudError):
    """What was waited for did not come."""


class Port443NotPermitted(UserWarning):
    """The cloud serves HTTPS on another port than 443, so that some SDKs cannot reach it."""
