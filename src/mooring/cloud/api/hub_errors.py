"""The error answers of a hub's HTTPS APIs, for back ends and for devices.

Azure has two shapes, by resource (iothub.md 3.9); both come with the code's name in the header
``iothub-errorcode``, without which .NET and Node do not tell errors apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from starlette.responses import Response

from mooring.cloud.accounts.errors import AccountError, NoWayIn
from mooring.cloud.api.azure_errors import BODY_MEDIA_TYPE, in_sentences
from mooring.cloud.api.errors import RequestRefused, failure_of, log_failure
from mooring.cloud.hub.errors import HubError
from mooring.protocol.azure.error_bodies import (
    ErrorBody,
    encode_registry_error,
    encode_twin_error,
)
from mooring.protocol.azure.error_codes import HubErrorCode
from mooring.protocol.azure.errors import (
    AzureError,
    BodyTooLarge,
    JsonMalformed,
    PayloadMalformed,
)
from mooring.protocol.azure.sas import SCHEME
from mooring.runtime.clock import SYSTEM_CLOCK
from mooring.runtime.ids import new_tracking_id

CHALLENGE = f"{SCHEME}, Bearer"
"""What a 401 names as ways to get in (RFC 9110 §11.6.1)."""


class ErrorShape(Enum):
    """Which of the two shapes a resource answers errors in."""

    REGISTRY = "registry"
    """Devices, queries, statistics, messages, feedback, jobs; and all paths for devices."""
    TWIN = "twin"
    """Twins and direct methods."""


def hub_error(
    code: HubErrorCode,
    message: str | None = None,
    *,
    shape: ErrorShape = ErrorShape.REGISTRY,
    tracking_id: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the answer for `code`; `message` is the code's own text unless given."""
    tracking_id = tracking_id or new_tracking_id()
    body = ErrorBody(
        error_code=code,
        message=message or code.text,
        tracking_id=tracking_id,
        timestamp_utc=SYSTEM_CLOCK.now(),
    )
    content = (
        encode_twin_error(body)
        if shape is ErrorShape.TWIN
        else encode_registry_error(body, code.wire_name)
    )
    return Response(
        content,
        status_code=code.http_status,
        media_type=BODY_MEDIA_TYPE,
        headers={
            "iothub-errorcode": code.wire_name,
            "x-ms-request-id": tracking_id,
            **({"www-authenticate": CHALLENGE} if code.http_status == 401 else {}),
            **(headers or {}),
        },
    )


def error_answer(
    error: Exception, method: str, path: str, *, shape: ErrorShape = ErrorShape.REGISTRY
) -> Response:
    """Return the answer to what went wrong; where that is here, the cause is logged, not told."""
    code = error_code_of(error)
    if code is None:
        failure = failure_of(error)
        return hub_error(
            HubErrorCode.SERVICE_UNAVAILABLE
            if failure.status == 503
            else HubErrorCode.SERVER_ERROR,
            in_sentences(failure.message, failure.remedy),
            shape=shape,
            tracking_id=log_failure(method, path, error),
            headers=failure.headers,
        )
    headers = dict(getattr(error, "headers", None) or {})
    retry_after_s = getattr(error, "retry_after_s", None)
    if retry_after_s is not None:
        headers["retry-after"] = str(retry_after_s)
    return hub_error(code, words_of(error), shape=shape, headers=headers)


def refusal_answer(error: RequestRefused) -> Response:
    """Return the answer to a request that the API itself refuses."""
    return error_answer(error, "", "")


def failure_answer(method: str, path: str, error: Exception) -> Response:
    """Return the answer to what nothing foresaw."""
    return error_answer(error, method, path)


def error_code_of(error: Exception) -> HubErrorCode | None:
    """Return the number of what the caller did wrong; None if something went wrong here."""
    if isinstance(error, HubError):
        return None if error.error_code is HubErrorCode.SERVER_ERROR else error.error_code
    if isinstance(error, AccountError):
        if error.status == 403 or isinstance(error, NoWayIn):
            # A hub says 401 also to who may not: 401002, no credentials or not the right ones.
            return HubErrorCode.UNAUTHORIZED_ACCESS
        return HubErrorCode.UNAUTHORIZED if error.status == 401 else HubErrorCode.ARGUMENT_INVALID
    if isinstance(error, RequestRefused):
        return (
            HubErrorCode.MESSAGE_TOO_LARGE if error.status == 413 else HubErrorCode.ARGUMENT_INVALID
        )
    if isinstance(error, BodyTooLarge):
        return HubErrorCode.MESSAGE_TOO_LARGE
    if isinstance(error, JsonMalformed | PayloadMalformed):
        return HubErrorCode.DESERIALIZATION_ERROR
    return HubErrorCode.ARGUMENT_INVALID if isinstance(error, AzureError) else None


def words_of(error: Exception) -> str:
    """Return what is wrong and what to do."""
    return in_sentences(str(getattr(error, "message", error)), str(getattr(error, "remedy", "")))
