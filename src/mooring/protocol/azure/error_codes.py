"""The error numbers of DPS and IoT Hub: one table each, from number to HTTP status, name, text.

The number is HTTP status × 1000 + detail. The .NET SDK recovers the status over AMQP by integer
division, so this law holds for every entry. DPS and the hub use some numbers (401002, 404001)
for different facts, hence two tables.
"""

from __future__ import annotations

from enum import IntEnum, unique
from typing import Self

STATUS_FACTOR = 1000
"""`errorCode` // STATUS_FACTOR is the HTTP status."""


class _AzureErrorCode(IntEnum):
    """An error number with its name and the text a device or tool is shown."""

    wire_name: str
    text: str

    def __new__(cls, value: int, wire_name: str, text: str) -> Self:
        """Make the member of `value`; name and text become its attributes."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.wire_name = wire_name
        member.text = text
        return member

    @property
    def http_status(self) -> int:
        """The HTTP status (and the status in a response topic) that goes with this code."""
        return self.value // STATUS_FACTOR


@unique
class DpsErrorCode(_AzureErrorCode):
    """Codes of the Device Provisioning Service, device and service API."""

    BAD_REQUEST = 400000, "BadRequest", "The request is not valid HTTP."
    JSON_MALFORMED = 400001, "JsonMalformed", "The request body is not valid JSON."
    ARGUMENT_INVALID = 400004, "ArgumentInvalid", "A value in the request is not valid."
    REGISTRATION_ID_MISMATCH = (
        400006,
        "RegistrationIdMismatch",
        "The registration id in the body is not that of the connection.",
    )
    # Numbers and meaning of the three allocation failures: Azure SDKs for C (parser tests).
    CUSTOM_ALLOCATION_FAILED = (
        400207,
        "CustomAllocationFailed",
        "The custom allocation webhook failed.",
    )
    HUB_NOT_SPECIFIED = 400208, "IotHubNotSpecified", "No linked hub can take this device."
    HUB_REFUSED = 400209, "IotHubUnauthorized", "The linked hub refused the provisioning service."
    # One number for every refused proof; the message tells which (dps.md 1.9).
    UNAUTHORIZED = 401002, "Unauthorized", "Unauthorized"
    FORBIDDEN = 403002, "Forbidden", "The token does not carry the right that is needed."
    NOT_FOUND = 404000, "NotFound", "There is nothing at this path."
    ID_SCOPE_NOT_FOUND = 404001, "IdScopeNotFound", "Unknown ID scope."
    OPERATION_NOT_FOUND = 404002, "OperationNotFound", "Unknown operation id."
    CERTIFICATE_NOT_FOUND = 404008, "CertificateNotFound", "Unknown certificate."
    ENROLLMENT_NOT_FOUND = 404201, "EnrollmentNotFound", "Enrollment not found."
    REGISTRATION_NOT_FOUND = 404202, "RegistrationNotFound", "Registration not found."
    METHOD_NOT_ALLOWED = 405000, "MethodNotAllowed", "The path does not allow this method."
    REQUEST_TIMEOUT = 408000, "RequestTimeout", "The request did not come in time."
    CONFLICT = 409001, "Conflict", "The state of the resource does not allow this request."
    ENROLLMENT_EXISTS = 409201, "EnrollmentExists", "The enrollment exists already."
    PRECONDITION_FAILED = 412001, "PreconditionFailed", "The etag is not the current one."
    BODY_TOO_LARGE = 413001, "BodyTooLarge", "The request body is larger than allowed."
    URL_TOO_LONG = 414000, "UrlTooLong", "The URL is longer than allowed."
    MEDIA_TYPE_UNSUPPORTED = 415000, "MediaTypeUnsupported", "The media type must be JSON."
    UPGRADE_REQUIRED = 426000, "UpgradeRequired", "The protocol's version is not supported."
    THROTTLED = 429001, "Throttled", "Throttled."
    HEADERS_TOO_LARGE = 431000, "HeadersTooLarge", "The request's headers are larger than allowed."
    INTERNAL_ERROR = 500001, "InternalError", "Internal error."
    NOT_IMPLEMENTED = 501001, "NotImplemented", "This server does not offer this operation."
    SERVICE_UNAVAILABLE = 503001, "ServiceUnavailable", "The service cannot answer now."


@unique
class HubErrorCode(_AzureErrorCode):
    """Codes of IoT Hub; `wire_name` is the value of the header ``iothub-errorcode``."""

    INVALID_PROTOCOL_VERSION = (
        400001,
        "InvalidProtocolVersion",
        "The protocol or API version is not supported.",
    )
    INVALID_OPERATION = 400003, "InvalidOperation", "The operation is not valid here."
    ARGUMENT_INVALID = 400004, "ArgumentInvalid", "A value in the request is not valid."
    ARGUMENT_NULL = 400005, "ArgumentNull", "A value that must be given is missing."
    FORMAT_ERROR = 400006, "IotHubFormatError", "An identifier is not well formed."
    DESERIALIZATION_ERROR = 400012, "DeserializationError", "The body cannot be read."
    BULK_REGISTRY_OPERATION_FAILURE = (
        400013,
        "BulkRegistryOperationFailure",
        "Some items of the bulk operation failed.",
    )
    CONNECTION_FORCEFULLY_CLOSED = (
        400027,
        "ConnectionForcefullyClosedOnNewConnection",
        "The device opened a newer connection.",
    )
    INVALID_DEVICE_SCOPE = 400028, "InvalidDeviceScope", "No edge device has this scope."
    HUB_NOT_FOUND = 401001, "IotHubNotFound", "No hub of this name."
    UNAUTHORIZED_ACCESS = (
        401002,
        "IotHubUnauthorizedAccess",
        "No credentials, or they lack the right that is needed.",
    )
    UNAUTHORIZED = 401003, "IotHubUnauthorized", "The credentials are wrong or have expired."
    HUB_SUSPENDED = 403001, "IotHubSuspended", "The hub is suspended."
    QUOTA_EXCEEDED = 403002, "IotHubQuotaExceeded", "The hub's quota of messages is used up."
    DEVICE_QUEUE_FULL = (
        403004,
        "DeviceMaximumQueueDepthExceeded",
        "The device's queue of messages is full.",
    )
    INVALID_MESSAGE_EXPIRY_TIME = (
        403009,
        "InvalidMessageExpiryTime",
        "The message's expiry time is in the past.",
    )
    NOT_IN_THIS_TIER = (
        403010,
        "OperationNotAvailableInCurrentTier",
        "The hub's tier has no such operation.",
    )
    DEVICE_DISABLED = 403012, "DeviceDisabled", "The device identity is disabled."
    METHODS_IN_FLIGHT_EXCEEDED = (
        403800,
        "DeviceMaximumInflightMethodExceeded",
        "Too many direct methods are in flight.",
    )
    NOT_FOUND = 404000, "NotFound", "There is nothing of this name or at this path."
    DEVICE_NOT_FOUND = 404001, "DeviceNotFound", "No device identity of this id."
    JOB_NOT_FOUND = 404002, "JobNotFound", "No job of this id."
    CERTIFICATE_NOT_FOUND = 404008, "CertificateNotFound", "No certificate of this name."
    MODULE_NOT_FOUND = 404010, "ModuleNotFound", "No module identity of this id."
    DEVICE_NOT_ONLINE = 404103, "DeviceNotOnline", "The device is not connected or not listening."
    DEVICE_CONNECTION_CLOSED_REMOTELY = (
        404104,
        "DeviceConnectionClosedRemotely",
        "The device's connection was closed.",
    )
    METHOD_NOT_ALLOWED = 405000, "MethodNotAllowed", "The path does not allow this method."
    CONFLICT = 409000, "Conflict", "There is one of this name already."
    DEVICE_EXISTS = 409001, "DeviceAlreadyExists", "A device identity of this id exists already."
    LINK_CREATION_CONFLICT = 409002, "LinkCreationConflict", "The device has another connection."
    MODULE_EXISTS = (
        409301,
        "ModuleAlreadyExistsOnDevice",
        "A module identity of this id exists already.",
    )
    PRECONDITION_FAILED = 412001, "PreconditionFailed", "The etag is not the current one."
    MESSAGE_LOCK_LOST = 412002, "DeviceMessageLockLost", "The message's lock has ended."
    MESSAGE_TOO_LARGE = 413001, "MessageTooLarge", "The message is larger than allowed."
    TOO_MANY_DEVICES = 413002, "TooManyDevices", "The hub holds as many devices as it may."
    MEDIA_TYPE_UNSUPPORTED = 415000, "MediaTypeUnsupported", "The media type must be JSON."
    THROTTLED = 429001, "ThrottlingException", "Throttled."
    THROTTLE_BACKLOG_EXCEEDED = (
        429002,
        "ThrottleBacklogLimitExceeded",
        "Too many requests wait already.",
    )
    SERVER_ERROR = 500001, "ServerError", "Internal error."
    NOT_IMPLEMENTED = 501001, "NotImplemented", "This server does not offer this operation."
    BAD_DEVICE_RESPONSE = 502000, "GenericBadGateway", "The device's answer cannot be read."
    SERVICE_UNAVAILABLE = 503001, "ServiceUnavailable", "The service cannot answer now."
    GATEWAY_TIMEOUT = 504101, "GatewayTimeout", "The device did not answer in time."
