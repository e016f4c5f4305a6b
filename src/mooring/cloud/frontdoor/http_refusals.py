"""What the HTTPS listener itself answers, before any application: the error shape of DPS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from http import HTTPStatus

from mooring.protocol.azure.error_bodies import ErrorBody, encode_error_body
from mooring.protocol.azure.error_codes import DpsErrorCode
from mooring.runtime.ids import new_tracking_id


@dataclass(frozen=True, slots=True)
class HttpRefusal:
    """An answer after which the connection is closed. `message` says fault and remedy."""

    code: DpsErrorCode
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)


MALFORMED = HttpRefusal(
    DpsErrorCode.BAD_REQUEST,
    "The request is not valid HTTP/1.1; send request line, headers and body as RFC 9112 has them.",
)


def encode_refusal(refusal: HttpRefusal, now: datetime) -> bytes:
    """Return the whole answer, status line to body."""
    tracking_id = new_tracking_id()
    body = encode_error_body(ErrorBody(refusal.code, refusal.message, tracking_id, now))
    status = HTTPStatus(refusal.code.http_status)
    headers = {
        "date": format_datetime(now, usegmt=True),
        "content-type": "application/json; charset=utf-8",
        "content-length": str(len(body)),
        "x-ms-request-id": tracking_id,
        "x-ms-error-code": str(int(refusal.code)),
        **refusal.headers,
        "connection": "close",
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status.value} {status.phrase}\r\n{head}\r\n".encode() + body
