"""A database with one table, over a migrations package made for the tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mooring.storage.database import Database

MIGRATIONS = "tests.support.migrations"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database.open(tmp_path / "test.db", migrations_package=MIGRATIONS)
    yield opened
    await opened.close()
