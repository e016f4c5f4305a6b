"""SQLite behind one writer thread with group commit, and its migrations.

Imports of `sqlite3`, SQLAlchemy and Alembic stay in here and in the ``stores`` packages.
"""
