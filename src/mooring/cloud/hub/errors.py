"""Everything that a hub refuses, named by the fact.

Fields as in `mooring.cloud.dps.errors`; `error_code` is Azure's (iothub.md 1.2 and 3.9).
"""

from __future__ import annotations

from mooring.protocol.azure.error_codes import HubErrorCode


class HubError(Exception):
    """Root of all errors of IoT Hub."""

    code = "hub-error"
    error_code: HubErrorCode = HubErrorCode.SERVER_ERROR

    def __init__(
        self,
        message: str,
        remedy: str,
        *,
        field: str | None = None,
        code: str | None = None,
        error_code: HubErrorCode | None = None,
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

    @property
    def http_status(self) -> int:
        """Return the HTTP status that goes with the code."""
        return self.error_code.http_status


class InputInvalid(HubError):
    """A field of a request is missing, malformed or not allowed."""

    code = "input-invalid"
    error_code = HubErrorCode.ARGUMENT_INVALID


class ConnectRefused(HubError):
    """The device did not prove who it is, or may not connect: CONNACK 5, HTTP 401.

    `error_code` is 401003, or 403012 for a disabled device.
    """

    code = "connect-refused"
    error_code = HubErrorCode.UNAUTHORIZED


class HubNotFound(HubError):
    """No hub goes by that name."""

    code = "hub-not-found"
    error_code = HubErrorCode.HUB_NOT_FOUND


class DeviceNotFound(HubError):
    """The hub has no device of that id."""

    code = "device-not-found"
    error_code = HubErrorCode.DEVICE_NOT_FOUND


class DeviceAlreadyExists(HubError):
    """There is one, and the request did not say that it replaces (If-Match)."""

    code = "device-already-exists"
    error_code = HubErrorCode.DEVICE_EXISTS


class HubAlreadyExists(HubError):
    """Name or host name of a hub is taken."""

    code = "hub-already-exists"
    error_code = HubErrorCode.DEVICE_EXISTS


class EtagMismatch(HubError):
    """The device changed since the caller read it."""

    code = "etag-mismatch"
    error_code = HubErrorCode.PRECONDITION_FAILED


class DeviceScopeInvalid(HubError):
    """No edge device has the scope that a device is to belong to."""

    code = "device-scope-invalid"
    error_code = HubErrorCode.INVALID_DEVICE_SCOPE


class CertificateNotFound(HubError):
    """The hub has no CA certificate of that name."""

    code = "certificate-not-found"
    error_code = HubErrorCode.CERTIFICATE_NOT_FOUND


class CertificateAlreadyExists(HubError):
    """The name or the certificate is there, and the request did not say that it replaces."""

    code = "certificate-already-exists"
    error_code = HubErrorCode.DEVICE_EXISTS


class CertificateLimitReached(HubError):
    """The hub has as many CA certificates as it may."""

    code = "certificate-limit-reached"
    error_code = HubErrorCode.ARGUMENT_INVALID


class VerificationFailed(HubError):
    """Possession of a CA's key was not proved; `code` says why."""

    code = "verification-failed"
    error_code = HubErrorCode.ARGUMENT_INVALID


class LimitReached(HubError):
    """The service holds as many of these as it may."""

    code = "limit-reached"
    error_code = HubErrorCode.TOO_MANY_DEVICES


class DeviceNotOnline(HubError):
    """The device is not connected, or takes no direct methods."""

    code = "device-not-online"
    error_code = HubErrorCode.DEVICE_NOT_ONLINE


class DeviceConnectionLost(HubError):
    """The device's connection ended before it answered."""

    code = "device-connection-lost"
    error_code = HubErrorCode.DEVICE_CONNECTION_CLOSED_REMOTELY


class DeviceResponseTimeout(HubError):
    """The device did not answer in time."""

    code = "device-response-timeout"
    error_code = HubErrorCode.GATEWAY_TIMEOUT


class DeviceResponseInvalid(HubError):
    """The device's answer cannot be passed on."""

    code = "device-response-invalid"
    error_code = HubErrorCode.BAD_DEVICE_RESPONSE


class MethodsInFlight(HubError):
    """The device has too many direct methods without an answer."""

    code = "methods-in-flight"
    error_code = HubErrorCode.METHODS_IN_FLIGHT_EXCEEDED


class PayloadTooLarge(HubError):
    """A payload is larger than the hub takes."""

    code = "payload-too-large"
    error_code = HubErrorCode.MESSAGE_TOO_LARGE


class ConsumerGroupNotFound(HubError):
    """The hub has no consumer group of that name."""

    code = "consumer-group-not-found"
    error_code = HubErrorCode.NOT_FOUND


class ConsumerGroupExists(HubError):
    """The hub has a consumer group of that name."""

    code = "consumer-group-already-exists"
    error_code = HubErrorCode.CONFLICT
