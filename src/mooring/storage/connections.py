"""SQLite connections as Mooring wants them."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Literal

from mooring.storage.errors import DatabaseUnusable
from mooring.storage.faults import DAMAGED_REMEDY, is_damage

Synchronous = Literal["FULL", "NORMAL"]
"""FULL: what was committed survives a power cut. NORMAL: the end of the process, but a power cut
may undo the last commits; the file stays sound either way (SQLite: PRAGMA synchronous, WAL)."""

MIN_SQLITE_VERSION = (3, 35, 0)
"""The first with RETURNING."""

BUSY_TIMEOUT_MS = 5_000
"""How long to wait for a lock of another process, e.g. a backup that copies the file."""

WRITER_CACHE_KIB = 16 * 1024
"""Page cache of the writer: the hot upper levels of the trees of a million devices."""

READER_CACHE_KIB = 4 * 1024
"""Page cache of each reading connection."""

STATEMENT_CACHE = 256
"""Prepared statements kept per connection, more than there are."""

WAL_AUTOCHECKPOINT_PAGES = 4_000
"""Pages (4 KiB) after which the writer moves the log into the file: 16 MiB, so that pages written
often are moved once."""

JOURNAL_SIZE_LIMIT_BYTES = 32 * 1024 * 1024
"""Size to which the log is cut back once it has been moved."""


def open_writer(path: Path, synchronous: Synchronous) -> sqlite3.Connection:
    """Open the one connection that writes.

    Raises:
        DatabaseUnusable: No such folder, no permission, not a database, damaged.
    """
    if sqlite3.sqlite_version_info < MIN_SQLITE_VERSION:
        raise DatabaseUnusable(
            f"SQLite {sqlite3.sqlite_version} is too old; "
            f"{'.'.join(map(str, MIN_SQLITE_VERSION))} is needed.",
            "Use a Python that is built with a newer SQLite.",
        )
    try:
        # Made by us and not by SQLite, so that it is closed to others whatever the umask; the
        # log and the shared-memory file take its permissions.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = _connect(path, WRITER_CACHE_KIB)
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            connection.close()
            raise DatabaseUnusable(
                f"{path}: its file system cannot hold a write-ahead log (got {mode!r}).",
                "Put the state folder on a local disk; network file systems will not do.",
            )
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_AUTOCHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {JOURNAL_SIZE_LIMIT_BYTES}")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except (sqlite3.Error, OSError) as error:
        raise unusable(path, error) from error
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """Open a connection that can only read. Raises DatabaseUnusable."""
    try:
        connection = _connect(path, READER_CACHE_KIB)
        connection.execute("PRAGMA query_only = ON")
    except sqlite3.Error as error:
        raise unusable(path, error) from error
    return connection


def unusable(path: Path, error: BaseException) -> DatabaseUnusable:
    """Return what to tell whoever starts the program."""
    if is_damage(error):
        return DatabaseUnusable(f"{path}: not a sound database ({error}).", DAMAGED_REMEDY)
    return DatabaseUnusable(
        f"{path}: cannot be opened ({error}).",
        "Check that the folder exists, belongs to you, can be written, and has space left.",
    )


def _connect(path: Path, cache_kib: int) -> sqlite3.Connection:
    # Each connection is used by one thread at a time; it may be closed by another.
    connection = sqlite3.connect(
        path,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=STATEMENT_CACHE,
        timeout=BUSY_TIMEOUT_MS / 1000,
    )
    connection.execute(f"PRAGMA cache_size = -{cache_kib}")
    # Savepoints keep undo pages: in memory, or a full /tmp would fail writes elsewhere.
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection
