"""Provisioning service, hubs, devices, telemetry log.

Times are microseconds since 1970-01-01 UTC, except in telemetry, where milliseconds are kept
(Event Hubs' own precision). ``*_key`` columns hold ids folded to lower case.
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    # One row. The counts spare a walk through a million rows at each insertion.
    """
    CREATE TABLE dps_service (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        id_scope TEXT NOT NULL,
        authority_version INTEGER NOT NULL DEFAULT 0,
        enrollment_count INTEGER NOT NULL DEFAULT 0,
        registration_count INTEGER NOT NULL DEFAULT 0
    )
    """,
    """
    CREATE TABLE dps_certificate (
        certificate_key TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        der BLOB NOT NULL,
        sha256_thumbprint TEXT NOT NULL UNIQUE,
        verified INTEGER NOT NULL,
        verification_code TEXT,
        code_made_at INTEGER,
        former_codes TEXT NOT NULL,
        etag TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL
    )
    """,
    """
    CREATE TABLE dps_enrollment (
        registration_key TEXT PRIMARY KEY,
        registration_id TEXT NOT NULL,
        device_id TEXT,
        primary_thumbprint TEXT,
        secondary_thumbprint TEXT,
        provisioning_status TEXT NOT NULL,
        allocation_policy TEXT,
        terms TEXT NOT NULL,
        etag TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        primary_der BLOB,
        secondary_der BLOB
    )
    """,
    """
    CREATE TABLE dps_group (
        group_key TEXT PRIMARY KEY,
        enrollment_group_id TEXT NOT NULL,
        primary_reference TEXT,
        secondary_reference TEXT,
        primary_der BLOB,
        secondary_der BLOB,
        provisioning_status TEXT NOT NULL,
        allocation_policy TEXT,
        terms TEXT NOT NULL,
        etag TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL
    )
    """,
    """
    CREATE TABLE dps_registration (
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
        thumbprint TEXT NOT NULL,
        etag TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL
    )
    """,
    """
    CREATE INDEX dps_registration_by_group ON dps_registration (group_key, registration_key)
    WHERE group_key IS NOT NULL
    """,
    """
    CREATE TABLE dps_operation (
        id INTEGER PRIMARY KEY,
        operation_id TEXT NOT NULL UNIQUE,
        registration_key TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        registration TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE dps_linked_hub (
        host_name TEXT PRIMARY KEY,
        allocation_weight INTEGER NOT NULL,
        apply_allocation_policy INTEGER NOT NULL
    )
    """,
    """
    CREATE TABLE hub (
        hub_id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL,
        name_key TEXT NOT NULL UNIQUE,
        host_name TEXT NOT NULL,
        host_name_key TEXT NOT NULL UNIQUE,
        partition_count INTEGER NOT NULL,
        device_count INTEGER NOT NULL DEFAULT 0,
        created_at INTEGER NOT NULL
    )
    """,
    """
    CREATE TABLE hub_device (
        hub_id INTEGER NOT NULL REFERENCES hub (hub_id),
        device_id TEXT NOT NULL,
        generation_id TEXT NOT NULL,
        etag TEXT NOT NULL,
        status TEXT NOT NULL,
        status_reason TEXT,
        status_updated_at INTEGER,
        authentication_type TEXT NOT NULL,
        primary_thumbprint TEXT,
        secondary_thumbprint TEXT,
        primary_key TEXT,
        secondary_key TEXT,
        iot_edge INTEGER NOT NULL,
        connection_state TEXT NOT NULL,
        connection_state_updated_at INTEGER,
        last_activity_at INTEGER,
        created_at INTEGER NOT NULL,
        initial_tags TEXT,
        initial_desired TEXT,
        PRIMARY KEY (hub_id, device_id)
    ) WITHOUT ROWID
    """,
    """
    CREATE INDEX hub_device_connected ON hub_device (hub_id, device_id)
    WHERE connection_state = 'Connected'
    """,
    # first_* is where the log begins when retention has emptied it: numbers are not reused.
    """
    CREATE TABLE hub_partition (
        log_id INTEGER PRIMARY KEY,
        hub_id INTEGER NOT NULL REFERENCES hub (hub_id),
        number INTEGER NOT NULL,
        first_sequence_number INTEGER NOT NULL DEFAULT 0,
        first_offset INTEGER NOT NULL DEFAULT 0,
        last_enqueued_ms INTEGER NOT NULL DEFAULT 0,
        UNIQUE (hub_id, number)
    )
    """,
    # id = log_id * 2^40 + sequence number: each partition is one run of the tree, appended at its
    # end, and a position in it is found without an index.
    """
    CREATE TABLE hub_telemetry (
        id INTEGER PRIMARY KEY,
        offset INTEGER NOT NULL,
        enqueued_ms INTEGER NOT NULL,
        device_id TEXT NOT NULL,
        origin TEXT NOT NULL,
        properties TEXT NOT NULL,
        body BLOB NOT NULL
    )
    """,
)


def upgrade() -> None:
    """Make the tables."""
    for statement in TABLES:
        op.execute(statement)
