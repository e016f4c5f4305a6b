"""DPS's records in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from mooring.cloud.dps.model import AllocationPolicy, LinkedHub, ServiceRecord
from mooring.cloud.preconditions import RecordsFull
from mooring.cloud.stores.sqlite.dps_authorities import AuthorityTables
from mooring.cloud.stores.sqlite.dps_enrollments import EnrollmentTables
from mooring.cloud.stores.sqlite.dps_registrations import RegistrationTables


class SqliteDpsStore(AuthorityTables, EnrollmentTables, RegistrationTables):
    """Adapter of `mooring.cloud.dps.store.DpsStore`."""

    async def open_service(self, new_id_scope: str) -> ServiceRecord:
        """Return the service, giving it `new_id_scope` if it has none yet."""

        def run(connection: sqlite3.Connection) -> ServiceRecord:
            connection.execute(
                "INSERT OR IGNORE INTO dps_service (id, id_scope) VALUES (1, ?)", (new_id_scope,)
            )
            id_scope, policy = connection.execute(
                "SELECT id_scope, allocation_policy FROM dps_service"
            ).fetchone()
            return ServiceRecord(id_scope, AllocationPolicy(policy))

        return await self._database.write(run)

    async def save_default_policy(self, policy: AllocationPolicy) -> None:
        """Write the allocation policy of enrollments that name none."""

        def run(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE dps_service SET allocation_policy = ?", (policy.value,))

        await self._database.write(run)

    async def list_linked_hubs(self) -> Sequence[LinkedHub]:
        """Return all, by host name."""
        rows = self._database.read_now(
            lambda connection: connection.execute(
                "SELECT host_name, allocation_weight, apply_allocation_policy"
                " FROM dps_linked_hub ORDER BY host_name"
            ).fetchall()
        )
        return [LinkedHub(row[0], row[1], bool(row[2])) for row in rows]

    async def save_linked_hub(self, hub: LinkedHub, *, limit: int) -> None:
        """Write one, in place of one of the same name."""

        def run(connection: sqlite3.Connection) -> None:
            others = connection.execute(
                "SELECT count(*) FROM dps_linked_hub WHERE host_name <> ?", (hub.host_name,)
            ).fetchone()[0]
            if others >= limit:
                raise RecordsFull
            connection.execute(
                "INSERT OR REPLACE INTO dps_linked_hub VALUES (?, ?, ?)",
                (hub.host_name, hub.allocation_weight, hub.apply_allocation_policy),
            )

        await self._database.write(run)

    async def delete_linked_hub(self, host_name: str) -> bool:
        """Delete one; return whether there was one."""

        def run(connection: sqlite3.Connection) -> bool:
            return (
                connection.execute(
                    "DELETE FROM dps_linked_hub WHERE host_name = ?", (host_name,)
                ).rowcount
                > 0
            )

        return await self._database.write(run)
