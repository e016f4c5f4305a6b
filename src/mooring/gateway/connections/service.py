"""All cloud connections of the gateway: what REST, command line and console call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from mooring.gateway.configuration.model import StoredConnection
from mooring.gateway.configuration.service import Applied, ConfigurationService
from mooring.gateway.connections.assignments import AssignmentStore
from mooring.gateway.connections.attempt_records import AttemptStore
from mooring.gateway.connections.connection import CloudConnection
from mooring.gateway.errors import ConnectionUnknown
from mooring.gateway.keystore.entries import Keystore
from mooring.runtime.clock import Clock


class ConnectionService:
    """Keeps what runs and what is configured in step."""

    def __init__(
        self,
        configuration: ConfigurationService,
        *,
        keystore: Keystore,
        trust_files: Callable[[], tuple[Path, ...]],
        assignments: AssignmentStore,
        attempts: AttemptStore,
        clock: Clock,
    ) -> None:
        """Run the connections of `configuration`."""
        self.configuration = configuration
        self.attempts = attempts
        self._keystore = keystore
        self._trust_files = trust_files
        self._assignments = assignments
        self._clock = clock
        self._connections: dict[str, CloudConnection] = {}
        # What is configured and what runs change together.
        self._lock = asyncio.Lock()

    async def start(self) -> None:
        """Start every configured connection."""
        for stored in self.configuration.all():
            await self._start(stored)

    def all(self) -> list[CloudConnection]:
        """Return every connection, ordered by PID."""
        return [self._connections[pid] for pid in sorted(self._connections)]

    def find(self, pid: str) -> CloudConnection:
        """Return the connection `pid`.

        Raises:
            ConnectionUnknown: There is none.
        """
        try:
            return self._connections[pid]
        except KeyError:
            raise ConnectionUnknown.of(pid) from None

    async def create(self, factory_pid: str, pid: str) -> CloudConnection:
        """Create a connection with defaults.

        Raises:
            FactoryUnknown, PidMalformed, ConnectionExists: Nothing was created.
        """
        async with self._lock:
            return await self._start(await self.configuration.create(factory_pid, pid))

    async def delete(self, pid: str) -> None:
        """Disconnect and delete a connection with its certificate and key.

        Raises:
            ConnectionUnknown: There is none.
        """
        async with self._lock:
            connection = self.find(pid)
            # First the connection, so that nothing is recorded for one that is deleted.
            await connection.close()
            try:
                await self.configuration.delete(pid)
            except BaseException:
                await self._start(connection.stored)
                raise
            del self._connections[pid]

    async def apply(
        self, pid: str, changes: Mapping[str, Mapping[str, object]], *, dry_run: bool = False
    ) -> Applied:
        """Apply changed values and run with them.

        Raises:
            ConnectionUnknown, TabUnknown, ConfigurationRefused: Nothing was changed.
        """
        async with self._lock:
            connection = self.find(pid)
            applied = await self.configuration.apply(pid, changes, dry_run=dry_run)
            if not dry_run:
                await connection.apply(applied.after)
            return applied

    def trust_changed(self) -> None:
        """Try again where an attempt may have failed for want of trust."""
        for connection in self._connections.values():
            connection.retry_now()

    async def close(self) -> None:
        """Disconnect all, side by side, and end."""
        connections = list(self._connections.values())
        self._connections.clear()
        await asyncio.gather(*(connection.close() for connection in connections))

    async def _start(self, stored: StoredConnection) -> CloudConnection:
        connection = CloudConnection(
            stored,
            keystore=self._keystore,
            trust_files=self._trust_files,
            assignments=self._assignments,
            attempts=self.attempts,
            clock=self._clock,
        )
        await connection.start()
        self._connections[stored.pid] = connection
        return connection
