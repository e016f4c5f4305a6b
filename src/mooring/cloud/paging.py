"""Pages of lists: bounded, with an opaque continuation."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Generic, TypeVar

DEFAULT_PAGE_ITEMS = 100
"""Items per page when nothing is asked for; Azure publishes no figure."""
MAX_PAGE_ITEMS = 1000
"""Most items per page: bounds the memory and the time of one answer."""

MAX_CONTINUATION_CHARS = 512
"""A continuation is base64 of one id of at most 128 characters; more is not ours."""

ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True)
class Page(Generic[ItemT]):
    """Some items of a list, in the order of their keys.

    `continuation` opens the next page; None says that this was the last.
    """

    items: tuple[ItemT, ...]
    continuation: str | None


def page_size(limit: int | None) -> int:
    """Return how many items to give for a wish of `limit`."""
    return DEFAULT_PAGE_ITEMS if limit is None else max(1, min(limit, MAX_PAGE_ITEMS))


def encode_continuation(last_key: str | None) -> str | None:
    """Return the opaque text that continues after `last_key`; None for the end of a list."""
    if last_key is None:
        return None
    return base64.urlsafe_b64encode(last_key.encode()).decode().rstrip("=")


def decode_continuation(text: str) -> str:
    """Return the key that `encode_continuation` took.

    Raises:
        ValueError: It never made this text.
    """
    if len(text) > MAX_CONTINUATION_CHARS or not text.isascii():
        raise ValueError("not a continuation")
    padded = text + "=" * (-len(text) % 4)
    return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
