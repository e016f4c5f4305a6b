"""Everything that DPS refuses, named by the fact.

Each holds `code` (kebab-case, stable), `message` (for a person), `remedy`, `field`,
`http_status`, `error_code` (Azure's: HTTP status x 1000 + detail) and `wire_message` (the text
that Azure puts on the wire, where it is known; else the message).
"""

from __future__ import annotations

from mooring.protocol.azure.error_codes import DpsErrorCode


class DpsError(Exception):
    """Root of all errors of DPS."""

    code = "dps-error"
    error_code: DpsErrorCode = DpsErrorCode.INTERNAL_ERROR

    def __init__(
        self,
        message: str,
        remedy: str,
        *,
        field: str | None = None,
        code: str | None = None,
        wire_message: str | None = None,
    ) -> None:
        """Hold the facts; `code` refines the class's own."""
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.field = field
        self.wire_message = wire_message or message
        if code is not None:
            self.code = code

    @property
    def http_status(self) -> int:
        """Return the HTTP status, and the status in a response topic, that goes with the code."""
        return self.error_code.http_status


class InputInvalid(DpsError):
    """A field of a request is missing, malformed or not allowed; `code` says which way."""

    code = "input-invalid"
    error_code = DpsErrorCode.ARGUMENT_INVALID


class VerificationFailed(DpsError):
    """The verification certificate proves nothing; `code` says why, the state is unchanged."""

    code = "verification-failed"
    error_code = DpsErrorCode.ARGUMENT_INVALID


class LimitReached(DpsError):
    """The service holds as many of these as it may."""

    code = "limit-reached"
    error_code = DpsErrorCode.ARGUMENT_INVALID


class RegistrationRefused(DpsError):
    """The device proved nothing that an enrollment asks for (Azure: 401002).

    `wire_message` is ``Invalid certificate.``, ``CA certificate not found.`` or ``Unauthorized``.
    """

    code = "registration-refused"
    error_code = DpsErrorCode.UNAUTHORIZED


class IdScopeUnknown(DpsError):
    """The request names another service's ID scope."""

    code = "unknown-id-scope"
    error_code = DpsErrorCode.ID_SCOPE_NOT_FOUND


class NotFound(DpsError):
    """Nothing goes by that name."""

    code = "not-found"
    error_code = DpsErrorCode.ENROLLMENT_NOT_FOUND


class CertificateNotFound(NotFound):
    """No CA certificate goes by that name."""

    code = "certificate-not-found"
    error_code = DpsErrorCode.CERTIFICATE_NOT_FOUND


class RegistrationNotFound(NotFound):
    """No registration record goes by that registration id."""

    code = "registration-not-found"
    error_code = DpsErrorCode.REGISTRATION_NOT_FOUND


class OperationNotFound(NotFound):
    """No operation of this registration id goes by that operation id."""

    code = "operation-not-found"
    error_code = DpsErrorCode.OPERATION_NOT_FOUND


class AlreadyExists(DpsError):
    """The name is taken, and the request did not say that it replaces (If-Match)."""

    code = "already-exists"
    error_code = DpsErrorCode.ENROLLMENT_EXISTS


class CertificateInUse(DpsError):
    """An enrollment group refers to the CA certificate."""

    code = "certificate-in-use"
    error_code = DpsErrorCode.CONFLICT


class EtagMismatch(DpsError):
    """The record changed since the caller read it."""

    code = "etag-mismatch"
    error_code = DpsErrorCode.PRECONDITION_FAILED


class ShuttingDown(DpsError):
    """The service is closing before it could decide; the device comes again."""

    code = "shutting-down"
    error_code = DpsErrorCode.SERVICE_UNAVAILABLE


class Overloaded(DpsError):
    """Too many changes of the same record at one time; the caller tries again."""

    code = "overloaded"
    error_code = DpsErrorCode.THROTTLED


class Throttled(Overloaded):
    """More requests than the service takes in a time; the caller waits `retry_after_s`."""

    code = "throttled"

    def __init__(self, message: str, remedy: str, *, retry_after_s: int = 5) -> None:
        """Hold the facts, and how long to wait."""
        super().__init__(message, remedy, wire_message=DpsErrorCode.THROTTLED.text)
        self.retry_after_s = retry_after_s
