"""Attempts as they happen, for whoever watches: nothing is kept, and no device waits."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from mooring.cloud.attempts.model import AttemptFilter, AttemptRecord

MAX_UNREAD = 1_000
"""Attempts that wait for one watcher, some 2 MB: a storm is faster than any terminal."""


@dataclass(frozen=True, slots=True)
class Missed:
    """So many attempts came faster than the watcher read; the list has them."""

    count: int

    def to_json(self) -> dict[str, Any]:
        """Return the gap as JSON-ready values."""
        return {"missed": self.count}


class AttemptWatch:
    """What one watcher has yet to read. When it is too slow, the oldest go, and are counted."""

    def __init__(self, wanted: AttemptFilter, *, max_unread: int = MAX_UNREAD) -> None:
        """Take what `wanted` names, from now on."""
        self._wanted = wanted
        self._max_unread = max_unread
        self._unread: deque[AttemptRecord] = deque()
        self._missed = 0
        self._woken = asyncio.Event()

    def offer(self, record: AttemptRecord) -> None:
        """Take `record` if it is wanted; returns at once."""
        if not self._wanted.matches(record):
            return
        if len(self._unread) >= self._max_unread:
            self._unread.popleft()
            self._missed += 1
        self._unread.append(record)
        self._woken.set()

    async def __aiter__(self) -> AsyncIterator[AttemptRecord | Missed]:
        """Yield attempts in the order in which they ended, each once, for ever."""
        while True:
            self._woken.clear()
            while self._unread:
                if self._missed:
                    missed, self._missed = self._missed, 0
                    yield Missed(missed)
                yield self._unread.popleft()
            await self._woken.wait()
