"""Everything that a hub refuses, named by the fact.

Fields as in `mooring.cloud.dps.errors`; `error_code` is Azure's (iothub.md 1.2 and 3.9).
"""

from __future__ import annotations


class HubError(Exception):
    """Root of all errors of IoT Hub."""

    code = "hub-error"
    http_status = 500
    error_code = 500001

    def __init__(
        self,
        message: str,
        remedy: str,
        *,
        field: str | None = None,
        code: str | None = None,
        error_code: int | None = None,
    ) -> None:
        """Hold the facts; `code` and `error_code` refine the class's own."""
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.field = field
        if code is not None:
            self.code = code
        if error_code is not None:
            self.error_code = error_code


class InputInvalid(HubError):
    """A field of a request is missing, malformed or not allowed."""

    code = "input-invalid"
    http_status = 400
    error_code = 400004


class ConnectRefused(HubError):
    """The device did not prove who it is, or may not connect: CONNACK 5, HTTP 401.

    `error_code` is 401003, or 403012 for a disabled device.
    """

    code = "connect-refused"
    http_status = 401
    error_code = 401003


class HubNotFound(HubError):
    """No hub goes by that name."""

    code = "hub-not-found"
    http_status = 404
    error_code = 404001


class DeviceNotFound(HubError):
    """The hub has no device of that id."""

    code = "device-not-found"
    http_status = 404
    error_code = 404001


class DeviceAlreadyExists(HubError):
    """There is one, and the request did not say that it replaces (If-Match)."""

    code = "device-already-exists"
    http_status = 409
    error_code = 409001


class HubAlreadyExists(HubError):
    """Name or host name of a hub is taken."""

    code = "hub-already-exists"
    http_status = 409
    error_code = 409001


class EtagMismatch(HubError):
    """The device changed since the caller read it."""

    code = "etag-mismatch"
    http_status = 412
    error_code = 412001


class LimitReached(HubError):
    """The service holds as many of these as it may."""

    code = "limit-reached"
    http_status = 403
    error_code = 403002
