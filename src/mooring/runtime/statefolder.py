"""The state folder: everything that Mooring writes, and nothing outside it.

Folders are 0700 and files 0600, whatever the umask. Files are replaced whole (temporary file,
fsync, rename), so that a crash leaves the old text or the new one.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def ensure_folder(path: Path) -> Path:
    """Create `path` (and parents) if missing, closed to others, and return it."""
    # One by one: `parents=True` would leave the parents to the umask, and whoever may write to a
    # parent can put another folder in the place of this one.
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True, mode=0o700)
    path.mkdir(exist_ok=True, mode=0o700)  # refuses a file of that name
    return path


def write_file(path: Path, content: str | bytes) -> None:
    """Replace `path` atomically by `content`, readable and writable by its owner only."""
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def token_file(path: Path) -> str:
    """Return the secret kept in `path`, making a new one of 256 bits if there is none."""
    if path.exists():
        token = path.read_text(errors="replace").strip()
        if token:  # an empty secret would open to nobody
            return token
    token = secrets.token_urlsafe(32)
    write_file(path, token + "\n")
    return token
