"""The writer thread: drains the queue into one transaction, answers all after its commit.

A commit costs one fdatasync however many operations it carries, so what arrives while one runs
shares the next. A savepoint per operation keeps one's error from undoing its neighbours.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mooring.runtime.logs import get_logger
from mooring.storage import state
from mooring.storage.connections import Synchronous, open_writer
from mooring.storage.errors import QueueFull, StorageClosed, StorageFull, StorageUnavailable
from mooring.storage.faults import is_environmental, unavailable

MAX_QUEUED_OPERATIONS = 20_000
"""Operations that may wait: some seconds of work. More means that the disk cannot follow, and
waiting longer would only make answers too old to be wanted."""

MAX_QUEUED_BYTES = 64 * 1024 * 1024
"""Payload that may wait in memory."""

MAX_BATCH_OPERATIONS = 512
"""Operations in one transaction: bounds how long the first of them waits for its answer."""

MAX_BATCH_BYTES = 4 * 1024 * 1024
"""Payload in one transaction, for the same reason."""

GROUP_S = 0.02
"""Least time between two transactions that were begun for grouped operations alone. A commit costs
some 300 us of CPU whatever it carries, and a fast disk would be given one for each operation; who
comes after a pause is not held up, and whom it holds up waits for a network anyway."""

MAX_WAL_BYTES = 64 * 1024 * 1024
"""Size of the log above which it is moved and cut by force; only readers that hold an old
snapshot let it come to that."""

_log = get_logger("storage.writer")


class Operation(NamedTuple):
    """What to run on the writer's connection, and whom to tell."""

    work: Callable[[sqlite3.Connection], Any]
    done: Callable[[Any, BaseException | None], None]
    size_bytes: int
    grouped: bool = False


class Outcome(NamedTuple):
    """How an operation ended."""

    done: Callable[[Any, BaseException | None], None]
    result: Any
    error: BaseException | None


class Writer:
    """One thread that owns the writing connection. All methods belong to the event loop."""

    def __init__(
        self, connection: sqlite3.Connection, path: Path, synchronous: Synchronous
    ) -> None:
        """Take `connection` over and start the thread."""
        self._connection: sqlite3.Connection | None = connection
        self._path = path
        self._wal_path = path.with_name(path.name + "-wal")
        self._synchronous: Synchronous = synchronous
        self._queue: queue.SimpleQueue[list[Operation] | None] = queue.SimpleQueue()
        self._submitted: list[Operation] = []
        self._queued = 0
        self._queued_bytes = 0
        self._wal_limit = MAX_WAL_BYTES
        self._loop: asyncio.AbstractEventLoop | None = None
        self._hand_over_call: asyncio.Handle | None = None
        self._urgent = False
        self._group_from = 0.0
        self._closing = False
        self._ended = False
        self.state = state.OK
        self.commits = 0
        self._thread = threading.Thread(
            target=self._run, name=f"mooring-writer-{path.name}", daemon=True
        )
        self._thread.start()

    def submit(self, operation: Operation) -> None:
        """Queue `operation`.

        Raises:
            QueueFull: Too many wait, or too many bytes.
            StorageClosed: After `close`.
        """
        if self._closing:
            raise StorageClosed(f"{self._path}: the database is closed.", "Start the program.")
        if self._queued >= MAX_QUEUED_OPERATIONS or (
            self._queued and self._queued_bytes + operation.size_bytes > MAX_QUEUED_BYTES
        ):
            raise QueueFull(
                f"{self._path}: {self._queued} writes of {self._queued_bytes} bytes wait already.",
                "Send less at one time, or use a faster disk.",
            )
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        self._queued += 1
        self._queued_bytes += operation.size_bytes
        self._submitted.append(operation)
        if self._urgent or (operation.grouped and self._hand_over_call is not None):
            return
        if self._hand_over_call is not None:
            self._hand_over_call.cancel()
        self._urgent = not operation.grouped
        wait = self._group_from - self._loop.time() if operation.grouped else 0.0
        # Handed over at the end of this turn of the loop at the earliest, all at once: a thread
        # that is woken for the first of many would fight the loop for the interpreter's lock, and
        # commit it alone.
        if wait > 0:
            self._hand_over_call = self._loop.call_later(wait, self._hand_over)
        else:
            self._hand_over_call = self._loop.call_soon(self._hand_over)

    async def close(self) -> None:
        """Write what is queued, then close the connection."""
        if not self._closing:
            self._closing = True
            self._hand_over()
            self._queue.put(None)
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join)
        # The thread's last answers are callbacks queued on this loop before join returned.
        await asyncio.sleep(0)

    # -- on the event loop ------------------------------------------------------------------

    def _hand_over(self) -> None:
        if self._hand_over_call is not None:
            self._hand_over_call.cancel()
            self._hand_over_call = None
        self._urgent = False
        if self._submitted:
            assert self._loop is not None  # set by the first submit
            self._group_from = self._loop.time() + GROUP_S
            self._queue.put(self._submitted)
            self._submitted = []

    def _answer(self, outcomes: Sequence[Outcome], size_bytes: int) -> None:
        self._queued -= len(outcomes)
        self._queued_bytes -= size_bytes
        for outcome in outcomes:
            try:
                outcome.done(outcome.result, outcome.error)
            except Exception:  # noqa: BLE001 - one caller's fault must not leave others waiting
                _log.exception("callback after a commit failed")

    # -- on the writer thread ---------------------------------------------------------------

    def _run(self) -> None:
        while (submitted := self._next()) is not None:
            for batch in _batches(submitted):
                outcomes = self._commit(batch)
                self._tell(outcomes, sum(operation.size_bytes for operation in batch))
                self._bound_wal()
        if self._connection is not None:
            try:
                self._connection.close()
            except sqlite3.Error as error:
                _log.warning("closing the database failed", error=str(error))

    def _next(self) -> list[Operation] | None:
        """Return all that was handed over, waiting for some; None at the end."""
        if self._ended:
            return None
        submitted = self._queue.get()
        if submitted is None:
            return None
        while len(submitted) < MAX_BATCH_OPERATIONS:
            try:
                more = self._queue.get_nowait()
            except queue.Empty:
                break
            if more is None:
                self._ended = True
                break
            submitted += more
        return submitted

    def _commit(self, batch: Sequence[Operation]) -> list[Outcome]:
        try:
            connection = self._connection or self._reopen()
            connection.execute("BEGIN IMMEDIATE")
            outcomes = [self._attempt(connection, operation) for operation in batch]
            connection.execute("COMMIT")
        except StorageUnavailable as error:
            return self._all_failed(batch, error)
        except BaseException as error:  # noqa: BLE001 - whatever it was, nobody may wait for ever
            return self._all_failed(batch, unavailable(error, str(self._path)))
        self.commits += 1
        if self.state is not state.OK:
            _log.info("writing works again", path=str(self._path))
            self.state = state.OK
        return outcomes

    @staticmethod
    def _attempt(connection: sqlite3.Connection, operation: Operation) -> Outcome:
        connection.execute("SAVEPOINT operation")
        try:
            result = operation.work(connection)
        except Exception as error:
            if is_environmental(error):
                raise
            connection.execute("ROLLBACK TO operation")
            connection.execute("RELEASE operation")
            return Outcome(operation.done, None, error)
        connection.execute("RELEASE operation")
        return Outcome(operation.done, result, None)

    def _all_failed(self, batch: Sequence[Operation], error: StorageUnavailable) -> list[Outcome]:
        full = isinstance(error, StorageFull)
        condition = state.StorageCondition.FULL if full else state.StorageCondition.FAILED
        if self.state.condition is not condition:
            _log.error("writing fails", code=error.code, reason=error.message)
        self.state = state.StorageState(condition, error.message, error.remedy)
        self._roll_back(keep=full)
        return [Outcome(operation.done, None, error) for operation in batch]

    def _roll_back(self, *, keep: bool) -> None:
        """Undo the transaction; after any fault but a full disk begin with a fresh connection."""
        connection = self._connection
        if connection is None:
            return
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if keep:
                return
        except sqlite3.Error as error:
            _log.warning("rolling back failed", error=str(error))
        self._connection = None
        try:
            connection.close()
        except sqlite3.Error as error:
            _log.warning("closing the database failed", error=str(error))

    def _reopen(self) -> sqlite3.Connection:
        try:
            self._connection = open_writer(self._path, self._synchronous)
        except Exception as error:
            cause = error.__cause__ or error
            raise unavailable(cause, str(self._path)) from error
        return self._connection

    def _tell(self, outcomes: list[Outcome], size_bytes: int) -> None:
        assert self._loop is not None  # set by the first submit
        try:
            self._loop.call_soon_threadsafe(self._answer, outcomes, size_bytes)
        except RuntimeError:
            # The loop is closed: nobody is left to be told. What was committed stays.
            _log.debug("event loop gone", operations=len(outcomes))

    def _bound_wal(self) -> None:
        """Move and cut the log once it has outgrown its limit.

        The automatic checkpoint does not wait for readers, and a log that somebody reads cannot
        start again from its beginning.
        """
        try:
            size = self._wal_path.stat().st_size
        except OSError:
            return
        if size <= self._wal_limit or self._connection is None:
            return
        try:
            busy = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.Error as error:
            _log.warning("moving the log failed", error=str(error))
            busy = 1
        # A reader is in the way: do not wait for it again at each commit.
        self._wal_limit = size + MAX_WAL_BYTES // 4 if busy else MAX_WAL_BYTES


def _batches(operations: Sequence[Operation]) -> Iterator[Sequence[Operation]]:
    """Cut `operations` into transactions within the bounds."""
    start = size_bytes = 0
    for position, operation in enumerate(operations):
        size_bytes += operation.size_bytes
        if position + 1 - start >= MAX_BATCH_OPERATIONS or size_bytes >= MAX_BATCH_BYTES:
            yield operations[start : position + 1]
            start, size_bytes = position + 1, 0
    if start < len(operations):
        yield operations[start:]
