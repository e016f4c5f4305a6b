"""What DPS has answered before: hub and device id, kept so that a reconnect need not ask again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Assignment:
    """Where DPS has put a device; `operation_id` is that of the registration."""

    assigned_hub: str
    device_id: str
    registered_at: datetime
    operation_id: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the assignment as JSON-ready values."""
        return {
            "assigned_hub": self.assigned_hub,
            "device_id": self.device_id,
            "registered_at": self.registered_at.isoformat(),
            "operation_id": self.operation_id,
        }


def assignment_key(
    *, endpoint: str, id_scope: str, sha256_thumbprint: str, model_id: str | None
) -> str:
    """Return the digest under which an assignment is kept.

    It holds for one DPS, one instance and one certificate. The model id is part of it because
    the registration announces it: another model has to be announced anew.
    """
    parts = (endpoint.lower(), id_scope, sha256_thumbprint.upper(), model_id or "")
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()


class AssignmentStore(Protocol):
    """Where assignments outlive the process; one per connection, the newest."""

    async def find(self, pid: str, key: str) -> Assignment | None:
        """Return what is kept for the connection under `key`, or None."""
        ...

    async def keep(self, pid: str, key: str, assignment: Assignment) -> None:
        """Keep `assignment`, instead of any other of the connection."""
        ...

    async def forget(self, pid: str) -> None:
        """Drop what is kept for the connection."""
        ...
