"""DPS's records in SQLite."""

from __future__ import annotations

import json
import sqlite3

from mooring.cloud.dps.model import AllocationPolicy, LinkedHub, ServiceRecord
from mooring.cloud.preconditions import RecordChanged
from mooring.cloud.stores.sqlite.dps_authorities import AuthorityTables
from mooring.cloud.stores.sqlite.dps_enrollments import EnrollmentTables
from mooring.cloud.stores.sqlite.dps_lists import ListTables
from mooring.cloud.stores.sqlite.dps_registrations import RegistrationTables
from mooring.cloud.stores.sqlite.rows import SqliteWork, dump_json


class SqliteDpsStore(AuthorityTables, EnrollmentTables, RegistrationTables, ListTables):
    """Adapter of `mooring.cloud.dps.store.DpsStore`."""

    async def open_service(self, new_id_scope: str) -> ServiceRecord:
        """Return the service, giving it `new_id_scope` if it has none yet."""

        def run(connection: sqlite3.Connection) -> ServiceRecord:
            connection.execute(
                "INSERT OR IGNORE INTO dps_service (id, id_scope) VALUES (1, ?)", (new_id_scope,)
            )
            return _load_service(connection)

        return await self._database.write(run)

    async def load_service(self) -> ServiceRecord:
        """Return the service that `open_service` made."""
        return await self._database.read(_load_service)

    def prepare_service(self, service: ServiceRecord, *, replaces: int) -> SqliteWork[None]:
        """Prepare to write policy, linked hubs, tags and version in place of version `replaces`."""
        hubs = [
            (hub.host_name, hub.allocation_weight, hub.apply_allocation_policy, hub.key_name)
            for hub in service.linked_hubs
        ]

        def run(connection: sqlite3.Connection) -> None:
            changed = connection.execute(
                "UPDATE dps_service SET allocation_policy = ?, tags = ?, version = ?"
                " WHERE version = ?",
                (
                    service.allocation_policy.value,
                    dump_json(service.tags),
                    service.version,
                    replaces,
                ),
            ).rowcount
            if changed != 1:
                raise RecordChanged
            connection.execute("DELETE FROM dps_linked_hub")
            connection.executemany(
                "INSERT INTO dps_linked_hub (host_name, allocation_weight,"
                " apply_allocation_policy, key_name) VALUES (?, ?, ?, ?)",
                hubs,
            )

        return SqliteWork("service", run)


def _load_service(connection: sqlite3.Connection) -> ServiceRecord:
    id_scope, policy, tags, version = connection.execute(
        "SELECT id_scope, allocation_policy, tags, version FROM dps_service"
    ).fetchone()
    hubs = connection.execute(
        "SELECT host_name, allocation_weight, apply_allocation_policy, key_name"
        " FROM dps_linked_hub ORDER BY host_name"
    ).fetchall()
    return ServiceRecord(
        id_scope=id_scope,
        allocation_policy=AllocationPolicy(policy),
        linked_hubs=tuple(
            LinkedHub(host_name, weight, bool(applies), key_name)
            for host_name, weight, applies, key_name in hubs
        ),
        tags=json.loads(tags),
        version=version,
    )
