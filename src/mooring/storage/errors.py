"""Everything that storage raises, named by the fact."""

from __future__ import annotations


class StorageError(Exception):
    """Root of all errors of storage; `code` is stable, `message` and `remedy` for a person."""

    code = "storage-error"

    def __init__(self, message: str, remedy: str) -> None:
        """Hold the facts."""
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class StorageUnavailable(StorageError):
    """The write was not made and nothing may be acknowledged; a later one may succeed."""

    code = "storage-unavailable"


class StorageFull(StorageUnavailable):
    """No space is left on the device, or the quota is used up."""

    code = "storage-full"


class StorageFailed(StorageUnavailable):
    """The device or the file system reports a fault."""

    code = "storage-failed"


class QueueFull(StorageUnavailable):
    """More writes wait than may: the disk is slower than what comes in."""

    code = "storage-overloaded"


class StorageClosed(StorageUnavailable):
    """The database is being closed."""

    code = "storage-closed"


class DatabaseUnusable(StorageError):
    """The file cannot be opened, is damaged, or is no database."""

    code = "database-unusable"


class SchemaTooNew(DatabaseUnusable):
    """The file was written by a newer version of Mooring."""

    code = "database-too-new"


class FolderLocked(StorageError):
    """Another process uses the state folder. `pid` is its id, or None when it is unknown."""

    code = "state-folder-in-use"

    def __init__(self, message: str, remedy: str, *, pid: int | None) -> None:
        """Hold the facts."""
        super().__init__(message, remedy)
        self.pid = pid
