"""State folders of earlier schemas are taken over with what is in them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import alembic.command
import pytest

from mooring.cloud.dps.model import AllocationPolicy, LinkedHub, ServiceRecord
from mooring.cloud.stores.sqlite import MIGRATIONS
from mooring.cloud.stores.sqlite.dps import SqliteDpsStore
from mooring.storage.database import Database


async def make_file(path: Path, revision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a database file as the program of schema `revision` left it."""
    upgrade = alembic.command.upgrade
    with monkeypatch.context() as earlier:
        earlier.setattr(alembic.command, "upgrade", lambda config, _: upgrade(config, revision))
        await Database.open(path, migrations_package=MIGRATIONS).close()


async def test_a_service_from_before_it_had_tags_and_versions_keeps_hubs_and_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cloud.db"
    await make_file(path, "0003", monkeypatch)
    with sqlite3.connect(path) as earlier:
        earlier.execute(
            "INSERT INTO dps_service (id, id_scope, allocation_policy)"
            " VALUES (1, '0ne00000001', 'static')"
        )
        earlier.execute("INSERT INTO dps_linked_hub VALUES ('hub.test', 5, 0)")
    earlier.close()

    database = Database.open(path, migrations_package=MIGRATIONS)
    try:
        service = await SqliteDpsStore(database).open_service("-")
    finally:
        await database.close()

    hub = LinkedHub("hub.test", 5, False, "iothubowner")
    assert service == ServiceRecord("0ne00000001", AllocationPolicy.STATIC, (hub,))
