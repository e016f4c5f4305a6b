"""An individual enrollment decides alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.support import authority
from tests.support.cloudworld import CloudWorld

from mooring.cloud.dps.errors import RegistrationRefused
from mooring.cloud.dps.model import (
    CertificateSlots,
    EnrollmentDraft,
    EnrollmentTerms,
    ProvisioningStatus,
    Slot,
)
from mooring.cloud.hub.model import AuthenticationType, ConnectionState, DeviceStatus
from mooring.pki.certificates import sha256_thumbprint
from mooring.protocol.azure.registration_state import RegistrationStatus, RegistrationSubstatus

ALL_STAGES = ["scope", "identity", "attestation", "enrollment", "allocation", "record"]
DISABLED = EnrollmentTerms(provisioning_status=ProvisioningStatus.DISABLED)


async def test_register_when_enrolled_is_assigned_and_the_hub_has_the_device(
    world: CloudWorld,
) -> None:
    own = authority.root("edgegw01")  # as the guide's individual way: the root is the device
    await world.enroll(own)

    operation = await world.register(own.certificate)

    registration = operation.registration
    assert registration.status is RegistrationStatus.ASSIGNED
    assert registration.substatus is RegistrationSubstatus.INITIAL_ASSIGNMENT
    assert registration.assigned_hub == "localhost"
    assert registration.device_id == "edgegw01"
    assert registration.enrollment_group_id is None
    assert world.failure is None
    assert world.stages == ALL_STAGES
    device = await world.hubs.devices.get(world.hub, "edgegw01")
    thumbprint = sha256_thumbprint(own.certificate)
    assert device.authentication.type is AuthenticationType.SELF_SIGNED
    assert device.authentication.primary_thumbprint == thumbprint
    assert device.authentication.secondary_thumbprint == thumbprint
    assert device.status is DeviceStatus.ENABLED
    assert device.connection_state is ConnectionState.DISCONNECTED
    assert (await world.connect(own.certificate)).identity == device


async def test_register_when_enrolled_gives_an_operation_only_its_device_can_poll(
    world: CloudWorld,
) -> None:
    own = authority.root("edgegw01")
    await world.enroll(own)

    operation = await world.register(own.certificate)

    assert len(operation.operation_id) <= 64
    assert set(operation.operation_id) <= set("0123456789abcdefghijklmnopqrstuvwxyz.-")
    assert await world.dps.get_operation(operation.operation_id, "EdgeGw01") == operation
    record = await world.dps.registrations.get("edgegw01")
    assert record == operation.registration


async def test_register_in_another_spelling_is_the_same_registration(world: CloudWorld) -> None:
    own = authority.device(authority.root(), "EdgeGW01")
    await world.enroll(own, "edgegw01")

    operation = await world.register(own.certificate, registration_id="EDGEGW01")

    assert operation.registration.status is RegistrationStatus.ASSIGNED
    assert (await world.dps.registrations.get("edgegw01")).registration_id == "EDGEGW01"


async def test_register_with_a_device_id_of_its_own_uses_that(world: CloudWorld) -> None:
    own = authority.root("edgegw01")
    await world.enroll(own, device_id="crane-7")

    operation = await world.register(own.certificate)

    assert operation.registration.device_id == "crane-7"
    assert (await world.connect(own.certificate, device_id="crane-7")).identity.device_id == (
        "crane-7"
    )


async def test_register_with_another_certificate_is_refused_although_a_group_would_take_it(
    world: CloudWorld,
) -> None:
    top = authority.root()
    await world.add_ca("top", top)
    await world.add_group("plant", "top")
    await world.enroll(authority.device(top))

    with pytest.raises(RegistrationRefused) as refused:
        await world.register(*authority.device(top).presented_chain)

    assert refused.value.error_code == 401002
    assert refused.value.http_status == 401
    assert refused.value.wire_message == "Invalid certificate."
    assert world.failure == ("attestation", "certificate-not-enrolled")


async def test_register_with_a_root_enrolled_but_its_leaf_presented_is_refused(
    world: CloudWorld,
) -> None:
    top = authority.root("edgegw01")
    await world.enroll(top)

    with pytest.raises(RegistrationRefused):
        await world.register(authority.device(top).certificate)

    assert world.failure == ("attestation", "certificate-not-enrolled")


async def test_register_with_an_expired_certificate_is_refused(world: CloudWorld) -> None:
    own = authority.device(authority.root(), days=5)
    await world.enroll(own)
    world.clock.move(timedelta(days=6))

    with pytest.raises(RegistrationRefused) as refused:
        await world.register(own.certificate)

    assert refused.value.wire_message == "Invalid certificate."
    assert world.failure == ("attestation", "certificate-expired")


async def test_register_when_disabled_is_recorded_and_wins_over_an_enabled_group(
    world: CloudWorld,
) -> None:
    top = authority.root()
    own = authority.device(top)
    await world.add_ca("top", top)
    await world.add_group("plant", "top")
    await world.enroll(own, terms=DISABLED)

    operation = await world.register(*own.presented_chain)

    assert operation.registration.status is RegistrationStatus.DISABLED
    assert operation.registration.assigned_hub is None
    assert world.failure == ("enrollment", "enrollment-disabled")
    assert (await world.dps.registrations.get("edgegw01")).status is RegistrationStatus.DISABLED
    assert not (await world.hubs.devices.list(world.hub)).items


async def test_register_when_disabled_with_another_certificate_learns_nothing(
    world: CloudWorld,
) -> None:
    top = authority.root()
    await world.enroll(authority.device(top), terms=DISABLED)

    with pytest.raises(RegistrationRefused):
        await world.register(authority.device(top).certificate)

    assert world.failure == ("attestation", "certificate-not-enrolled")


async def test_register_with_the_secondary_certificate_moves_the_hubs_thumbprint(
    world: CloudWorld,
) -> None:
    top = authority.root()
    old, new = authority.device(top), authority.device(top)
    await world.enroll(old)
    first = await world.register(old.certificate)
    await world.dps.enrollments.put(
        EnrollmentDraft("edgegw01", CertificateSlots(Slot.KEEP, new.certificate_pem)),
        if_match="*",
    )
    world.clock.move(timedelta(hours=1))

    second = await world.register(new.certificate)

    assert second.registration.created_at == first.registration.created_at
    assert second.registration.updated_at > first.registration.updated_at
    assert second.registration.etag != first.registration.etag
    device = await world.hubs.devices.get(world.hub, "edgegw01")
    assert device.authentication.primary_thumbprint == sha256_thumbprint(new.certificate)
    assert device.authentication.secondary_thumbprint == sha256_thumbprint(new.certificate)


async def test_register_again_with_the_same_certificate_leaves_the_device_as_it_is(
    world: CloudWorld,
) -> None:
    own = authority.root("edgegw01")
    await world.enroll(own)
    await world.register(own.certificate)
    before = await world.hubs.devices.get(world.hub, "edgegw01")

    await world.register(own.certificate)

    assert await world.hubs.devices.get(world.hub, "edgegw01") == before


async def test_register_keeps_a_device_that_was_disabled_in_the_hub_disabled(
    world: CloudWorld,
) -> None:
    top = authority.root()
    own = authority.device(top)
    await world.enroll(own)
    await world.register(own.certificate)
    from mooring.cloud.hub.model import DeviceDraft

    before = await world.hubs.devices.get(world.hub, "edgegw01")
    await world.hubs.devices.put(
        world.hub,
        DeviceDraft("edgegw01", before.authentication, DeviceStatus.DISABLED),
        if_match="*",
    )

    await world.register(own.certificate)

    after = await world.hubs.devices.get(world.hub, "edgegw01")
    assert after.status is DeviceStatus.DISABLED
    assert after.generation_id == before.generation_id


async def test_register_while_the_enrollment_is_being_disabled_decides_anew(
    world: CloudWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = authority.root("edgegw01")
    await world.enroll(own)
    store = world.stores.dps
    commit = store.commit
    raced = False

    async def commit_after_an_admin(*works: object) -> object:
        nonlocal raced
        if not raced:
            raced = True
            former = await world.dps.enrollments.get("edgegw01")
            await world.dps.enrollments.put(
                EnrollmentDraft("edgegw01", CertificateSlots(Slot.KEEP), terms=DISABLED),
                if_match=former.etag,
            )
        return await commit(*works)

    monkeypatch.setattr(store, "commit", commit_after_an_admin)

    operation = await world.register(own.certificate)

    assert operation.registration.status is RegistrationStatus.DISABLED
    assert not (await world.hubs.devices.list(world.hub)).items


async def test_register_after_deletion_of_the_record_is_a_first_registration(
    world: CloudWorld,
) -> None:
    own = authority.root("edgegw01")
    await world.enroll(own)
    first = await world.register(own.certificate)
    former = await world.dps.enrollments.get("edgegw01")
    await world.dps.enrollments.put(
        EnrollmentDraft("edgegw01", CertificateSlots(Slot.KEEP), device_id="crane-7"),
        if_match=former.etag,
    )
    kept = await world.register(own.certificate)
    await world.dps.registrations.delete("edgegw01", if_match=kept.registration.etag)
    world.clock.move(timedelta(hours=1))

    fresh = await world.register(own.certificate)

    assert kept.registration.device_id == "edgegw01"
    assert fresh.registration.device_id == "crane-7"
    assert fresh.registration.created_at > first.registration.created_at
    # Azure: the device of the old id stays in the hub.
    assert [item.device_id for item in (await world.hubs.devices.list(world.hub)).items] == [
        "crane-7",
        "edgegw01",
    ]


async def test_a_registration_as_model_hides_nothing_it_should_and_shows_no_certificate(
    world: CloudWorld,
) -> None:
    own = authority.root("edgegw01")
    await world.enroll(own)

    operation = await world.register(own.certificate)

    changed = replace(operation.registration, status=RegistrationStatus.FAILED)
    assert changed != operation.registration
    assert "BEGIN" not in repr(await world.dps.enrollments.get("edgegw01"))
