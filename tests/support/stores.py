"""Every back end behind the store ports; the contract suites run over each.

A further back end joins by one more entry in `BACK_ENDS`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from mooring.cloud.dps.store import DpsStore
from mooring.cloud.hub.store import HubStore
from mooring.cloud.stores.sqlite import MIGRATIONS
from mooring.cloud.stores.sqlite.dps import SqliteDpsStore
from mooring.cloud.stores.sqlite.hub import SqliteHubStore
from mooring.storage.database import Database


@dataclass(frozen=True)
class Stores:
    """The stores of one cloud, over one database."""

    dps: DpsStore
    hub: HubStore
    initial_twin: Callable[[int, str], tuple[str | None, str | None] | None]
    """Tags and desired properties, as JSON, that a device (hub id, device id) was given."""


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncIterator[Stores]:
    database = Database.open(folder / "cloud.db", migrations_package=MIGRATIONS)
    try:
        yield Stores(
            SqliteDpsStore(database),
            SqliteHubStore(database),
            lambda hub_id, device_id: database.read_now(
                lambda connection: connection.execute(
                    "SELECT initial_tags, initial_desired FROM hub_device"
                    " WHERE hub_id = ? AND device_id = ?",
                    (hub_id, device_id),
                ).fetchone()
            ),
        )
    finally:
        await database.close()


BACK_ENDS: dict[str, Callable[[Path], AbstractAsyncContextManager[Stores]]] = {"sqlite": sqlite}
