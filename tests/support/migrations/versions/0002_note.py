"""One more column."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("ALTER TABLE item ADD COLUMN note TEXT NOT NULL DEFAULT ''")
