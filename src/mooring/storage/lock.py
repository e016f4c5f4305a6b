"""One process per state folder: two writers would each hold what the other does not know of."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from mooring.storage.errors import FolderLocked

LOCK_FILE = "lock"


class FolderLock:
    """An exclusive lock on a folder; the kernel drops it when the process ends, however."""

    def __init__(self, descriptor: int) -> None:
        """Hold an open, locked file; use `acquire`."""
        self._descriptor: int | None = descriptor

    @classmethod
    def acquire(cls, folder: Path) -> FolderLock:
        """Lock `folder`, which must exist, for the life of this process or until `release`.

        Raises:
            FolderLocked: Another process holds it; names its process id.
        """
        # Not inherited by child processes (PEP 446), so a forgotten child does not keep it.
        descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            pid = int(text) if text.isdecimal() else None
            raise FolderLocked(
                f"{folder}: in use by another process" + (f" (process id {pid})." if pid else "."),
                "End that process (`mooring down`), or give another folder with --state.",
                pid=pid,
            ) from None
        except BaseException:
            os.close(descriptor)
            raise
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        return cls(descriptor)

    def release(self) -> None:
        """Give the folder free; a second call does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
