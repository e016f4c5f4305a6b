"""Schema of ``gateway.db``, as Alembic migrations."""

HEAD = "0001"
"""The revision that this version of Mooring was written for."""
