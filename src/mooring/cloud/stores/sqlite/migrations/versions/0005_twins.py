"""Device twins.

A device has a row in ``hub_twin`` once its twin was first written; until then its twin is made of
``initial_tags`` and ``initial_desired``, as of ``twin_made_at`` or else ``created_at``. Sections
and metadata are JSON texts; ``changes`` counts writes of tags and desired properties (etag).
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # With a rowid: rows may have hundreds of kilobytes, which would spread an index's tree.
    """
    CREATE TABLE hub_twin (
        hub_id INTEGER NOT NULL,
        device_id TEXT NOT NULL,
        version INTEGER NOT NULL,
        changes INTEGER NOT NULL,
        tags TEXT NOT NULL,
        desired TEXT NOT NULL,
        desired_metadata TEXT NOT NULL,
        desired_version INTEGER NOT NULL,
        reported TEXT NOT NULL,
        reported_metadata TEXT NOT NULL,
        reported_version INTEGER NOT NULL,
        PRIMARY KEY (hub_id, device_id)
    )
    """,
    # What changes at a connect stays out of the twin, so that a fleet that names its model costs
    # no second row each.
    "ALTER TABLE hub_device ADD COLUMN model_id TEXT",
    "ALTER TABLE hub_device ADD COLUMN twin_made_at INTEGER",
)


def upgrade() -> None:
    """Change the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
