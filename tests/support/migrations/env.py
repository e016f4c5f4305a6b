"""Alembic's entry point."""

from __future__ import annotations

from mooring.storage import environment

environment.run()
