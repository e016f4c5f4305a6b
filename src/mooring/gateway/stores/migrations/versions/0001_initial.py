"""Connections, snapshots, assignments, attempts."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.execute(
        """
        CREATE TABLE connections (
            pid TEXT PRIMARY KEY,
            factory_pid TEXT NOT NULL,
            created_at TEXT NOT NULL,
            entry_id TEXT,
            tabs TEXT NOT NULL
        ) STRICT
        """
    )
    # AUTOINCREMENT: a number is never used again, even after the newest row was deleted.
    op.execute(
        """
        CREATE TABLE snapshots (
            snapshot_id INTEGER PRIMARY KEY AUTOINCREMENT,
            taken_at TEXT NOT NULL,
            document TEXT NOT NULL
        ) STRICT
        """
    )
    op.execute(
        """
        CREATE TABLE assignments (
            pid TEXT PRIMARY KEY,
            key TEXT NOT NULL,
            assigned_hub TEXT NOT NULL,
            device_id TEXT NOT NULL,
            registered_at TEXT NOT NULL,
            operation_id TEXT NOT NULL
        ) STRICT
        """
    )
    op.execute(
        """
        CREATE TABLE attempts (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            attempt_id TEXT NOT NULL UNIQUE,
            pid TEXT NOT NULL,
            identity TEXT NOT NULL,
            count INTEGER NOT NULL,
            first_at TEXT NOT NULL,
            last_at TEXT NOT NULL,
            document TEXT NOT NULL
        ) STRICT
        """
    )
    op.execute("CREATE INDEX attempts_by_connection ON attempts (pid, seq)")


def downgrade() -> None:
    """Refuse: a state folder is not taken back to an older version."""
    raise NotImplementedError
