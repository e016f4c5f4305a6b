"""MQTT sessions in SQLite."""

from __future__ import annotations

import sqlite3

from mooring.cloud.hub.store import Saved
from mooring.cloud.stores.sqlite.rows import SqliteCommitter


class SessionTables(SqliteCommitter):
    """The table ``hub_session``."""

    def find_session(self, hub_id: int, device_id: str) -> tuple[str, int] | None:
        """Return generation id and subscriptions of a device's kept session, in microseconds."""
        found: tuple[str, int] | None = self._database.read_now(
            lambda connection: connection.execute(
                "SELECT generation_id, subscriptions FROM hub_session"
                " WHERE hub_id = ? AND device_id = ?",
                (hub_id, device_id),
            ).fetchone()
        )
        return found

    def save_session(
        self, hub_id: int, device_id: str, generation_id: str, subscriptions: int, saved: Saved
    ) -> None:
        """Keep a session, if the device is still of that generation; 0 subscriptions drop it."""

        def run(connection: sqlite3.Connection) -> None:
            if not subscriptions:
                delete_session(connection, hub_id, device_id)
                return
            connection.execute(
                "INSERT INTO hub_session (hub_id, device_id, generation_id, subscriptions)"
                " SELECT hub_id, device_id, generation_id, ? FROM hub_device"
                " WHERE hub_id = ? AND device_id = ? AND generation_id = ?"
                " ON CONFLICT DO UPDATE SET generation_id = excluded.generation_id,"
                " subscriptions = excluded.subscriptions",
                (subscriptions, hub_id, device_id, generation_id),
            )

        self._database.submit(run, lambda _result, error: saved(error))

    async def discard_session(self, hub_id: int, device_id: str) -> None:
        """Drop a device's session, if there is one."""
        await self._database.write(lambda connection: delete_session(connection, hub_id, device_id))


def delete_session(connection: sqlite3.Connection, hub_id: int, device_id: str) -> None:
    """Drop a device's session, on the writing connection."""
    connection.execute(
        "DELETE FROM hub_session WHERE hub_id = ? AND device_id = ?", (hub_id, device_id)
    )
