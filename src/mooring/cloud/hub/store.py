"""The port behind which the hub keeps its records."""

from __future__ import annotations

from typing import Protocol


class HubStore(Protocol):
    """To be filled."""
