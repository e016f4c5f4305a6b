"""One table."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE)")
