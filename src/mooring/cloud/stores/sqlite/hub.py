"""The hubs' records in SQLite."""

from __future__ import annotations

from mooring.cloud.stores.sqlite.hub_registry import RegistryTables
from mooring.cloud.stores.sqlite.hub_sessions import SessionTables
from mooring.cloud.stores.sqlite.hub_telemetry import TelemetryTables
from mooring.cloud.stores.sqlite.hub_twins import TwinTables


class SqliteHubStore(RegistryTables, SessionTables, TelemetryTables, TwinTables):
    """Adapter of `mooring.cloud.hub.store.HubStore`."""
