"""Settings of hubs in SQLite."""

from __future__ import annotations

from mooring.cloud.stores.sqlite.rows import SqliteCommitter


class SettingsTables(SqliteCommitter):
    """The table ``hub_settings``."""

    async def load_settings(self) -> dict[int, str]:
        """Return the documents of all hubs that have one, by hub id."""
        return await self._database.read(
            lambda connection: dict(
                connection.execute("SELECT hub_id, document FROM hub_settings").fetchall()
            )
        )

    async def save_settings(self, hub_id: int, document: str) -> None:
        """Keep the document of a hub."""

        await self._database.write(
            lambda connection: connection.execute(
                "INSERT INTO hub_settings (hub_id, document) VALUES (?, ?)"
                " ON CONFLICT DO UPDATE SET document = excluded.document",
                (hub_id, document),
            )
        )
