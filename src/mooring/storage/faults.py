"""Tells SQLite's errors apart: the caller's mistake, a full disk, a failing one, a damaged file."""

from __future__ import annotations

import sqlite3

from mooring.storage.errors import StorageFailed, StorageFull, StorageUnavailable

# Primary result codes after which the whole transaction is lost or worthless, not one statement.
# SQLite: Result and Error Codes.
_ENVIRONMENTAL = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOTADB,
    }
)
# SQLite reports ENOSPC as FULL in most places, but EDQUOT and a shared-memory file that cannot
# grow come as these.
_NO_ROOM = frozenset({sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE})
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

FREE_SPACE_REMEDY = (
    "Free some space on that file system or raise the quota; no restart is needed, "
    "the next write tries again."
)
DAMAGED_REMEDY = (
    "Stop the program, move the file away together with its -wal and -shm files, and put a backup "
    "in its place; without a backup, a start without the file is a factory reset."
)


def primary_code(error: BaseException) -> int:
    """Return SQLite's primary result code of `error`, 0 when it has none."""
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def is_environmental(error: BaseException) -> bool:
    """Return whether `error` is the disk's or the file's fault rather than the statement's."""
    return isinstance(error, sqlite3.Error) and primary_code(error) in _ENVIRONMENTAL


def unreadable(error: sqlite3.Error, path: str) -> StorageFailed | None:
    """Return what to tell readers when `error` is the disk's or the file's fault, else None."""
    # A reading connection that is asked to write is the caller's mistake.
    if not is_environmental(error) or primary_code(error) == sqlite3.SQLITE_READONLY:
        return None
    if is_damage(error):
        return StorageFailed(f"{path}: the database is damaged ({error}).", DAMAGED_REMEDY)
    return StorageFailed(
        f"{path}: cannot be read ({error}).",
        "Look at the system's log for faults of the disk, and at the file's permissions.",
    )


def is_damage(error: BaseException) -> bool:
    """Return whether `error` says that the file is no sound database."""
    return primary_code(error) in _DAMAGED


def unavailable(error: BaseException, path: str) -> StorageUnavailable:
    """Return what to tell callers whose write `error` made impossible."""
    extended = int(getattr(error, "sqlite_errorcode", 0) or 0)
    primary = extended & 0xFF
    if primary == sqlite3.SQLITE_FULL or extended in _NO_ROOM:
        return StorageFull(f"{path}: no space left on its disk ({error}).", FREE_SPACE_REMEDY)
    if primary in _DAMAGED:
        return StorageFailed(f"{path}: the database is damaged ({error}).", DAMAGED_REMEDY)
    if primary in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return StorageFailed(
            f"{path}: another process holds the database locked.",
            "End the other program that has the file open (for instance a database shell).",
        )
    return StorageFailed(
        f"{path}: the disk refuses to write ({error}).",
        "Look at the system's log for faults of the disk, and at the file's permissions; "
        "the next write tries again.",
    )
