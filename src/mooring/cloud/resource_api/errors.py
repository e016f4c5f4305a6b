"""Errors of the resource API, in the shape of Azure Resource Manager.

``{"error": {"code", "message", "target", "details", "additionalInfo"}}``: `message` tells what is
wrong and what to do, since most clients show nothing else; ``additionalInfo`` has both apart, and
the tracking id.
"""

from __future__ import annotations

from dataclasses import dataclass

from mooring.cloud.accounts.errors import AccountError
from mooring.cloud.api.azure_errors import in_sentences
from mooring.cloud.api.errors import RequestRefused, failure_of, log_failure
from mooring.cloud.dps.errors import DpsError
from mooring.cloud.hub.errors import HubError
from mooring.pki.errors import PkiError
from mooring.protocol.azure.errors import AzureError
from mooring.protocol.azure.json_documents import JsonObject
from mooring.runtime.ids import new_tracking_id

INFO_TYPE = "MooringError"


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """An error as it is sent."""

    status: int
    document: JsonObject
    headers: dict[str, str]


def answer_error(error: Exception, method: str, path: str) -> ErrorAnswer:
    """Return what a caller is told of `error`; what went wrong here (5xx) is logged."""
    refusal = _refusal_of(error)
    if refusal is not None:
        return _answer(refusal, new_tracking_id())
    failure = failure_of(error)
    return _answer(
        RequestRefused(
            failure.status, failure.code, failure.message, failure.remedy, headers=failure.headers
        ),
        log_failure(method, path, error),
    )


def _refusal_of(error: Exception) -> RequestRefused | None:
    """Return what the caller did wrong; None if something went wrong here."""
    if isinstance(error, RequestRefused):
        return error
    if isinstance(error, AccountError):
        status = error.status
    elif isinstance(error, DpsError | HubError):
        status = error.http_status
    elif isinstance(error, PkiError | AzureError):
        status = 400
    else:
        return None
    headers = {"www-authenticate": "Bearer"} if status == 401 else None
    return RequestRefused(
        status, error.code, error.message, error.remedy, field=error.field, headers=headers
    )


def _answer(refusal: RequestRefused, tracking_id: str) -> ErrorAnswer:
    document: JsonObject = {
        "error": {
            "code": refusal.code,
            "message": in_sentences(refusal.message, refusal.remedy),
            "target": refusal.field,
            "details": [],
            "additionalInfo": [
                {
                    "type": INFO_TYPE,
                    "info": {
                        "message": refusal.message,
                        "remedy": refusal.remedy,
                        "trackingId": tracking_id,
                    },
                }
            ],
        }
    }
    headers = {"x-ms-request-id": tracking_id, **refusal.headers}
    return ErrorAnswer(refusal.status, document, headers)
