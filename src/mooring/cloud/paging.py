"""Pages of lists: bounded, with an opaque continuation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

DEFAULT_PAGE_ITEMS = 100
"""Items per page when nothing is asked for; Azure publishes no figure."""
MAX_PAGE_ITEMS = 1000
"""Most items per page: bounds the memory and the time of one answer."""

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
