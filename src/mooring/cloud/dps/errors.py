"""Everything that DPS refuses, named by the fact.

Each holds `code` (kebab-case, stable), `message` (for a person), `remedy`, `field`,
`http_status`, `error_code` (Azure's: HTTP status x 1000 + detail) and `wire_message` (the text
that Azure puts on the wire, where it is known; else the message).
"""

from __future__ import annotations


class DpsError(Exception):
    """Root of all errors of DPS."""

    code = "dps-error"
    http_status = 500
    error_code = 500001

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


class InputInvalid(DpsError):
    """A field of a request is missing, malformed or not allowed; `code` says which way."""

    code = "input-invalid"
    http_status = 400
    error_code = 400004


class VerificationFailed(DpsError):
    """The verification certificate proves nothing; `code` says why, the state is unchanged."""

    code = "verification-failed"
    http_status = 400
    error_code = 400004


class LimitReached(DpsError):
    """The service holds as many of these as it may."""

    code = "limit-reached"
    http_status = 400
    error_code = 400004


class RegistrationRefused(DpsError):
    """The device proved nothing that an enrollment asks for (Azure: 401002).

    `wire_message` is ``Invalid certificate.`` or ``CA certificate not found.``.
    """

    code = "registration-refused"
    http_status = 401
    error_code = 401002


class IdScopeUnknown(DpsError):
    """The request names another service's ID scope."""

    code = "unknown-id-scope"
    http_status = 404
    error_code = 404001


class NotFound(DpsError):
    """Nothing goes by that name."""

    code = "not-found"
    http_status = 404
    error_code = 404201


class RegistrationNotFound(NotFound):
    """No registration record goes by that registration id."""

    code = "registration-not-found"
    error_code = 404202


class OperationNotFound(NotFound):
    """No operation of this registration id goes by that operation id."""

    code = "operation-not-found"
    error_code = 404203


class AlreadyExists(DpsError):
    """The name is taken, and the request did not say that it replaces (If-Match)."""

    code = "already-exists"
    http_status = 409
    error_code = 409201


class CertificateInUse(DpsError):
    """An enrollment group refers to the CA certificate."""

    code = "certificate-in-use"
    http_status = 409
    error_code = 409202


class EtagMismatch(DpsError):
    """The record changed since the caller read it."""

    code = "etag-mismatch"
    http_status = 412
    error_code = 412001


class Overloaded(DpsError):
    """Too many changes of the same record at one time; the caller tries again."""

    code = "overloaded"
    http_status = 429
    error_code = 429001
