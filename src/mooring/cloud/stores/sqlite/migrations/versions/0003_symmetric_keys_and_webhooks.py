"""Symmetric keys, CA references of individual enrollments, custom allocation, default policy.

A registration by symmetric key has no thumbprint, so that its table is made anew. Operations are
polled for minutes only and their snapshots have no names: those under way are dropped, and the
devices register again.
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE dps_service ADD COLUMN allocation_policy TEXT NOT NULL DEFAULT 'hashed'",
    "ALTER TABLE dps_enrollment ADD COLUMN attestation_type TEXT NOT NULL DEFAULT 'x509'",
    "ALTER TABLE dps_enrollment ADD COLUMN primary_key TEXT",
    "ALTER TABLE dps_enrollment ADD COLUMN secondary_key TEXT",
    "ALTER TABLE dps_enrollment ADD COLUMN primary_reference TEXT",
    "ALTER TABLE dps_enrollment ADD COLUMN secondary_reference TEXT",
    "ALTER TABLE dps_enrollment ADD COLUMN device_information TEXT",
    # Few enrollments refer to a CA: they are found without a walk through all.
    """
    CREATE INDEX dps_enrollment_by_primary_reference
    ON dps_enrollment (lower(primary_reference)) WHERE primary_reference IS NOT NULL
    """,
    """
    CREATE INDEX dps_enrollment_by_secondary_reference
    ON dps_enrollment (lower(secondary_reference)) WHERE secondary_reference IS NOT NULL
    """,
    "ALTER TABLE dps_group ADD COLUMN attestation_type TEXT NOT NULL DEFAULT 'x509'",
    "ALTER TABLE dps_group ADD COLUMN primary_key TEXT",
    "ALTER TABLE dps_group ADD COLUMN secondary_key TEXT",
    # An operation holds its registration as an array, in the order of the columns: what is new
    # there (see below) is appended, so that devices that poll just now get their result.
    """
    UPDATE dps_operation SET registration = json_insert(
        registration, '$[#]', 'x509', '$[#]', json_extract(registration, '$[3]'), '$[#]', NULL
    )
    """,
    """
    CREATE TABLE dps_registration_new (
        registration_key TEXT PRIMARY KEY,
        registration_id TEXT NOT NULL,
        status TEXT NOT NULL,
        substatus TEXT,
        assigned_hub TEXT,
        device_id TEXT,
        enrollment_group_id TEXT,
        group_key TEXT,
        error_code INTEGER,
        error_message TEXT,
        thumbprint TEXT,
        etag TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        attestation_type TEXT NOT NULL,
        initial_hub TEXT,
        payload TEXT
    )
    """,
    # The hub of the first assignment was not kept so far: the present one is the best guess.
    """
    INSERT INTO dps_registration_new
    SELECT registration_key, registration_id, status, substatus, assigned_hub, device_id,
        enrollment_group_id, group_key, error_code, error_message, thumbprint, etag, created_at,
        updated_at, 'x509', assigned_hub, NULL
    FROM dps_registration
    """,
    "DROP TABLE dps_registration",
    "ALTER TABLE dps_registration_new RENAME TO dps_registration",
    """
    CREATE INDEX dps_registration_by_group ON dps_registration (group_key, registration_key)
    WHERE group_key IS NOT NULL
    """,
)


def upgrade() -> None:
    """Change the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
