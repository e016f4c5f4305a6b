"""The error answers of the HTTPS listener's APIs: the shape of DPS, device and service API alike.

``{"errorCode", "trackingId", "message", "timestampUtc"}``, the first two also as the headers
``x-ms-error-code`` and ``x-ms-request-id``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from starlette.responses import Response

from mooring.cloud.api.errors import RequestRefused, failure_of, log_failure
from mooring.protocol.azure.error_bodies import ErrorBody, encode_error_body
from mooring.protocol.azure.error_codes import DpsErrorCode
from mooring.runtime.clock import SYSTEM_CLOCK
from mooring.runtime.ids import new_tracking_id

BODY_MEDIA_TYPE = "application/json; charset=utf-8"


def azure_error(
    code: DpsErrorCode,
    message: str | None = None,
    *,
    tracking_id: str | None = None,
    now: datetime | None = None,
    info: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the answer for `code`; `message` is the code's own text unless given."""
    tracking_id = tracking_id or new_tracking_id()
    body = ErrorBody(
        error_code=code,
        message=message or code.text,
        tracking_id=tracking_id,
        timestamp_utc=now or SYSTEM_CLOCK.now(),
        info=info or {},
    )
    return Response(
        encode_error_body(body),
        status_code=code.http_status,
        media_type=BODY_MEDIA_TYPE,
        headers={
            "x-ms-request-id": tracking_id,
            "x-ms-error-code": str(int(code)),
            **(headers or {}),
        },
    )


def refusal_answer(error: RequestRefused) -> Response:
    """Return the answer to a request that the API itself refuses."""
    code = {413: DpsErrorCode.BODY_TOO_LARGE}.get(error.status, DpsErrorCode.BAD_REQUEST)
    return azure_error(code, in_sentences(error.message, error.remedy), headers=error.headers)


def failure_answer(method: str, path: str, error: Exception) -> Response:
    """Log what went wrong here, and return an answer that tells its tracking id."""
    if isinstance(error, RequestRefused):
        return refusal_answer(error)
    failure = failure_of(error)
    return azure_error(
        DpsErrorCode.SERVICE_UNAVAILABLE if failure.status == 503 else DpsErrorCode.INTERNAL_ERROR,
        in_sentences(failure.message, failure.remedy),
        tracking_id=log_failure(method, path, error),
        headers=failure.headers,
    )


def in_sentences(message: str, remedy: str) -> str:
    """Return what is wrong and what to do in one text: the body has one member for both."""
    return " ".join(f"{_capital(text).rstrip('.')}." for text in (message, remedy) if text)


def _capital(text: str) -> str:
    """Begin with a capital, unless the first word is the name of a field."""
    first = text.partition(" ")[0]
    return text[:1].upper() + text[1:] if first.isalpha() and first.islower() else text
