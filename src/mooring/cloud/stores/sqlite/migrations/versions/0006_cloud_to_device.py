"""Cloud-to-device messages and their feedback. Times are microseconds since 1970-01-01 UTC."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # Outlives the messages, so that no sequence number is given twice.
    """
    CREATE TABLE hub_devicebound_queue (
        hub_id INTEGER NOT NULL,
        device_id TEXT NOT NULL,
        last_sequence_number INTEGER NOT NULL,
        PRIMARY KEY (hub_id, device_id)
    ) WITHOUT ROWID
    """,
    # AUTOINCREMENT: a lock names a message by its key, and must not fit a later one.
    """
    CREATE TABLE hub_devicebound (
        message_key INTEGER PRIMARY KEY AUTOINCREMENT,
        hub_id INTEGER NOT NULL,
        device_id TEXT NOT NULL,
        generation_id TEXT NOT NULL,
        sequence_number INTEGER NOT NULL,
        enqueued_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        delivery_count INTEGER NOT NULL DEFAULT 0,
        ack TEXT NOT NULL,
        message_id TEXT,
        properties TEXT NOT NULL,
        body BLOB NOT NULL
    )
    """,
    # By message_key within a device, as every index ends with it: a queue is read without a sort.
    "CREATE INDEX hub_devicebound_by_device ON hub_devicebound (hub_id, device_id)",
    "CREATE INDEX hub_devicebound_by_expiry ON hub_devicebound (expires_at)",
    # batch_key is the feedback_key of the first record of the message that a record is part of.
    """
    CREATE TABLE hub_feedback (
        feedback_key INTEGER PRIMARY KEY AUTOINCREMENT,
        hub_id INTEGER NOT NULL,
        device_id TEXT NOT NULL,
        generation_id TEXT NOT NULL,
        message_id TEXT,
        status TEXT NOT NULL,
        settled_at INTEGER NOT NULL,
        batch_key INTEGER,
        delivery_count INTEGER NOT NULL DEFAULT 0
    )
    """,
    "CREATE INDEX hub_feedback_by_batch ON hub_feedback (hub_id, batch_key)",
    "CREATE INDEX hub_feedback_by_device ON hub_feedback (hub_id, device_id)",
)


def upgrade() -> None:
    """Change the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
