"""One process per folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mooring.storage.errors import FolderLocked
from mooring.storage.lock import FolderLock

HOLD = """
import sys
from pathlib import Path
from mooring.storage.lock import FolderLock
lock = FolderLock.acquire(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(FolderLocked) as refused:
            FolderLock.acquire(tmp_path)
        assert refused.value.pid == holder.pid
        assert str(holder.pid) in refused.value.message
        assert refused.value.remedy
    finally:
        holder.kill()
        holder.communicate()
    FolderLock.acquire(tmp_path).release()


def test_release_twice_is_no_fault(tmp_path: Path) -> None:
    lock = FolderLock.acquire(tmp_path)
    lock.release()
    lock.release()
    again = FolderLock.acquire(tmp_path)
    with pytest.raises(FolderLocked):
        FolderLock.acquire(tmp_path)
    again.release()
