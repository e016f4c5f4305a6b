"""Work that takes long, done in a thread, so that no device waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

SMALL_BODY_BYTES = 16 * 1024
"""JSON that is read at once: a fraction of a millisecond, less than a thread would cost a crowd."""

T = TypeVar("T")


async def read_body(read: Callable[[], T], size_bytes: int) -> T:
    """Return what `read` makes of a body of `size_bytes`; a large one is read in a thread."""
    return await run_aside(read, is_long=size_bytes > SMALL_BODY_BYTES)


async def run_aside(work: Callable[[], T], *, is_long: bool) -> T:
    """Return what `work` returns, which is done in a thread if it `is_long`."""
    return await asyncio.to_thread(work) if is_long else work()
