"""The port behind which DPS keeps its records."""

from __future__ import annotations

from typing import Protocol


class DpsStore(Protocol):
    """To be filled."""
