"""Routes of the attempt records."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse

from mooring.cloud.api.context import CloudServices, Continuation, Limit, Services
from mooring.cloud.api.errors import RequestRefused
from mooring.cloud.api.streams import MEDIA_TYPE, json_lines
from mooring.cloud.attempts.model import AttemptFilter, Kind, Result

router = APIRouter(tags=["attempts"])

_Text = Annotated[str | None, Query(max_length=256)]


async def _wanted(
    registration_id: _Text = None,
    device_id: _Text = None,
    thumbprint: _Text = None,
    kind: Kind | None = None,
    result: Result | None = None,
    source_address: _Text = None,
    wire_id: _Text = None,
) -> AttemptFilter:
    return AttemptFilter(
        registration_id=registration_id,
        device_id=device_id,
        thumbprint=thumbprint,
        kind=kind,
        result=result,
        source_address=source_address,
        wire_id=wire_id,
    )


Wanted = Annotated[AttemptFilter, Depends(_wanted)]


@router.get("/attempts")
async def list_attempts(
    services: Services, wanted: Wanted, limit: Limit = None, continuation: Continuation = None
) -> dict[str, Any]:
    """List attempts, newest first: what was tried, how far it came, why it failed.

    `wire_id` is an id seen on the wire: a tracking id, an operation id or a request id.
    """
    records, position = await services.attempts.list(
        wanted, limit=limit or 100, before=_position(continuation)
    )
    return {
        "value": [record.to_json() for record in records],
        "continuation": None if position is None else str(position),
    }


@router.get("/attempts/follow")
async def follow_attempts(services: Services, wanted: Wanted) -> StreamingResponse:
    """Stream attempts as they end: one JSON object per line, empty lines as heartbeat.

    Each attempt comes by itself, its count 1. A reader that is too slow is told
    ``{"missed": n}``; the list has those.
    """
    return StreamingResponse(_lines(services, wanted), media_type=MEDIA_TYPE)


async def _lines(services: CloudServices, wanted: AttemptFilter) -> AsyncIterator[bytes]:
    # The watch begins before the first line, which says to the reader that it listens.
    with services.attempts.watch(wanted) as watch:
        documents = (item.to_json() async for item in watch)
        async with aclosing(json_lines(documents, services.closing)) as lines:
            async for line in lines:
                yield line


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
