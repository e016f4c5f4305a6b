"""Refuses JSON that could be read, but neither stored nor given back."""

from __future__ import annotations

from fastapi import Request

from mooring.cloud.api.body_limit import MAX_BODY_BYTES
from mooring.protocol.azure.json_documents import decode_json


async def well_formed_body(request: Request) -> None:
    """Return if the body, where there is one, is JSON as `decode_json` understands it.

    FastAPI's own reader takes lone surrogates and numbers beyond all bounds. Free-form members,
    such as a twin, would carry them into the store, and every later answer would fail on them.

    Raises:
        mooring.protocol.azure.errors.AzureError: It is not.
    """
    body = await request.body()  # read before, and kept by the request
    if body:
        decode_json(body, max_bytes=MAX_BODY_BYTES)
