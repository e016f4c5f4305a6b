"""The error answers of the HTTPS listener's APIs: the shape of DPS, device and service API alike.

``{"errorCode", "trackingId", "message", "timestampUtc"}``, the first two also as the headers
``x-ms-error-code`` and ``x-ms-request-id``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from starlette.responses import Response

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
