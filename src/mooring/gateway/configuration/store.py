"""Port: where configurations outlive the process."""

from __future__ import annotations

from typing import Protocol

from mooring.gateway.configuration.model import Snapshot, StoredConnection


class ConfigurationStore(Protocol):
    """Keeps all connections; every change makes a new snapshot number in the same commit."""

    async def load(self) -> list[StoredConnection]:
        """Return all connections, ordered by PID."""
        ...

    async def save(self, connection: StoredConnection) -> Snapshot:
        """Insert or replace `connection`; return the snapshot that this made."""
        ...

    async def remove(self, pid: str) -> Snapshot:
        """Delete the connection and all that is kept for it; return the snapshot made."""
        ...

    async def latest_snapshot(self) -> Snapshot | None:
        """Return the newest snapshot, or None before the first change."""
        ...
