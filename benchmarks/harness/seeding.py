"""Fills a cloud's state folder before it is served: CA, groups, enrollments, by the cloud itself.

What registers is written by the cloud's own services, with every check. What only makes the tables
large is then copied in SQLite from one of those rows, with another id, thumbprint and etag: a
million of them in seconds.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mooring.cloud.application import CloudApplication
from mooring.cloud.dps.model import CertificateSlots, EnrollmentDraft, GroupDraft
from mooring.cloud.settings import CloudSettings
from mooring.pki.certificates import certificate_der, dump_certificate
from mooring.pki.issuers import Issuer
from mooring.pki.issuing import issue_intermediate, issue_verification
from mooring.pki.keys import KeyAlgorithm
from mooring.pki.names import Subject
from mooring.runtime.logs import configure_logs

AT_ONCE = 500
"""Enrollments written together: they share a commit."""


@dataclass(frozen=True, slots=True)
class Seed:
    """What a cloud is to hold.

    Attributes:
        root: A CA that is uploaded, and verified by a certificate with the code.
        lines: Intermediates below it; each is the signing certificate of a group of its own.
        enrollments: Individual enrollments, certificate (DER) by registration id.
        filler: How many further individual enrollments there are, of devices that never come.
    """

    root: Issuer
    lines: Sequence[Issuer] = ()
    enrollments: Mapping[str, bytes] = field(default_factory=dict)
    filler: int = 0


def make_lines(root: Issuer, count: int) -> list[Issuer]:
    """Return so many intermediate CAs below `root`."""
    now = datetime.now(UTC)
    return [
        issue_intermediate(
            Subject(common_name=f"line{number:03d}", organization="Quay"),
            root,
            now=now,
            algorithm=KeyAlgorithm.EC_P256,
            days=30,
        ).as_issuer()
        for number in range(count)
    ]


def seed_cloud(state: Path, bind: str, seed: Seed) -> str:
    """Fill the folder `state` of a cloud that does not run; return its ID scope."""
    configure_logs(level="warning")
    id_scope = asyncio.run(_seed(state, bind, seed))
    if seed.filler:
        _multiply(_database(state), next(iter(seed.enrollments)), seed.filler)
    return id_scope


def count_rows(state: Path, table: str) -> int:
    """Return how many rows a table of the cloud in `state` has, read from its own file."""
    with closing(sqlite3.connect(f"file:{_database(state)}?mode=ro", uri=True)) as connection:
        (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(count)


def database_bytes(state: Path) -> int:
    """Return the size of the file."""
    return _database(state).stat().st_size


def _database(state: Path) -> Path:
    return state / "cloud" / "cloud.db"


async def _seed(state: Path, bind: str, seed: Seed) -> str:
    cloud = await CloudApplication.start(
        CloudSettings(state_dir=state, bind=(bind,), mqtt_port=0, https_port=0, admin_port=0)
    )
    try:
        dps = cloud.dps
        await dps.certificates.add("root", dump_certificate(seed.root.certificate))
        pending = await dps.certificates.generate_verification_code("root")
        assert pending.verification_code is not None
        proof = issue_verification(pending.verification_code, seed.root, now=datetime.now(UTC))
        await dps.certificates.verify("root", proof.certificate_pem)
        for number, line in enumerate(seed.lines):
            slots = CertificateSlots(certificate_der(line.certificate))
            await dps.groups.put(GroupDraft(f"group-{number:03d}", slots))
        await _in_batches(
            [
                dps.enrollments.put(EnrollmentDraft(name, CertificateSlots(der)))
                for name, der in seed.enrollments.items()
            ]
        )
        return dps.id_scope
    finally:
        await cloud.close()


async def _in_batches(works: Sequence[Coroutine[Any, Any, Any]]) -> None:
    for start in range(0, len(works), AT_ONCE):
        await asyncio.gather(*works[start : start + AT_ONCE])


def _multiply(database: Path, registration_id: str, count: int) -> None:
    """Copy one enrollment `count` times. Ids lie between those of any fleet."""
    made = {
        "registration_key": "printf('edge%07d-spare', number)",
        "registration_id": "printf('edge%07d-spare', number)",
        "primary_thumbprint": "hex(randomblob(32))",
        "etag": "hex(randomblob(8))",
    }
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(dps_enrollment)")]
        values = ", ".join(made.get(column, column) for column in columns)
        connection.execute("BEGIN")
        connection.execute(
            "WITH RECURSIVE numbers (number) AS"
            " (SELECT 0 UNION ALL SELECT number + 1 FROM numbers WHERE number + 1 < ?)"
            f" INSERT INTO dps_enrollment ({', '.join(columns)})"
            f" SELECT {values} FROM numbers"
            " JOIN (SELECT * FROM dps_enrollment WHERE registration_key = ?)",
            (count, registration_id),
        )
        connection.execute(
            "UPDATE dps_service SET enrollment_count = (SELECT count(*) FROM dps_enrollment)"
        )
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
