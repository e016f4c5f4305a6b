"""Group commit, savepoints, answers after the commit, bounds."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from mooring.storage import writer
from mooring.storage.database import Database
from mooring.storage.errors import QueueFull, StorageClosed
from mooring.storage.state import StorageCondition


def insert(text: str) -> Any:
    return lambda connection: (
        connection.execute("INSERT INTO item (text) VALUES (?)", (text,)).lastrowid
    )


def texts(connection: sqlite3.Connection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT text FROM item ORDER BY id")]


class Gate:
    """Holds the writer thread inside an operation, so that others queue behind it."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self._leave = threading.Event()

    def __call__(self, connection: sqlite3.Connection) -> None:
        self.entered.set()
        assert self._leave.wait(10)

    async def hold(self, database: Database) -> asyncio.Future[None]:
        task = asyncio.ensure_future(database.write(self))
        await asyncio.get_running_loop().run_in_executor(None, self.entered.wait, 10)
        return task

    def open(self) -> None:
        self._leave.set()


async def test_write_when_answered_is_seen_by_every_reader(database: Database) -> None:
    assert await database.write(insert("a")) == 1
    assert database.read_now(texts) == ["a"]
    assert await database.read(texts) == ["a"]
    assert database.state.condition is StorageCondition.OK


async def test_writes_that_queue_while_one_runs_share_one_commit(database: Database) -> None:
    gate = Gate()
    first = await gate.hold(database)
    before = database.commits
    others = [asyncio.ensure_future(database.write(insert(str(n)))) for n in range(100)]
    await asyncio.sleep(0)
    gate.open()
    await asyncio.gather(first, *others)

    assert database.commits == before + 2
    assert len(database.read_now(texts)) == 100


async def test_grouped_writes_wait_and_share_the_commit_of_one_that_does_not(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "GROUP_S", 3600)
    await database.write(insert("first"), grouped=True)
    before = database.commits
    waiting = []
    for text in ("a", "b"):
        waiting.append(asyncio.ensure_future(database.write(insert(text), grouped=True)))
        await asyncio.sleep(0.02)
    assert not any(task.done() for task in waiting)

    await asyncio.wait_for(asyncio.gather(database.write(insert("c")), *waiting), 10)

    assert database.commits == before + 1
    assert database.read_now(texts) == ["first", "a", "b", "c"]


async def test_grouped_writes_are_written_when_their_time_is_over(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "GROUP_S", 0.1)

    for text in ("a", "b"):
        await asyncio.wait_for(database.write(insert(text), grouped=True), 10)

    assert database.read_now(texts) == ["a", "b"]


async def test_a_grouped_write_after_a_pause_is_not_held_up(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "GROUP_S", 0.05)
    await database.write(insert("a"), grouped=True)
    monkeypatch.setattr(writer, "GROUP_S", 3600)
    await asyncio.sleep(0.1)

    await asyncio.wait_for(database.write(insert("b"), grouped=True), 10)

    assert database.read_now(texts) == ["a", "b"]


async def test_close_writes_grouped_ones_that_still_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "GROUP_S", 3600)
    database = Database.open(tmp_path / "a.db", migrations_package="tests.support.migrations")
    await database.write(insert("first"), grouped=True)
    waiting = asyncio.ensure_future(database.write(insert("a"), grouped=True))
    await asyncio.sleep(0)

    await database.close()

    assert await asyncio.wait_for(waiting, 10) == 2


async def test_an_operation_that_fails_undoes_itself_only(database: Database) -> None:
    gate = Gate()
    first = await gate.hold(database)

    def half_done(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO item (text) VALUES ('half')")
        raise ValueError("no")

    writes = [
        database.write(insert("a")),
        database.write(half_done),
        database.write(insert("a")),  # breaks the UNIQUE of the first
        database.write(insert("b")),
    ]
    tasks = [asyncio.ensure_future(write) for write in writes]
    await asyncio.sleep(0)
    gate.open()
    await first
    results = await asyncio.gather(*tasks, return_exceptions=True)

    assert isinstance(results[1], ValueError)
    assert isinstance(results[2], sqlite3.IntegrityError)
    assert database.read_now(texts) == ["a", "b"]
    assert database.state.condition is StorageCondition.OK


async def test_all_of_a_commit_are_answered_by_one_wake_up(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    gate = Gate()
    first = await gate.hold(database)
    calls: list[Any] = []
    original = loop.call_soon_threadsafe

    def counted(callback: Any, *arguments: Any, **keywords: Any) -> Any:
        if threading.current_thread() is not threading.main_thread():
            calls.append(callback)
        return original(callback, *arguments, **keywords)

    answers: list[int] = []
    for n in range(50):
        database.submit(insert(str(n)), lambda result, error: answers.append(result or 0))
    monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
    gate.open()
    await first
    while len(answers) < 50:
        await asyncio.sleep(0.001)

    assert answers == list(range(1, 51))
    assert len(calls) == 2


async def test_a_callback_that_fails_keeps_no_other_waiting(database: Database) -> None:
    answered = asyncio.Event()

    def broken(result: Any, error: BaseException | None) -> None:
        raise RuntimeError("broken callback")

    database.submit(insert("a"), broken)
    database.submit(insert("b"), lambda result, error: answered.set())

    await asyncio.wait_for(answered.wait(), 10)


async def test_a_cancelled_writer_is_not_answered_but_its_write_stays(database: Database) -> None:
    gate = Gate()
    first = await gate.hold(database)
    task = asyncio.ensure_future(database.write(insert("a")))
    await asyncio.sleep(0)
    task.cancel()
    gate.open()
    await first
    await database.write(insert("b"))

    assert database.read_now(texts) == ["a", "b"]


async def test_submit_beyond_the_queues_bounds_is_refused(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "MAX_QUEUED_OPERATIONS", 3)
    monkeypatch.setattr(writer, "MAX_QUEUED_BYTES", 1000)
    gate = Gate()
    first = await gate.hold(database)
    done = []
    database.submit(insert("a"), lambda r, e: done.append(r), size_bytes=900)
    with pytest.raises(QueueFull):
        database.submit(insert("x"), lambda r, e: done.append(r), size_bytes=200)
    database.submit(insert("b"), lambda r, e: done.append(r))
    with pytest.raises(QueueFull) as refused:
        database.submit(insert("x"), lambda r, e: done.append(r))
    gate.open()
    await first

    assert refused.value.code == "storage-overloaded"
    await database.write(insert("c"))
    assert database.read_now(texts) == ["a", "b", "c"]
    assert len(done) == 2


async def test_a_payload_above_the_bound_passes_when_nothing_waits(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "MAX_QUEUED_BYTES", 10)

    assert await database.write(insert("a"), size_bytes=1000) == 1


async def test_close_finishes_what_is_queued_and_answers_it(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "a.db", migrations_package="tests.support.migrations")
    tasks = [asyncio.ensure_future(database.write(insert(str(n)))) for n in range(20)]
    await asyncio.sleep(0)

    await database.close()

    assert await asyncio.gather(*tasks) == list(range(1, 21))
    for call in (database.write(insert("x")), database.read(texts)):
        with pytest.raises(StorageClosed):
            await call
    with pytest.raises(StorageClosed):
        database.read_now(texts)
    await database.close()
    again = Database.open(tmp_path / "a.db", migrations_package="tests.support.migrations")
    assert len(again.read_now(texts)) == 20
    await again.close()


async def test_a_reading_connection_cannot_write(database: Database) -> None:
    with pytest.raises(sqlite3.OperationalError):
        database.read_now(insert("a"))
    with pytest.raises(sqlite3.OperationalError):
        await database.read(insert("a"))
    assert await database.read(texts) == []


async def test_a_long_read_sees_one_moment(database: Database) -> None:
    await database.write(insert("a"))
    read, written = threading.Event(), threading.Event()

    def twice(connection: sqlite3.Connection) -> tuple[int, int]:
        first = len(texts(connection))
        read.set()
        assert written.wait(10)
        return first, len(texts(connection))

    task = asyncio.ensure_future(database.read(twice))
    await asyncio.get_running_loop().run_in_executor(None, read.wait, 10)
    await database.write(insert("b"))
    written.set()

    assert await task == (1, 1)


async def test_the_files_are_closed_to_others(database: Database) -> None:
    await database.write(insert("a"))
    for file in database.path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


@pytest.mark.parametrize(("synchronous", "number"), [("FULL", 2), ("NORMAL", 1)])
async def test_synchronous_is_what_was_asked_for(
    tmp_path: Path, synchronous: Any, number: int
) -> None:
    database = Database.open(
        tmp_path / "a.db", migrations_package="tests.support.migrations", synchronous=synchronous
    )
    seen = await database.write(
        lambda connection: connection.execute("PRAGMA synchronous").fetchone()[0]
    )
    await database.close()

    assert seen == number


async def test_the_log_is_cut_when_a_reader_let_it_grow(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "MAX_WAL_BYTES", 200_000)
    database._writer._wal_limit = 200_000
    wal = database.path.with_name("test.db-wal")
    reading, leave = threading.Event(), threading.Event()

    def hold(connection: sqlite3.Connection) -> None:
        texts(connection)
        reading.set()
        assert leave.wait(10)

    task = asyncio.ensure_future(database.read(hold))
    await asyncio.get_running_loop().run_in_executor(None, reading.wait, 10)
    monkeypatch.setattr("mooring.storage.connections.BUSY_TIMEOUT_MS", 0)
    await database.write(lambda connection: connection.execute("PRAGMA busy_timeout = 1"))
    for n in range(30):
        await database.write(insert(f"{n} " + "x" * 20_000))
    assert wal.stat().st_size > 200_000
    leave.set()
    await task
    for n in range(30, 60):
        await database.write(insert(f"{n} " + "x" * 20_000))

    assert wal.stat().st_size <= 400_000
    assert len(database.read_now(texts)) == 60


def test_a_child_process_inherits_no_descriptor_of_the_lock(tmp_path: Path) -> None:
    from mooring.storage.lock import FolderLock

    lock = FolderLock.acquire(tmp_path)
    assert lock._descriptor is not None
    assert not os.get_inheritable(lock._descriptor)
    lock.release()
