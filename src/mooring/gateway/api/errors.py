"""The one shape of errors: ``{"error": {"code", "message", "field", "remedy", "tracking_id"}}``.

Findings of a refused Apply stand beside them as ``findings``. What went wrong here (5xx without
a remedy for the caller) is logged under the tracking id and not shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException

from mooring.gateway import errors as gateway_errors
from mooring.gateway.errors import ConfigurationRefused, GatewayError
from mooring.runtime.ids import new_tracking_id
from mooring.runtime.logs import get_logger
from mooring.storage.errors import StorageError, StorageUnavailable

_log = get_logger("gateway.api")

HTTP_STATUS: Mapping[type[GatewayError], int] = {
    gateway_errors.PidMalformed: 400,
    gateway_errors.FactoryUnknown: 400,
    gateway_errors.ConnectionExists: 409,
    gateway_errors.ConnectionUnknown: 404,
    gateway_errors.TabUnknown: 400,
    gateway_errors.ConfigurationRefused: 400,
    gateway_errors.ConfigurationMissing: 409,
    gateway_errors.KeystoreEntryUnusable: 409,
    gateway_errors.TrustRefused: 400,
    gateway_errors.TrustUnknown: 404,
    gateway_errors.MessageMalformed: 400,
    gateway_errors.MessageTooLarge: 413,
    gateway_errors.NotConnected: 409,
    gateway_errors.QueueFull: 503,
    gateway_errors.NotAcknowledged: 504,
    gateway_errors.ConnectionRemoved: 503,
    gateway_errors.TokenRefused: 401,
    gateway_errors.AttemptUnknown: 404,
    gateway_errors.RequestTooLarge: 413,
    gateway_errors.RequestMalformed: 400,
}
"""One HTTP status for each refusal that a request can meet."""


def install_error_handlers(application: FastAPI) -> None:
    """Make `application` answer every error in the one shape."""

    @application.exception_handler(GatewayError)
    async def _refused(_: Request, error: GatewayError) -> JSONResponse:
        return gateway_error_answer(error)

    @application.exception_handler(StorageError)
    async def _storage(_: Request, error: StorageError) -> JSONResponse:
        status = 503 if isinstance(error, StorageUnavailable) else 500
        return error_answer(status, error.code, error.message, remedy=error.remedy)

    @application.exception_handler(RequestValidationError)
    async def _malformed(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        # "body" and the position in the text say nothing to a caller.
        where = [str(part) for part in first["loc"] if part not in ("body", "query", "path")]
        name = ".".join(where)
        if first["type"] == "json_invalid":
            name = ""
        # The value itself is not repeated: it may be a private key.
        message = f"{name or 'The body'}: {first['msg']}"
        return error_answer(
            400,
            "request-malformed",
            message,
            field=name or None,
            remedy="Correct the request; GET /api/v1/openapi.json describes it.",
        )

    @application.exception_handler(StarletteHTTPException)
    async def _http(_: Request, error: StarletteHTTPException) -> JSONResponse:
        code, message = _HTTP_TEXTS.get(error.status_code, ("http-error", str(error.detail)))
        return error_answer(
            error.status_code,
            code,
            message,
            remedy="GET /api/v1/openapi.json lists paths and methods.",
            headers=error.headers,
        )

    @application.exception_handler(Exception)
    async def _defect(_: Request, error: Exception) -> JSONResponse:
        tracking_id = new_tracking_id()
        _log.error("request ended by a defect", tracking_id=tracking_id, exc_info=error)
        return error_answer(
            500,
            "internal-error",
            "The gateway failed on its own account.",
            remedy="Look for the tracking id in the gateway's log, and report it.",
            tracking_id=tracking_id,
        )


def gateway_error_answer(error: GatewayError) -> JSONResponse:
    """Return the answer to a refusal."""
    extra = dict(error.facts())
    if isinstance(error, ConfigurationRefused):
        extra["findings"] = [finding.to_json() for finding in error.findings]
    status = HTTP_STATUS.get(type(error), 500)
    return error_answer(
        status,
        error.code,
        error.message,
        remedy=error.remedy,
        field=error.field,
        extra=extra,
        headers={"WWW-Authenticate": "Bearer"} if status == 401 else None,
    )


def error_answer(
    status: int,
    code: str,
    message: str,
    *,
    remedy: str,
    field: str | None = None,
    tracking_id: str | None = None,
    extra: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Return an error answer of HTTP `status`."""
    document = {
        "code": code,
        "message": message,
        "field": field,
        "remedy": remedy,
        "tracking_id": tracking_id or new_tracking_id(),
        **(extra or {}),
    }
    return JSONResponse({"error": document}, status_code=status, headers=headers)


_HTTP_TEXTS = {
    400: ("request-malformed", "The body is not JSON, is nested too deeply or has a giant number."),
    404: ("not-found", "There is nothing at this path."),
    413: ("request-too-large", "The body is larger than any operation needs."),
    405: ("method-not-allowed", "The path does not allow this method."),
}
