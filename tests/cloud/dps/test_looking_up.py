"""A device may ask for its registration record, by the proof it registers with."""

from __future__ import annotations

import pytest
from tests.support import authority
from tests.support.cloudworld import CloudWorld

from mooring.cloud.dps.errors import IdScopeUnknown, RegistrationNotFound, RegistrationRefused
from mooring.cloud.dps.model import (
    CertificateSlots,
    EnrollmentDraft,
    EnrollmentTerms,
    ProvisioningStatus,
    Slot,
)

DISABLED = EnrollmentTerms(provisioning_status=ProvisioningStatus.DISABLED)
STAGES = ["scope", "identity", "attestation", "enrollment", "record"]


async def test_look_up_gives_the_record_and_changes_nothing(world: CloudWorld) -> None:
    own = authority.root("edgegw01")
    await world.enroll(own)
    registered = (await world.register(own.certificate)).registration

    assert await world.look_up(own.certificate, registration_id="EdgeGw01") == registered
    assert world.stages == STAGES
    assert world.failure is None
    assert await world.dps.registrations.get("edgegw01") == registered


async def test_look_up_before_the_first_registration_is_404202(world: CloudWorld) -> None:
    own = authority.root("edgegw01")
    await world.enroll(own)

    with pytest.raises(RegistrationNotFound) as refused:
        await world.look_up(own.certificate)

    assert (refused.value.http_status, refused.value.error_code) == (404, 404202)
    assert world.failure == ("record", "registration-not-found")
    assert not (await world.dps.registrations.list()).items
    assert not (await world.hubs.devices.list(world.hub)).items


async def test_look_up_without_the_proof_learns_nothing(world: CloudWorld) -> None:
    own = authority.root("edgegw01")
    await world.enroll(own)
    await world.register(own.certificate)

    with pytest.raises(RegistrationRefused) as refused:
        await world.look_up(authority.root("edgegw01").certificate)
    assert (refused.value.error_code, refused.value.wire_message) == (
        401002,
        "Invalid certificate.",
    )
    assert world.failure == ("attestation", "certificate-not-enrolled")

    with pytest.raises(IdScopeUnknown):
        await world.look_up(own.certificate, id_scope="0ne00000000")


async def test_look_up_under_a_group_asks_the_group(world: CloudWorld) -> None:
    top = authority.root()
    leaf = authority.device(top)
    await world.add_ca("top", top)
    await world.add_group("plant", "top")
    registered = (await world.register(*leaf.presented_chain)).registration

    assert await world.look_up(*leaf.presented_chain) == registered
    await world.dps.groups.delete("plant")
    with pytest.raises(RegistrationRefused):
        await world.look_up(*leaf.presented_chain)


async def test_look_up_when_disabled_since_still_shows_the_record(world: CloudWorld) -> None:
    own = authority.root("edgegw01")
    await world.enroll(own)
    registered = (await world.register(own.certificate)).registration
    await world.dps.enrollments.put(
        EnrollmentDraft("edgegw01", CertificateSlots(Slot.KEEP), terms=DISABLED), if_match="*"
    )

    assert await world.look_up(own.certificate) == registered
