"""Runs Alembic on an open connection; slow to import, so imported only when needed."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import alembic.command
import alembic.config
import alembic.script
import alembic.util
import sqlalchemy
from sqlalchemy.pool import StaticPool

from mooring.storage.connections import unusable
from mooring.storage.errors import SchemaTooNew


def run(connection: sqlite3.Connection, path: Path, scripts: Path, revision: str | None) -> None:
    """Bring the schema from `revision` (None: nothing there) to the newest of `scripts`.

    Raises:
        SchemaTooNew: `revision` is none of `scripts`.
        DatabaseUnusable: A step failed; the file has the old schema.
    """
    config = alembic.config.Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    if revision is not None:
        try:
            alembic.script.ScriptDirectory.from_config(config).get_revision(revision)
        except alembic.util.CommandError as error:
            raise SchemaTooNew(
                f"{path}: its schema {revision!r} is unknown to this version of Mooring.",
                "Install the newer version that wrote the file, or give another state folder.",
            ) from error
    engine = sqlalchemy.create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)
    # The driver leaves transactions to us (isolation_level None): without this, each statement
    # of a migration would be committed by itself.
    sqlalchemy.event.listen(engine, "begin", lambda begun: begun.exec_driver_sql("BEGIN EXCLUSIVE"))
    try:
        with engine.begin() as begun:
            config.attributes["connection"] = begun
            alembic.command.upgrade(config, "head")
    except sqlalchemy.exc.DBAPIError as error:
        raise unusable(path, error.orig or error) from error
