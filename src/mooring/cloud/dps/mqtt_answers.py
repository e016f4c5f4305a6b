"""What DPS answers when it cannot do what was asked, and why it ends a connection."""

from __future__ import annotations

from mooring.cloud.dps.errors import DpsError
from mooring.cloud.dps.model import Operation
from mooring.cloud.frontdoor.link import Ending
from mooring.protocol.azure.dps_payloads import RegisterBody
from mooring.protocol.azure.dps_topics import RESPONSE_FILTER
from mooring.protocol.azure.errors import AzureError, BodyTooLarge, DpsErrorCode, JsonMalformed
from mooring.protocol.azure.identifiers import fold_registration_id
from mooring.runtime.attempts import AttemptRecorder
from mooring.storage.errors import StorageUnavailable


class RegisterRefused(Exception):
    """A register request that is refused before the service is asked."""

    def __init__(self, error_code: DpsErrorCode, code: str, message: str, remedy: str) -> None:
        """Keep what the device is told and what the attempt record says."""
        super().__init__(message)
        self.error_code = error_code
        self.code = code
        self.message = message
        self.remedy = remedy


def check_register_body(body: RegisterBody, own: str) -> None:
    """Return if `body` asks for what registration id `own` may have.

    Raises:
        RegisterRefused: It names another registration id, or asks for a certificate.
    """
    if body.registration_id is not None and (
        fold_registration_id(body.registration_id) != fold_registration_id(own)
    ):
        raise RegisterRefused(
            DpsErrorCode.REGISTRATION_ID_MISMATCH,
            "registration-id-mismatch",
            f"registrationId {body.registration_id[:128]!r} of the body is not {own!r} of the "
            "connection",
            "send the registration id of the user name, or none",
        )
    if body.csr is not None:
        raise RegisterRefused(
            DpsErrorCode.ARGUMENT_INVALID,
            "csr-not-served",
            "csr: this service does not issue device certificates",
            "register without a certificate signing request",
        )


def wire_error(error: Exception) -> tuple[int, str]:
    """Return errorCode and message for the device; causes of 5xx stay here."""
    if isinstance(error, RegisterRefused):
        return int(error.error_code), error.message
    if isinstance(error, DpsError):
        return error.error_code, error.wire_message
    if isinstance(error, BodyTooLarge):
        # 400 and not 413: what Azure's documents say of a body above 96 KB.
        return int(DpsErrorCode.ARGUMENT_INVALID), error.message
    if isinstance(error, JsonMalformed):
        return int(DpsErrorCode.JSON_MALFORMED), error.message
    if isinstance(error, AzureError):
        return int(DpsErrorCode.ARGUMENT_INVALID), error.message
    if isinstance(error, StorageUnavailable):
        return int(DpsErrorCode.SERVICE_UNAVAILABLE), DpsErrorCode.SERVICE_UNAVAILABLE.text
    return int(DpsErrorCode.INTERNAL_ERROR), DpsErrorCode.INTERNAL_ERROR.text


def failure_of(error: Exception) -> tuple[str, str, str]:
    """Return code, cause and remedy for the attempt record."""
    if isinstance(error, RegisterRefused | DpsError | AzureError | StorageUnavailable):
        return error.code, error.message, error.remedy
    return (
        "internal-error",
        f"the server failed: {type(error).__name__}",
        "try again; the server's log has the cause under the tracking id",
    )


def note_outcome(recorder: AttemptRecorder, operation: Operation) -> None:
    """Note in the attempt record what the device was given."""
    registration = operation.registration
    for name, value in (
        ("hub", registration.assigned_hub),
        ("device_id", registration.device_id),
        ("enrollment_group_id", registration.enrollment_group_id),
    ):
        if value:
            recorder.context.setdefault(name, value)


QOS_2 = Ending(
    "publish",
    "qos-2",
    "the client used QoS 2, which Azure does not serve",
    "publish with QoS 0 or 1",
)
NOT_SUBSCRIBED = Ending(
    "subscribe",
    "not-subscribed",
    f"the client sent a request without subscribing to {RESPONSE_FILTER}",
    f"subscribe to {RESPONSE_FILTER} first: without it no answer can be delivered",
)
TOO_OLD = Ending(
    "poll",
    "connection-too-old",
    "the connection is older than a registration may take",
    "disconnect after the result, and connect anew to register again",
)
IDLE = Ending(
    "subscribe",
    "neither-subscribed-nor-registered",
    "the client connected but neither subscribed nor registered",
    f"subscribe to {RESPONSE_FILTER} and register after CONNACK",
)
SILENT = Ending(
    "session",
    "keep-alive-timeout",
    "nothing came for one and a half times the keep-alive",
    "see whether the device lost its network, or sends PINGREQ too late",
)
SHUTTING_DOWN = Ending(
    "session", "shutting-down", "the server is shutting down", "connect again in a moment"
)
QUIET = (TOO_OLD, SILENT, SHUTTING_DOWN)
"""Endings of a connection that has its result and only forgot to leave."""
