"""Schema of the cloud's SQLite file, by Alembic."""

HEAD = "0008"
"""The revision that this program is written for; a test compares it with ``versions``."""
