"""The one shape of errors: ``{"error": {"code", "message", "field", "remedy", "tracking_id"}}``.

What a caller did wrong is said in full. What went wrong here (5xx) is logged under a tracking id,
and the caller gets that id only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from mooring.cloud.accounts.errors import AccountError
from mooring.cloud.dps.errors import DpsError
from mooring.cloud.hub.errors import HubError, HubNotFound
from mooring.pki.errors import PkiError
from mooring.protocol.azure.errors import AzureError
from mooring.runtime.ids import new_tracking_id
from mooring.runtime.logs import get_logger
from mooring.storage.errors import StorageUnavailable

RETRY_AFTER_S = 5
"""What a caller is told to wait while the storage takes nothing."""

_SEE_PATHS = "GET /admin/v1/openapi.json lists the paths and their methods"
_UNEXPECTED = "the server failed; its log has the cause under the tracking id"

_log = get_logger("cloud.api")


class RequestRefused(Exception):
    """A request that the API itself refuses, before any service sees it."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        remedy: str,
        *,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Keep the HTTP `status`, the parts of the error, and headers for the answer."""
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.remedy = remedy
        self.field = field
        self.headers = dict(headers or {})


def error_answer(
    status: int,
    code: str,
    message: str,
    *,
    remedy: str | None = None,
    field: str | None = None,
    tracking_id: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Return an error answer of HTTP `status`; its tracking id is in ``x-request-id`` too."""
    tracking_id = tracking_id or new_tracking_id()
    error = {
        "code": code,
        "message": message,
        "field": field,
        "remedy": remedy,
        "tracking_id": tracking_id,
    }
    return JSONResponse(
        {"error": error},
        status_code=status,
        headers={"x-request-id": tracking_id, **(headers or {})},
    )


def answer_refusal(error: RequestRefused) -> JSONResponse:
    """Return the answer to a request that the API itself refuses."""
    return error_answer(
        error.status,
        error.code,
        error.message,
        remedy=error.remedy,
        field=error.field,
        headers=error.headers,
    )


def install_error_handlers(app: FastAPI) -> None:
    """Give every error of `app` the one shape."""
    app.add_exception_handler(RequestRefused, _answer)
    app.add_exception_handler(AccountError, _answer)
    app.add_exception_handler(DpsError, _answer)
    app.add_exception_handler(HubError, _answer)
    app.add_exception_handler(PkiError, _answer)
    app.add_exception_handler(AzureError, _answer)
    app.add_exception_handler(StorageUnavailable, _answer)
    app.add_exception_handler(RequestValidationError, _answer)
    app.add_exception_handler(HTTPException, _answer)


async def _answer(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error.__cause__, RequestRefused):
        error = error.__cause__  # FastAPI wraps what is raised while it reads the body
    if isinstance(error, RequestValidationError):
        return _answer_validation(error)
    if isinstance(error, HTTPException):
        return _answer_http(error)
    if isinstance(error, RequestRefused):
        return answer_refusal(error)
    status = _status_of(error)
    if status >= 500:
        return answer_failure(request.method, request.url.path, error)
    code, message, remedy = _facts_of(error)
    headers = {"www-authenticate": "Bearer"} if status == 401 else {}
    retry_after_s = getattr(error, "retry_after_s", None)
    if retry_after_s is not None:
        headers["retry-after"] = str(retry_after_s)
    return error_answer(
        status,
        code,
        message,
        remedy=remedy,
        field=getattr(error, "field", None),
        headers=headers,
    )


def _status_of(error: Exception) -> int:
    if isinstance(error, AccountError):
        return error.status
    if isinstance(error, HubNotFound):
        return 404  # to a device it is 401, as Azure's hubs say; here it is a path
    if isinstance(error, DpsError | HubError):
        return error.http_status
    if isinstance(error, PkiError | AzureError):
        return 400
    return 503 if isinstance(error, StorageUnavailable) else 500


def _facts_of(error: Exception) -> tuple[str, str, str]:
    return (
        str(getattr(error, "code", "error")),
        str(getattr(error, "message", error)),
        str(getattr(error, "remedy", "")),
    )


@dataclass(frozen=True, slots=True)
class Failure:
    """What a caller is told of what went wrong here."""

    status: int
    code: str
    message: str
    remedy: str
    headers: Mapping[str, str]


def failure_of(error: Exception) -> Failure:
    """Return what may be said of an `error` of ours: the cause stays in the log."""
    if isinstance(error, StorageUnavailable):
        # What the disk lacks is no secret, and the caller can do something about it.
        return Failure(
            503,
            error.code,
            "the storage takes nothing at present, and nothing was changed",
            "free space on the disk of the state folder, then try again",
            {"retry-after": str(RETRY_AFTER_S)},
        )
    remedy = "report the tracking id to whoever runs the cloud"
    return Failure(500, "internal-error", _UNEXPECTED, remedy, {})


def log_failure(method: str, path: str, error: Exception) -> str:
    """Log what went wrong here, and return the tracking id under which it is found."""
    tracking_id = new_tracking_id()
    _log.error(
        "request failed",
        tracking_id=tracking_id,
        method=method,
        path=path,
        exc_info=error,
    )
    return tracking_id


def answer_failure(method: str, path: str, error: Exception) -> JSONResponse:
    """Log what went wrong here, and return an answer that tells its tracking id."""
    failure = failure_of(error)
    return error_answer(
        failure.status,
        failure.code,
        failure.message,
        remedy=failure.remedy,
        tracking_id=log_failure(method, path, error),
        headers=failure.headers,
    )


def _answer_validation(error: RequestValidationError) -> JSONResponse:
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return error_answer(
            400, "json-malformed", f"body: {first['ctx']['error']}", remedy="send well-formed JSON"
        )
    field = _field_of(first["loc"])
    message = str(first["msg"]).removeprefix("Value error, ")
    return error_answer(
        400,
        "input-invalid",
        f"{field}: {message}",
        remedy="correct the field and send the request again",
        field=field,
    )


def _field_of(location: Sequence[int | str]) -> str:
    """Return where a validation failed, without the part that says body, path or query."""
    parts = [str(part) for part in location]
    return ".".join(parts[1:] or parts)


def _answer_http(error: HTTPException) -> JSONResponse:
    status = error.status_code
    known: dict[int, tuple[str, str, str]] = {
        404: ("not-found", "there is nothing at this path", _SEE_PATHS),
        405: ("method-not-allowed", "the path does not allow this method", _SEE_PATHS),
    }
    code, message, remedy = known.get(
        status, (f"http-{status}", str(error.detail), "correct the request")
    )
    return error_answer(status, code, message, remedy=remedy, headers=error.headers)
