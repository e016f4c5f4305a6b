"""What a query is answered, as frozen data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ItemType(StrEnum):
    """What the items of a page are. The .NET SDK reads these words by case (iothub.md 3.6)."""

    TWIN = "Twin"
    RAW = "Raw"


@dataclass(frozen=True, slots=True)
class QueryPage:
    """Some rows of a query, in the order of device ids or of what is grouped by.

    `rows` are JSON objects, encoded where no device waits for it. `continuation` opens the next
    page, and None says that this was the last; a page may be short, even empty, and not the last.
    """

    rows: tuple[bytes, ...]
    item_type: ItemType
    continuation: str | None

    @property
    def body(self) -> bytes:
        """Return the rows as one JSON array."""
        return b"[" + b",".join(self.rows) + b"]"
