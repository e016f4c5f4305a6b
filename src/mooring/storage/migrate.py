"""Brings a database file to the schema that this program was written for, by Alembic.

Alembic and SQLAlchemy take a third of a second to import, so they are, only when there is
something to do.
"""

from __future__ import annotations

import importlib
import sqlite3
from pathlib import Path

from mooring.storage.connections import unusable


def stored_revision(connection: sqlite3.Connection) -> str | None:
    """Return the schema revision of the file; None for a new one."""
    known = connection.execute(
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'"
    ).fetchone()
    if known is None:
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def upgrade(connection: sqlite3.Connection, path: Path, migrations_package: str) -> None:
    """Bring the schema behind `connection` up to ``HEAD`` of `migrations_package`.

    All steps are one transaction: the file has the old schema or the new one.

    Raises:
        SchemaTooNew: The file's revision is unknown here.
        DatabaseUnusable: The file is damaged, or has no space to grow.
    """
    package = importlib.import_module(migrations_package)
    try:
        revision = stored_revision(connection)
        if revision == package.HEAD:
            return
        from mooring.storage import alembic_upgrade  # noqa: PLC0415 - slow import, rarely needed

        assert package.__file__ is not None
        alembic_upgrade.run(connection, path, Path(package.__file__).parent, revision)
    except sqlite3.Error as error:
        raise unusable(path, error) from error
