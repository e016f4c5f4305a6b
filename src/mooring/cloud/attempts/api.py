"""Routes of the attempt records."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from mooring.cloud.api.context import Continuation, Limit, Services
from mooring.cloud.api.errors import RequestRefused
from mooring.cloud.attempts.model import AttemptFilter, Result

router = APIRouter(tags=["attempts"])

_Text = Annotated[str | None, Query(max_length=256)]


@router.get("/attempts")
async def list_attempts(
    services: Services,
    registration_id: _Text = None,
    device_id: _Text = None,
    thumbprint: _Text = None,
    kind: _Text = None,
    result: Result | None = None,
    source_address: _Text = None,
    wire_id: _Text = None,
    limit: Limit = None,
    continuation: Continuation = None,
) -> dict[str, Any]:
    """List attempts, newest first: what was tried, how far it came, why it failed.

    `wire_id` is an id seen on the wire: a tracking id, an operation id or a request id.
    """
    records, position = await services.attempts.list(
        AttemptFilter(
            registration_id=registration_id,
            device_id=device_id,
            thumbprint=thumbprint,
            kind=kind,
            result=result,
            source_address=source_address,
            wire_id=wire_id,
        ),
        limit=limit or 100,
        before=_position(continuation),
    )
    return {
        "value": [record.to_json() for record in records],
        "continuation": None if position is None else str(position),
    }


def _position(continuation: str | None) -> int | None:
    if continuation is None:
        return None
    if not continuation.isascii() or not continuation.isdecimal() or len(continuation) > 18:
        raise RequestRefused(
            400,
            "input-invalid",
            f"continuation: {continuation[:40]!r} is not from an earlier answer",
            "leave it out to begin with the newest",
            field="continuation",
        )
    return int(continuation)
