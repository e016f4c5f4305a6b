"""What is wrong with a twin, in the hub's words."""

from __future__ import annotations

from mooring.cloud.hub.errors import InputInvalid
from mooring.protocol.azure.errors import AzureError, BodyTooLarge, HubErrorCode, TwinTooLarge


def twin_invalid(error: AzureError) -> InputInvalid:
    """Return the refusal of a twin or patch: 400004, or 413001 for its size."""
    too_large = isinstance(error, TwinTooLarge | BodyTooLarge)
    return InputInvalid(
        error.message,
        error.remedy,
        field=error.field,
        code=error.code,
        error_code=HubErrorCode.MESSAGE_TOO_LARGE if too_large else HubErrorCode.ARGUMENT_INVALID,
    )
