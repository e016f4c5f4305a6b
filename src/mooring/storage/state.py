"""Whether writes succeed at present."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class StorageCondition(StrEnum):
    """How the last commit ended."""

    OK = "ok"
    FULL = "full"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class StorageState:
    """The condition and, unless it is ok, what is wrong and what to do."""

    condition: StorageCondition
    reason: str = ""
    remedy: str = ""


OK = StorageState(StorageCondition.OK)
