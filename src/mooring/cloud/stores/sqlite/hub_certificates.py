"""CA certificates of hubs in SQLite."""

# ruff: noqa: S608 - only column lists are put into statements

from __future__ import annotations

import sqlite3

from mooring.cloud.cacertificates.model import CaCertificate
from mooring.cloud.hub.certificates.store import HubCertificateRecords
from mooring.cloud.preconditions import RecordExists, RecordsFull, check_replaces
from mooring.cloud.stores.sqlite.certificates import CA_COLUMNS, to_ca_certificate, to_ca_columns
from mooring.cloud.stores.sqlite.rows import SqliteCommitter
from mooring.protocol.azure.identifiers import fold_registration_id as fold

_ONE = "WHERE hub_id = ? AND certificate_key = ?"


class HubCertificateTables(SqliteCommitter):
    """The table ``hub_certificate``, and ``hub.certificate_version``."""

    async def load_hub_certificates(self, hub_id: int) -> HubCertificateRecords:
        """Return those of one hub, as of one moment."""

        def query(connection: sqlite3.Connection) -> HubCertificateRecords:
            version = connection.execute(
                "SELECT certificate_version FROM hub WHERE hub_id = ?", (hub_id,)
            ).fetchone()[0]
            rows = connection.execute(
                f"SELECT {CA_COLUMNS} FROM hub_certificate WHERE hub_id = ?"
                " ORDER BY certificate_key",
                (hub_id,),
            ).fetchall()
            return HubCertificateRecords(version, tuple(map(to_ca_certificate, rows)))

        return await self._database.read(query)

    async def save_hub_certificate(
        self, hub_id: int, certificate: CaCertificate, *, replaces: str | None, limit: int
    ) -> None:
        """Write one."""
        key = fold(certificate.name)
        values = (hub_id, key, *to_ca_columns(certificate))

        def run(connection: sqlite3.Connection) -> None:
            check_replaces(_etag(connection, hub_id, key), replaces)
            if replaces is None:
                count = connection.execute(
                    "SELECT count(*) FROM hub_certificate WHERE hub_id = ?", (hub_id,)
                ).fetchone()[0]
                if count >= limit:
                    raise RecordsFull
            connection.execute(f"DELETE FROM hub_certificate {_ONE}", (hub_id, key))
            try:
                connection.execute(
                    f"INSERT INTO hub_certificate (hub_id, certificate_key, {CA_COLUMNS})"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    values,
                )
            except sqlite3.IntegrityError as error:  # the same certificate by another name
                raise RecordExists from error
            _bump(connection, hub_id)

        await self._database.write(run)

    async def delete_hub_certificate(self, hub_id: int, name: str, *, replaces: str) -> None:
        """Delete one."""
        key = fold(name)

        def run(connection: sqlite3.Connection) -> None:
            check_replaces(_etag(connection, hub_id, key), replaces)
            connection.execute(f"DELETE FROM hub_certificate {_ONE}", (hub_id, key))
            _bump(connection, hub_id)

        await self._database.write(run)


def _bump(connection: sqlite3.Connection, hub_id: int) -> None:
    connection.execute(
        "UPDATE hub SET certificate_version = certificate_version + 1 WHERE hub_id = ?", (hub_id,)
    )


def _etag(connection: sqlite3.Connection, hub_id: int, key: str) -> str | None:
    row = connection.execute(f"SELECT etag FROM hub_certificate {_ONE}", (hub_id, key)).fetchone()
    return None if row is None else row[0]
