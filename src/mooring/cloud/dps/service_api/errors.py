"""Errors of the service API: from what went wrong to status, number and words."""

from __future__ import annotations

from mooring.cloud.accounts.errors import AccountError
from mooring.cloud.api.azure_errors import in_sentences
from mooring.cloud.dps.errors import DpsError
from mooring.protocol.azure.error_codes import DpsErrorCode
from mooring.protocol.azure.errors import AzureError, BodyTooLarge, JsonMalformed

_ACCOUNT_CODES = {401: DpsErrorCode.UNAUTHORIZED, 403: DpsErrorCode.FORBIDDEN}


def error_code_of(error: Exception) -> DpsErrorCode | None:
    """Return the number of what the caller did wrong; None if something went wrong here."""
    if isinstance(error, DpsError):
        return error.error_code if error.http_status < 500 else None
    if isinstance(error, AccountError):
        return _ACCOUNT_CODES.get(error.status, DpsErrorCode.ARGUMENT_INVALID)
    if isinstance(error, BodyTooLarge):
        return DpsErrorCode.BODY_TOO_LARGE
    if isinstance(error, JsonMalformed):
        return DpsErrorCode.JSON_MALFORMED
    if isinstance(error, AzureError):
        return DpsErrorCode.ARGUMENT_INVALID
    return None


def words_of(error: Exception) -> str:
    """Return what is wrong and what to do."""
    return in_sentences(str(getattr(error, "message", error)), str(getattr(error, "remedy", "")))


def parts_of(error: Exception) -> dict[str, str]:
    """Return the same with its parts told apart, for the error's ``info``.

    Azure leaves free what is in it; a tool need not take the message to pieces.
    """
    parts = {name: getattr(error, name, None) for name in ("code", "field", "message", "remedy")}
    return {name: str(part) for name, part in parts.items() if part}
