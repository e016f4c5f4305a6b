"""Answers without an end: one JSON document a line, as it happens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

HEARTBEAT_S = 15.0
"""An empty line goes out this often while there is nothing to tell, so that a reader that is
gone is noticed."""

MEDIA_TYPE = "application/x-ndjson"


async def json_lines(
    documents: AsyncIterator[dict[str, Any]], closing: asyncio.Event
) -> AsyncGenerator[bytes]:
    """Yield `documents`, which have no end, as lines until `closing` is set.

    Empty lines are the heartbeat. The first line is empty: the headers are out, and the reader
    knows that it listens.
    """
    ending = asyncio.create_task(closing.wait())
    following: asyncio.Task[Any] | None = None
    yield b"\n"
    try:
        while not ending.done():
            if following is None:
                following = asyncio.create_task(anext(documents))  # type: ignore[arg-type]  # a coroutine in practice
            await asyncio.wait(
                {following, ending}, timeout=HEARTBEAT_S, return_when=asyncio.FIRST_COMPLETED
            )
            if following.done():
                document = following.result()
                following = None
                yield json.dumps(document, ensure_ascii=False).encode() + b"\n"
            elif not ending.done():
                yield b"\n"
    finally:
        tasks = [task for task in (following, ending) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
