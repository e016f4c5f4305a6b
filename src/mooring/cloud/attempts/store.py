"""The port behind which attempt records are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from mooring.cloud.attempts.model import AttemptFilter, AttemptRecord


class AttemptStore(Protocol):
    """Keeps records by identity, newest first, within the bounds of the model."""

    async def add(self, records: Sequence[AttemptRecord]) -> None:
        """Count `records` in with what is kept, then drop the oldest beyond the bounds.

        Durable when this returns.
        """
        ...

    async def list(
        self, wanted: AttemptFilter, *, limit: int, before: int | None
    ) -> tuple[list[AttemptRecord], int | None]:
        """Return up to `limit` records, newest first, and where the next page starts.

        `before` is the position that an earlier page returned; None starts at the newest.
        """
        ...
