"""State folders of earlier schemas are taken over with what is in them."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import alembic.command
import pytest
from tests.support.clocks import StandingClock
from tests.support.cloudworld import CloudWorld
from tests.support.stores import Stores

from mooring.cloud.dps.model import (
    AllocationPolicy,
    AttestationType,
    CaReferences,
    ClientCertificates,
    EnrollmentTerms,
    InitialTwin,
    LinkedHub,
    ProvisioningStatus,
    ReprovisionPolicy,
    ServiceRecord,
    SigningCertificates,
)
from mooring.cloud.dps.registrations import RegistrationService
from mooring.cloud.preconditions import RecordsFull
from mooring.cloud.stores.sqlite import MIGRATIONS
from mooring.cloud.stores.sqlite.dps import SqliteDpsStore
from mooring.cloud.stores.sqlite.hub import SqliteHubStore
from mooring.protocol.azure.registration_state import RegistrationStatus, RegistrationSubstatus
from mooring.storage.database import Database

VECTORS = Path(__file__).parent.parent / "vectors"
MADE_AT = datetime(2026, 11, 24, 11, 49, 37, tzinfo=UTC)


async def make_file(path: Path, revision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a database file as the program of schema `revision` left it."""
    upgrade = alembic.command.upgrade
    with monkeypatch.context() as earlier:
        earlier.setattr(alembic.command, "upgrade", lambda config, _: upgrade(config, revision))
        await Database.open(path, migrations_package=MIGRATIONS).close()


@pytest.fixture
async def taken_over(tmp_path: Path) -> AsyncIterator[SqliteDpsStore]:
    """Open a file that the program of schema 0002 wrote."""
    path = tmp_path / "cloud.db"
    with sqlite3.connect(path) as earlier:
        earlier.executescript((VECTORS / "databases" / "cloud-0002.sql").read_text())
    earlier.close()
    database = Database.open(path, migrations_package=MIGRATIONS)
    try:
        yield SqliteDpsStore(database)
    finally:
        await database.close()


@pytest.fixture
def written() -> sqlite3.Connection:
    """Return what the program of schema 0002 wrote, to compare with."""
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    connection.executescript((VECTORS / "databases" / "cloud-0002.sql").read_text())
    return connection


def rows(written: sqlite3.Connection, table: str, key: str) -> dict[str, sqlite3.Row]:
    return {row[key]: row for row in written.execute(f"SELECT * FROM {table}")}


async def test_enrollments_of_schema_0002_come_back_whole(
    taken_over: SqliteDpsStore, written: sqlite3.Connection
) -> None:
    found = {}
    for key, row in rows(written, "dps_enrollment", "registration_key").items():
        one = await taken_over.find_enrollment(key)
        assert one is not None
        assert isinstance(one.attestation, ClientCertificates)
        assert (one.registration_id, one.device_id, one.etag) == (
            row["registration_id"],
            row["device_id"],
            row["etag"],
        )
        for slot in ("primary", "secondary"):
            stored = getattr(one.attestation, slot)
            assert (stored and stored.der) == row[f"{slot}_der"]
            assert (stored and stored.sha256_thumbprint) == row[f"{slot}_thumbprint"]
        assert one.created_at == one.updated_at == MADE_AT
        assert one.optional_device_information is None
        found[key] = one

    assert found["edgegw01"].terms == EnrollmentTerms(
        reprovision_policy=ReprovisionPolicy(True, True),
        allocation_policy=AllocationPolicy.STATIC,
        hub_host_names=("localhost",),
        initial_twin=InitialTwin({"rack": 7}, {"speed": 1}),
        iot_edge=True,
    )
    assert found["edgegw03"].terms == EnrollmentTerms(
        provisioning_status=ProvisioningStatus.DISABLED,
        reprovision_policy=ReprovisionPolicy(False, False),
    )
    assert len(found) == 3


async def test_certificates_and_groups_of_schema_0002_come_back_whole(
    taken_over: SqliteDpsStore, written: sqlite3.Connection
) -> None:
    authorities = await taken_over.load_authorities()

    known = rows(written, "dps_certificate", "name")
    assert [record.name for record in authorities.certificates] == ["other", "Top"]
    for record in authorities.certificates:
        row = known[record.name]
        assert record.certificate.der == row["der"]
        assert (record.verified, record.verification_code, record.etag) == (
            bool(row["verified"]),
            row["verification_code"],
            row["etag"],
        )
    other, top = authorities.certificates
    assert top.verified
    assert other.verification_code is not None
    assert len(other.former_codes) == 1
    lines, plant = authorities.groups
    assert (plant.enrollment_group_id, plant.attestation) == (
        "Plant-7",
        CaReferences("Top", "other"),
    )
    assert plant.terms.reprovision_policy == ReprovisionPolicy(True, False)
    assert isinstance(lines.attestation, SigningCertificates)
    assert lines.attestation.primary is not None
    assert lines.terms.provisioning_status is ProvisioningStatus.DISABLED


async def test_registrations_and_operations_of_schema_0002_come_back_whole(
    taken_over: SqliteDpsStore, written: sqlite3.Connection
) -> None:
    operations = rows(written, "dps_operation", "registration_key")
    found = {}
    for key, row in rows(written, "dps_registration", "registration_key").items():
        one = await taken_over.find_registration(key)
        assert one is not None
        for name in (
            "registration_id",
            "status",
            "substatus",
            "assigned_hub",
            "device_id",
            "enrollment_group_id",
            "error_code",
            "error_message",
            "thumbprint",
            "etag",
        ):
            assert getattr(one, name) == row[name]
        assert one.attestation_type is AttestationType.X509
        assert one.initial_hub == row["assigned_hub"]
        assert one.payload is None
        operation = await taken_over.find_operation(operations[key]["operation_id"], key)
        assert operation is not None
        assert operation.registration == one
        found[key] = one

    assert {key: one.status for key, one in found.items()} == {
        "edgegw01": RegistrationStatus.ASSIGNED,
        "edgegw03": RegistrationStatus.DISABLED,
        "edgegw04": RegistrationStatus.FAILED,
        "edgegw05": RegistrationStatus.ASSIGNED,
    }
    page = await RegistrationService(taken_over).list(enrollment_group_id="plant-7")
    assert page.items == (found["edgegw05"],)


async def test_the_service_of_schema_0002_keeps_its_scope_hubs_and_counts(
    taken_over: SqliteDpsStore,
) -> None:
    service = await taken_over.open_service("-")

    assert service.id_scope == "0neE2693E29"
    assert service.allocation_policy is AllocationPolicy.HASHED
    assert [hub.host_name for hub in service.linked_hubs] == ["hub2.test", "localhost"]
    assert service.linked_hubs[0].allocation_weight == 7
    one = await taken_over.find_enrollment("edgegw01")
    assert one is not None
    # Three enrollments are counted: a fourth is beyond three.
    with pytest.raises(RecordsFull):
        await taken_over.save_enrollment(
            replace(one, registration_id="fourth"), replaces=None, limit=3
        )


async def test_a_device_of_schema_0002_registers_on_as_if_nothing_had_been(
    taken_over: SqliteDpsStore,
) -> None:
    database = taken_over._database
    stores = Stores(taken_over, SqliteHubStore(database), lambda _hub, _device: None)
    world = await CloudWorld.open(stores, clock=StandingClock(MADE_AT + timedelta(days=1)))
    former = await world.dps.registrations.get("edgegw01")
    enrollment = await world.dps.enrollments.get("edgegw01")
    assert isinstance(enrollment.attestation, ClientCertificates)
    assert enrollment.attestation.secondary is not None

    operation = await world.register(enrollment.attestation.secondary.load())

    registration = operation.registration
    assert registration.status is RegistrationStatus.ASSIGNED
    assert registration.substatus is RegistrationSubstatus.INITIAL_ASSIGNMENT
    assert registration.device_id == "crane-7"
    assert registration.created_at == former.created_at
    assert registration.updated_at > former.updated_at
    device = await world.hubs.devices.get(world.hub, "crane-7")
    assert (
        device.authentication.primary_thumbprint
        == enrollment.attestation.secondary.sha256_thumbprint
    )
    assert device.iot_edge


async def test_a_service_from_before_it_had_tags_and_versions_keeps_hubs_and_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cloud.db"
    await make_file(path, "0003", monkeypatch)
    with sqlite3.connect(path) as earlier:
        earlier.execute(
            "INSERT INTO dps_service (id, id_scope, allocation_policy)"
            " VALUES (1, '0ne00000001', 'static')"
        )
        earlier.execute("INSERT INTO dps_linked_hub VALUES ('hub.test', 5, 0)")
    earlier.close()

    database = Database.open(path, migrations_package=MIGRATIONS)
    try:
        service = await SqliteDpsStore(database).open_service("-")
    finally:
        await database.close()

    hub = LinkedHub("hub.test", 5, False, "iothubowner")
    assert service == ServiceRecord("0ne00000001", AllocationPolicy.STATIC, (hub,))
