"""CA certificates of hubs, parents of devices, and an index that counts disabled devices."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    "ALTER TABLE hub_device ADD COLUMN parent_scope TEXT",
    """
    CREATE INDEX hub_device_disabled ON hub_device (hub_id, device_id) WHERE status = 'disabled'
    """,
)


def upgrade() -> None:
    """Change the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
