"""The cloud's records in one SQLite file.

`MIGRATIONS` is the package of its schema: a change of schema is a new file in
``migrations/versions`` and the new revision in ``migrations.HEAD``.
"""

MIGRATIONS = "mooring.cloud.stores.sqlite.migrations"
