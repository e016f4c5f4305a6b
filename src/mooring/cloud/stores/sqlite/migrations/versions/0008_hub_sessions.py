"""Sessions of MQTT, settings and consumer groups of hubs."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE hub_session (
        hub_id INTEGER NOT NULL REFERENCES hub (hub_id),
        device_id TEXT NOT NULL,
        generation_id TEXT NOT NULL,
        subscriptions INTEGER NOT NULL,
        PRIMARY KEY (hub_id, device_id)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE hub_settings (
        hub_id INTEGER PRIMARY KEY REFERENCES hub (hub_id),
        document TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE hub_consumer_group (
        hub_id INTEGER NOT NULL REFERENCES hub (hub_id),
        name_key TEXT NOT NULL,
        name TEXT NOT NULL,
        positions TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        PRIMARY KEY (hub_id, name_key)
    ) WITHOUT ROWID
    """,
)


def upgrade() -> None:
    """Change the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
