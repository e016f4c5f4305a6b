"""Tags and version of the service, and the policy whose key linked a hub.

Hubs that are linked already were so by the cloud itself.
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE dps_service ADD COLUMN tags TEXT NOT NULL DEFAULT '{}'",
    "ALTER TABLE dps_service ADD COLUMN version INTEGER NOT NULL DEFAULT 1",
    "ALTER TABLE dps_linked_hub ADD COLUMN key_name TEXT DEFAULT 'iothubowner'",
)


def upgrade() -> None:
    """Change the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
