"""Finds out whether the file can be written again after it could not."""

from __future__ import annotations

import os
import sqlite3

from mooring.storage.database import Database

PROBE_BYTES = 256 * 1024
"""Written to find out: as much as the largest telemetry message, so that a success means one."""


async def probe_storage(database: Database) -> None:
    """Write `PROBE_BYTES` and take them back.

    Raises:
        mooring.storage.errors.StorageUnavailable: Writing still fails.
    """

    def fill(connection: sqlite3.Connection) -> None:
        connection.execute(
            "INSERT OR REPLACE INTO storage_probe (id, filler) VALUES (1, ?)",
            (os.urandom(PROBE_BYTES),),
        )

    def empty(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM storage_probe")

    await database.write(fill, size_bytes=PROBE_BYTES)
    await database.write(empty)
