"""CA certificates of hubs, parents of devices, and an index that counts disabled devices."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    """
    CREATE TABLE hub_certificate (
        hub_id INTEGER NOT NULL REFERENCES hub (hub_id),
        certificate_key TEXT NOT NULL,
        name TEXT NOT NULL,
        der BLOB NOT NULL,
        sha256_thumbprint TEXT NOT NULL,
        verified INTEGER NOT NULL,
        verification_code TEXT,
        code_made_at INTEGER,
        former_codes TEXT NOT NULL,
        etag TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        PRIMARY KEY (hub_id, certificate_key),
        UNIQUE (hub_id, sha256_thumbprint)
    ) WITHOUT ROWID
    """,
    # Of two readings in memory the newer is told by it.
    "ALTER TABLE hub ADD COLUMN certificate_version INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE hub_device ADD COLUMN parent_scope TEXT",
    """
    CREATE INDEX hub_device_disabled ON hub_device (hub_id, device_id) WHERE status = 'disabled'
    """,
)


def upgrade() -> None:
    """Change the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
