"""Run by Alembic."""

from mooring.storage import environment

environment.run()
