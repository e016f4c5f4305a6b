"""Opening a file: new, old, newer than the program, damaged, out of reach."""

from __future__ import annotations

import importlib
import sqlite3
import subprocess
import sys
from pathlib import Path

import alembic.config
import alembic.script
import pytest

from mooring.cloud.stores.sqlite import MIGRATIONS as CLOUD
from mooring.storage.database import Database
from mooring.storage.errors import DatabaseUnusable, SchemaTooNew

TEST = "tests.support.migrations"


def columns(database: Database) -> list[str]:
    return database.read_now(
        lambda connection: [row[1] for row in connection.execute("PRAGMA table_info(item)")]
    )


@pytest.mark.parametrize("package", [CLOUD, TEST])
def test_the_head_constant_is_the_head_of_the_scripts(package: str) -> None:
    module = importlib.import_module(package)
    config = alembic.config.Config()
    assert module.__file__ is not None
    config.set_main_option("script_location", str(Path(module.__file__).parent))

    assert alembic.script.ScriptDirectory.from_config(config).get_heads() == [module.HEAD]


async def test_a_new_file_gets_the_whole_schema(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "a.db", migrations_package=TEST)

    assert columns(database) == ["id", "text", "note"]
    await database.close()


async def test_an_old_file_is_brought_up_to_date_and_keeps_its_rows(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "a.db")
    old.executescript(
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);"
        "INSERT INTO alembic_version VALUES ('0001');"
        "CREATE TABLE item (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);"
        "INSERT INTO item VALUES (1, 'kept');"
    )
    old.close()

    database = Database.open(tmp_path / "a.db", migrations_package=TEST)

    row = database.read_now(lambda c: c.execute("SELECT text, note FROM item").fetchone())
    assert row == ("kept", "")
    await database.close()


def test_an_upgrade_that_fails_leaves_the_old_schema(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "a.db")
    # Says 0000, so that both steps run, the second of which meets a column that is there.
    old.executescript("CREATE TABLE other (id INTEGER); CREATE TABLE item (id, text, note);")
    old.close()

    with pytest.raises(DatabaseUnusable) as refused:
        Database.open(tmp_path / "a.db", migrations_package=TEST)

    assert refused.value.remedy
    left = sqlite3.connect(tmp_path / "a.db")
    names = {row[0] for row in left.execute("SELECT name FROM sqlite_master")}
    left.close()
    assert names == {"other", "item"}


def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    newer = sqlite3.connect(tmp_path / "a.db")
    newer.executescript(
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);"
        "INSERT INTO alembic_version VALUES ('9999');"
    )
    newer.close()

    with pytest.raises(SchemaTooNew) as refused:
        Database.open(tmp_path / "a.db", migrations_package=TEST)

    assert "'9999'" in refused.value.message


def test_what_is_no_database_is_refused_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"no database at all " * 500)

    with pytest.raises(DatabaseUnusable) as refused:
        Database.open(tmp_path / "a.db", migrations_package=TEST)

    assert str(tmp_path / "a.db") in refused.value.message
    assert "backup" in refused.value.remedy


async def test_a_damaged_file_is_refused_with_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    database = Database.open(path, migrations_package=TEST)
    await database.close()
    content = bytearray(path.read_bytes())
    content[100:4096] = b"\xff" * 3996
    path.write_bytes(content)

    with pytest.raises(DatabaseUnusable) as refused:
        Database.open(path, migrations_package=TEST)

    assert "backup" in refused.value.remedy


def test_a_missing_folder_is_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnusable) as refused:
        Database.open(tmp_path / "nowhere" / "a.db", migrations_package=TEST)

    assert "folder exists" in refused.value.remedy


async def test_opening_an_up_to_date_file_imports_no_alembic(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "a.db", migrations_package=CLOUD)
    await database.close()
    script = (
        "import asyncio, sys; from pathlib import Path\n"
        "from mooring.storage.database import Database\n"
        "async def main():\n"
        f"    d = Database.open(Path(sys.argv[1]), migrations_package={CLOUD!r})\n"
        "    await d.close()\n"
        "asyncio.run(main())\n"
        "print(any(name in sys.modules for name in ('alembic', 'sqlalchemy')))\n"
    )

    result = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a.db")],
        capture_output=True,
        text=True,
        check=True,
    )

    assert result.stdout.strip() == "False"
