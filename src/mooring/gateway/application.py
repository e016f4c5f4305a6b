"""The gateway as a program: wires everything together, starts and ends it in order."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any

from mooring import __version__
from mooring.gateway.api.application import BASE_PATH, build_application
from mooring.gateway.api.server import ApiServer
from mooring.gateway.configuration.service import ConfigurationService
from mooring.gateway.connections.service import ConnectionService
from mooring.gateway.connections.states import ConnectionState
from mooring.gateway.keystore.entries import Keystore
from mooring.gateway.keystore.trust import TrustStore
from mooring.gateway.settings import GatewaySettings
from mooring.gateway.stores import migrations
from mooring.gateway.stores.assignments import SqliteAssignmentStore
from mooring.gateway.stores.attempts import SqliteAttemptStore
from mooring.gateway.stores.configuration import SqliteConfigurationStore
from mooring.runtime.clock import SYSTEM_CLOCK, Clock
from mooring.runtime.logs import get_logger
from mooring.runtime.statefolder import ensure_folder, token_file, write_file
from mooring.storage.database import Database
from mooring.storage.lock import FolderLock

FACTS_FILE = "gateway.json"
"""Public facts of the running gateway, inside its folder."""

_log = get_logger("gateway")


class GatewayApplication:
    """A running gateway; made by `start`."""

    def __init__(
        self,
        settings: GatewaySettings,
        *,
        stack: AsyncExitStack,
        connections: ConnectionService,
        trust: TrustStore,
        database: Database,
        clock: Clock,
    ) -> None:
        """Hold what runs; use `start`."""
        self.settings = settings
        self.connections = connections
        self.trust = trust
        self._stack = stack
        self._database = database
        self._started_at: datetime = clock.now()
        self._server: ApiServer | None = None

    @classmethod
    async def start(
        cls, settings: GatewaySettings, *, clock: Clock = SYSTEM_CLOCK
    ) -> GatewayApplication:
        """Start the gateway and its connections, and serve REST.

        Raises:
            FolderLocked: Another gateway runs on this state folder.
            DatabaseUnusable: ``gateway.db`` is damaged or of a newer version.
            BindRefused, AddressUnavailable: REST cannot listen there.
        """
        async with AsyncExitStack() as stack:
            folder = ensure_folder(settings.gateway_dir)
            lock = FolderLock.acquire(folder)
            stack.callback(lock.release)
            database = Database.open(
                folder / "gateway.db",
                migrations_package=migrations.__name__,
                synchronous=settings.durability,
            )
            stack.push_async_callback(database.close)
            keystore = Keystore(folder / "keystore")
            trust = TrustStore(folder / "trust")
            configuration = ConfigurationService(
                SqliteConfigurationStore(database, clock), keystore, clock
            )
            await configuration.load()
            connections = ConnectionService(
                configuration,
                keystore=keystore,
                trust_files=trust.files,
                assignments=SqliteAssignmentStore(database),
                attempts=SqliteAttemptStore(database),
                clock=clock,
            )
            stack.push_async_callback(connections.close)
            application = cls(
                settings,
                stack=stack,
                connections=connections,
                trust=trust,
                database=database,
                clock=clock,
            )
            http = build_application(
                connections,
                trust,
                token=token_file(folder / "owner-token"),
                clock=clock,
                info=application.info,
            )
            server = await ApiServer.start(http, host=settings.host, port=settings.port)
            stack.push_async_callback(server.close)
            application._server = server
            # Only a gateway that can be told to stop connects.
            await connections.start()
            write_file(folder / FACTS_FILE, json.dumps(application.facts(), indent=2) + "\n")
            stack.callback((folder / FACTS_FILE).unlink, missing_ok=True)
            # From here on the application owns what was opened.
            application._stack = stack.pop_all()
        _log.info("gateway started", api_url=application.api_url, state=str(settings.state_dir))
        return application

    @property
    def api_url(self) -> str:
        """Return the base URL of the REST interface."""
        assert self._server is not None
        return self._server.origin + BASE_PATH

    @property
    def port(self) -> int:
        """Return the TCP port of the REST interface."""
        assert self._server is not None
        return self._server.port

    def facts(self) -> dict[str, Any]:
        """Return what is public of the running gateway, JSON-ready."""
        return {
            "version": __version__,
            "pid": os.getpid(),
            "api_url": self.api_url,
            "host": self.settings.host,
            "port": self.port,
            "started_at": self._started_at.isoformat(),
        }

    def info(self) -> dict[str, Any]:
        """Return how the gateway is, JSON-ready."""
        storage = self._database.state
        snapshot = self.connections.configuration.snapshot
        running = self.connections.all()
        return {
            **self.facts(),
            "state_dir": str(self.settings.state_dir),
            "storage": {
                "condition": storage.condition.value,
                "reason": storage.reason,
                "remedy": storage.remedy,
            },
            "snapshot_id": None if snapshot is None else snapshot.snapshot_id,
            "trusted_certificates": len(self.trust.entries()),
            "connections": {
                "configured": len(running),
                "connected": sum(
                    connection.status().state is ConnectionState.CONNECTED for connection in running
                ),
            },
        }

    async def close(self) -> None:
        """Disconnect in order, finish requests, and end everything."""
        await self._stack.aclose()
        _log.info("gateway ended")


async def serve(settings: GatewaySettings, stop: asyncio.Event) -> None:
    """Run a gateway until `stop` is set.

    Raises as `GatewayApplication.start`.
    """
    application = await GatewayApplication.start(settings)
    try:
        await stop.wait()
    finally:
        await application.close()
