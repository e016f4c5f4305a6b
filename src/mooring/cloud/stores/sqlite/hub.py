"""The hubs' records in SQLite."""

from __future__ import annotations

from mooring.cloud.stores.sqlite.hub_certificates import HubCertificateTables
from mooring.cloud.stores.sqlite.hub_consumers import ConsumerTables
from mooring.cloud.stores.sqlite.hub_devicebound import DeviceboundTables
from mooring.cloud.stores.sqlite.hub_feedback import FeedbackTables
from mooring.cloud.stores.sqlite.hub_registry import RegistryTables
from mooring.cloud.stores.sqlite.hub_sessions import SessionTables
from mooring.cloud.stores.sqlite.hub_settings import SettingsTables
from mooring.cloud.stores.sqlite.hub_telemetry import TelemetryTables
from mooring.cloud.stores.sqlite.hub_twins import TwinTables


class SqliteHubStore(
    ConsumerTables,
    DeviceboundTables,
    FeedbackTables,
    HubCertificateTables,
    RegistryTables,
    SessionTables,
    SettingsTables,
    TelemetryTables,
    TwinTables,
):
    """Adapter of `mooring.cloud.hub.store.HubStore`."""
