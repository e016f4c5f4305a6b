"""A full disk: nothing is acknowledged, the state is named, and it recovers by itself."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from mooring.storage.database import Database
from mooring.storage.errors import StorageFailed, StorageFull
from mooring.storage.state import StorageCondition

MIGRATIONS = "tests.support.migrations"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
    )
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount a small tmpfs ({mounted.stderr.strip()}); run as root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
async def database(small_disk: Path) -> AsyncIterator[Database]:
    opened = Database.open(small_disk / "a.db", migrations_package=MIGRATIONS)
    yield opened
    await opened.close()


def insert(text: str, size: int = 20_000) -> Any:
    return lambda connection: (
        connection.execute("INSERT INTO item (text) VALUES (?)", (text + " " * size,)).lastrowid
    )


def texts(connection: sqlite3.Connection) -> list[str]:
    return [row[0].strip() for row in connection.execute("SELECT text FROM item ORDER BY id")]


async def fill(database: Database) -> tuple[list[str], StorageFull]:
    """Write until it is refused; return what was acknowledged, and the refusal."""
    acknowledged: list[str] = []
    for n in range(1000):
        try:
            await database.write(insert(str(n)))
        except StorageFull as full:
            return acknowledged, full
        acknowledged.append(str(n))
    pytest.fail("the disk never filled")


async def test_a_full_disk_acknowledges_nothing_and_recovers_without_a_restart(
    database: Database, small_disk: Path
) -> None:
    acknowledged, full = await fill(database)

    assert full.code == "storage-full"
    assert str(database.path) in full.message
    assert "Free some space" in full.remedy
    assert database.state.condition is StorageCondition.FULL
    assert database.state.reason
    assert database.state.remedy
    assert database.read_now(texts) == acknowledged  # reads go on
    with pytest.raises(StorageFull):
        await database.write(insert("still full", 200_000))
    await database.read(texts)

    # Room comes back: the file system grows, as when somebody deletes other files.
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    await database.write(insert("again"))

    assert database.state.condition is StorageCondition.OK
    assert database.read_now(texts) == [*acknowledged, "again"]


async def test_every_operation_of_a_failed_commit_fails(
    database: Database, small_disk: Path
) -> None:
    await database.write(insert("first", 0))
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 4096)

    answers: list[BaseException | None] = []
    for n in range(20):
        database.submit(insert(str(n)), lambda result, error: answers.append(error))
    with pytest.raises(StorageFull):
        await database.write(insert("last"))

    assert len(answers) == 20
    assert all(isinstance(error, StorageFull) for error in answers)
    assert database.read_now(texts) == ["first"]
    ballast.unlink()
    await database.write(insert("after"))
    assert database.read_now(texts) == ["first", "after"]


async def test_what_was_acknowledged_before_the_disk_filled_is_there_after_a_restart(
    small_disk: Path,
) -> None:
    database = Database.open(small_disk / "b.db", migrations_package=MIGRATIONS)
    acknowledged, _ = await fill(database)
    await database.close()
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)

    again = Database.open(small_disk / "b.db", migrations_package=MIGRATIONS)

    assert again.read_now(texts) == acknowledged
    await again.close()


async def test_the_page_limit_counts_as_full_and_recovers(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "a.db", migrations_package=MIGRATIONS)
    await database.write(lambda c: c.execute("PRAGMA max_page_count = 20"))
    await fill(database)
    assert database.state.condition is StorageCondition.FULL
    limit = "PRAGMA max_page_count = 10000"
    await database.write(lambda c: c.execute(limit))

    await database.write(insert("again"))

    assert database.state.condition is StorageCondition.OK
    await database.close()


class Stubborn:
    """A connection whose COMMIT fails as a broken disk's would."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *values: Any) -> Any:
        if statement == "COMMIT":
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            raise error
        return self._connection.execute(statement, *values)


async def test_a_failing_disk_is_named_and_the_next_write_begins_afresh(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "a.db", migrations_package=MIGRATIONS)
    await database.write(insert("first"))
    inner = database._writer._connection
    assert inner is not None
    database._writer._connection = Stubborn(inner)  # type: ignore[assignment]  # stands in

    with pytest.raises(StorageFailed) as failed:
        await database.write(insert("lost"))

    assert failed.value.code == "storage-failed"
    assert database.state.condition is StorageCondition.FAILED
    assert await database.write(insert("second")) == 2
    assert database.state.condition is StorageCondition.OK
    assert database.read_now(texts) == ["first", "second"]
    await database.close()


async def test_a_lock_of_another_program_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database.open(tmp_path / "a.db", migrations_package=MIGRATIONS)
    await database.write(lambda c: c.execute("PRAGMA busy_timeout = 1"))
    monkeypatch.setattr("mooring.storage.connections.BUSY_TIMEOUT_MS", 1)
    shell = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    shell.execute("BEGIN IMMEDIATE")

    with pytest.raises(StorageFailed) as failed:
        await database.write(insert("a"))

    assert "another process" in failed.value.message
    shell.execute("ROLLBACK")
    shell.close()
    await database.write(insert("b"))
    assert database.read_now(texts) == ["b"]
    await database.close()


async def test_a_file_that_vanished_underneath_is_a_named_failure(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "a.db", migrations_package=MIGRATIONS)
    await database.write(insert("a"))
    inner = database._writer._connection
    assert inner is not None
    # As after a failed roll-back: the next write has to open the file, and cannot.
    inner.close()
    database._writer._connection = None
    path = database.path
    gone = path.rename(path.with_name("gone"))
    path.mkdir()

    with pytest.raises(StorageFailed):
        await database.write(insert("b"))

    path.rmdir()
    gone.rename(path)
    await database.write(insert("c"))
    assert database.state.condition is StorageCondition.OK
    await database.close()
