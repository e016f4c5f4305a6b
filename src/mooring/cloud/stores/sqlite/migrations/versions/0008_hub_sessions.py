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
)


def upgrade() -> None:
    """Change the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
