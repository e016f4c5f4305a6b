"""What DPS answers a device when it cannot do what was asked, on every transport."""

from __future__ import annotations

from mooring.cloud.dps.errors import DpsError
from mooring.cloud.dps.model import Registration
from mooring.protocol.azure.dps_payloads import RegisterBody
from mooring.protocol.azure.errors import AzureError, BodyTooLarge, DpsErrorCode, JsonMalformed
from mooring.protocol.azure.identifiers import fold_registration_id
from mooring.runtime.attempts import AttemptRecorder
from mooring.storage.errors import StorageUnavailable


class DeviceRequestRefused(Exception):
    """A request that is refused before the service is asked."""

    def __init__(self, error_code: DpsErrorCode, code: str, message: str, remedy: str) -> None:
        """Keep what the device is told and what the attempt record says."""
        super().__init__(message)
        self.error_code = error_code
        self.code = code
        self.message = message
        self.remedy = remedy


def check_register_body(body: RegisterBody, own: str) -> None:
    """Return if `body` asks for what registration id `own` may have.

    What is not served is refused with 400: Azure's SDKs take 300 to 428 for final, and would
    try 501 again for ever.

    Raises:
        DeviceRequestRefused: It names another registration id, attests by TPM, or asks for a
            certificate.
    """
    if body.registration_id is not None and (
        fold_registration_id(body.registration_id) != fold_registration_id(own)
    ):
        raise DeviceRequestRefused(
            DpsErrorCode.REGISTRATION_ID_MISMATCH,
            "registration-id-mismatch",
            f"registrationId {body.registration_id[:128]!r} of the body is not {own!r} of the "
            "connection",
            "send the registration id of the user name or the path, or none",
        )
    if body.tpm is not None:
        raise DeviceRequestRefused(
            DpsErrorCode.ARGUMENT_INVALID,
            "tpm-not-served",
            "tpm: this service does not attest devices by TPM",
            "register with an X.509 certificate or a symmetric key",
        )
    if body.csr is not None:
        raise DeviceRequestRefused(
            DpsErrorCode.ARGUMENT_INVALID,
            "csr-not-served",
            "csr: this service does not issue device certificates",
            "register without a certificate signing request",
        )


def wire_error(error: Exception) -> tuple[int, str]:
    """Return errorCode and message for the device; causes of 5xx stay here."""
    if isinstance(error, DeviceRequestRefused):
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
    if isinstance(error, DeviceRequestRefused | DpsError | AzureError | StorageUnavailable):
        return error.code, error.message, error.remedy
    return (
        "internal-error",
        f"the server failed: {type(error).__name__}",
        "try again; the server's log has the cause under the tracking id",
    )


def note_outcome(recorder: AttemptRecorder, registration: Registration) -> None:
    """Note in the attempt record what the device was given."""
    for name, value in (
        ("hub", registration.assigned_hub),
        ("device_id", registration.device_id),
        ("enrollment_group_id", registration.enrollment_group_id),
    ):
        if value:
            recorder.context.setdefault(name, value)
