"""Attempt records, admin tokens, shared access policies.

Times are microseconds since 1970-01-01 UTC.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STATEMENTS = (
    # `position` is the order of the last time: an attempt that repeats moves to the front.
    """
    CREATE TABLE attempt (
        identity BLOB NOT NULL UNIQUE,
        position INTEGER NOT NULL,
        kind TEXT NOT NULL,
        registration_key TEXT,
        device_id TEXT,
        thumbprint TEXT,
        source_address TEXT NOT NULL,
        result TEXT NOT NULL,
        count INTEGER NOT NULL,
        first_at INTEGER NOT NULL,
        last_at INTEGER NOT NULL,
        document TEXT NOT NULL,
        wire_ids TEXT NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX attempt_by_position ON attempt (position)",
    "CREATE INDEX attempt_by_address ON attempt (source_address, position)",
    "CREATE INDEX attempt_by_registration ON attempt (registration_key, position)",
    """
    CREATE TABLE admin_token (
        token_id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        digest BLOB NOT NULL,
        created_at INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE access_policy (
        kind TEXT NOT NULL,
        resource TEXT NOT NULL,
        name TEXT NOT NULL,
        rights TEXT NOT NULL,
        primary_key TEXT NOT NULL,
        secondary_key TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        PRIMARY KEY (kind, resource, name)
    ) WITHOUT ROWID
    """,
    # Written to and emptied to find out whether a full disk has space again.
    "CREATE TABLE storage_probe (id INTEGER PRIMARY KEY CHECK (id = 1), filler BLOB NOT NULL)",
)


def upgrade() -> None:
    """Make the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
