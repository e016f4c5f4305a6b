"""What the ``env.py`` of every migrations package does. Imported by Alembic only."""

from __future__ import annotations

from alembic import context


def run() -> None:
    """Run migrations on the connection that `mooring.storage.migrate` opened."""
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=None,
        # SQLite rolls schema changes back like any other; Alembic assumes it does not.
        transactional_ddl=True,
    )
    context.run_migrations()
