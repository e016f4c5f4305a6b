"""One SQLite file: writes in groups on one thread, reads on connections of their own."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from mooring.storage.connections import Synchronous, open_reader, open_writer
from mooring.storage.errors import StorageClosed
from mooring.storage.faults import unreadable
from mooring.storage.migrate import upgrade
from mooring.storage.state import StorageState
from mooring.storage.writer import Operation, Writer

READER_THREADS = 2
"""Threads for reads that take longer than a look-up: two long lists at one time."""

T = TypeVar("T")


class Database:
    """An open database. All methods belong to one event loop's thread."""

    def __init__(self, path: Path, connection: sqlite3.Connection, synchronous: Synchronous):
        """Take `connection` over; use `open`."""
        self.path = path
        self._writer = Writer(connection, path, synchronous)
        self._now: sqlite3.Connection | None = None
        self._readers = ThreadPoolExecutor(READER_THREADS, thread_name_prefix="mooring-reader")
        self._local = threading.local()
        self._reader_connections: list[sqlite3.Connection] = []
        self._closed = False

    @classmethod
    def open(
        cls, path: Path, *, migrations_package: str, synchronous: Synchronous = "FULL"
    ) -> Database:
        """Open `path`, making it if it is missing, and bring its schema up to date.

        Args:
            path: The file; its folder must exist. Mode 0600 when made.
            migrations_package: Dotted name of a package of Alembic migrations with a constant
                ``HEAD``, the revision that this program was written for.
            synchronous: When a commit counts as durable.

        Raises:
            DatabaseUnusable: Damaged, not a database, no permission, no space; says what to do.
            SchemaTooNew: Written by a newer version.
        """
        connection = open_writer(path, synchronous)
        try:
            upgrade(connection, path, migrations_package)
        except BaseException:
            connection.close()
            raise
        return cls(path, connection, synchronous)

    @property
    def state(self) -> StorageState:
        """Return whether the last commit succeeded, and if not, why."""
        return self._writer.state

    @property
    def commits(self) -> int:
        """Return how many transactions were committed since `open`."""
        return self._writer.commits

    def submit(
        self,
        work: Callable[[sqlite3.Connection], T],
        done: Callable[[T | None, BaseException | None], None],
        *,
        size_bytes: int = 0,
        grouped: bool = False,
    ) -> None:
        """Run `work` on the writer thread; call `done` on this loop after the commit.

        Args:
            work: Gets the connection inside a transaction and a savepoint; must neither commit
                nor keep the connection. What it raises undoes its own changes only.
            done: Gets the result, or the exception: what `work` raised, or StorageUnavailable
                when the commit failed and nothing of it is on disk.
            size_bytes: Payload that `work` holds in memory, for the bounds of the queue.
            grouped: While many come, wait up to `writer.GROUP_S` for them and share a commit.

        Raises:
            QueueFull: Too much waits already.
            StorageClosed: The database is closed.
        """
        self._writer.submit(Operation(work, done, size_bytes, grouped))

    async def write(
        self,
        work: Callable[[sqlite3.Connection], T],
        *,
        size_bytes: int = 0,
        grouped: bool = False,
    ) -> T:
        """Run `work` on the writer thread and return its result after the commit.

        Raises as `submit`, and what `submit` gives to `done`.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def done(result: Any, error: BaseException | None) -> None:
            if future.cancelled():
                return
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        self.submit(work, done, size_bytes=size_bytes, grouped=grouped)
        return await future

    def read_now(self, look_up: Callable[[sqlite3.Connection], T]) -> T:
        """Run a look-up of microseconds on the calling thread. Sees every answered write.

        Raises:
            StorageFailed: The file cannot be read.
            StorageClosed: The database is closed.
        """
        self._check_open()
        if self._now is None:
            self._now = open_reader(self.path)
        try:
            return look_up(self._now)
        except sqlite3.Error as error:
            failed = unreadable(error, str(self.path))
            if failed is None:
                raise
            raise failed from error

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run `query` on a reader thread, against one snapshot of the database.

        It must fetch all it wants before it returns, and bound how much that is: a snapshot
        that stays open keeps the log from being cut.

        Raises:
            StorageFailed: The file cannot be read.
            StorageClosed: The database is closed.
        """
        self._check_open()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, self._read, query)

    async def close(self) -> None:
        """Finish queued writes, end the threads, close all connections; twice is no fault."""
        if self._closed:
            return
        self._closed = True
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._readers.shutdown)
        for connection in self._reader_connections:
            connection.close()
        self._reader_connections.clear()
        if self._now is not None:
            self._now.close()
            self._now = None
        # Last, so that it is the last connection: SQLite then moves the log into the file.
        await self._writer.close()

    def _check_open(self) -> None:
        if self._closed:
            raise StorageClosed(f"{self.path}: the database is closed.", "Start the program.")

    def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = open_reader(self.path)
            self._reader_connections.append(connection)
        try:
            connection.execute("BEGIN")
            try:
                return query(connection)
            finally:
                connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            failed = unreadable(error, str(self.path))
            if failed is None:
                raise
            raise failed from error
