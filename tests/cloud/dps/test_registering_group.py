"""Without an individual enrollment, the groups along the path decide, nearest first."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.support import authority
from tests.support.certificates import certify, key_of
from tests.support.cloudworld import CloudWorld

from mooring.cloud.dps.errors import RegistrationRefused
from mooring.cloud.dps.model import (
    CaReferences,
    CertificateSlots,
    EnrollmentTerms,
    GroupDraft,
    ProvisioningStatus,
)
from mooring.pki.certificates import sha256_thumbprint
from mooring.pki.plans import Issued
from mooring.protocol.azure.registration_state import RegistrationStatus

DISABLED = EnrollmentTerms(provisioning_status=ProvisioningStatus.DISABLED)
CA_NOT_FOUND = "CA certificate not found."


async def refused(world: CloudWorld, leaf: Issued) -> tuple[str, str, str]:
    with pytest.raises(RegistrationRefused) as caught:
        await world.register(*leaf.presented_chain)
    assert caught.value.error_code == 401002
    assert world.failure is not None
    return (*world.failure, caught.value.wire_message)


async def test_register_under_a_verified_root_is_assigned_by_its_group(world: CloudWorld) -> None:
    top = authority.root()
    await world.add_ca("top", top)
    await world.add_group("Plant-7", "TOP")

    operation = await world.register(*authority.device(top).presented_chain)

    assert operation.registration.status is RegistrationStatus.ASSIGNED
    assert operation.registration.enrollment_group_id == "Plant-7"
    assert operation.registration.device_id == "edgegw01"
    listed = await world.dps.registrations.list(enrollment_group_id="plant-7")
    assert listed.items == (operation.registration,)


async def test_register_with_the_intermediate_sent_is_assigned_by_the_roots_group(
    world: CloudWorld,
) -> None:
    top = authority.root()
    leaf = authority.device(authority.intermediate(top))
    await world.add_ca("top", top)
    await world.add_group("plant", "top")

    operation = await world.register(*leaf.presented_chain)

    assert operation.registration.enrollment_group_id == "plant"


async def test_register_without_its_intermediate_after_it_was_accepted_with_it_is_refused(
    world: CloudWorld,
) -> None:
    top = authority.root()
    leaf = authority.device(authority.intermediate(top))
    await world.add_ca("top", top)
    await world.add_group("plant", "top")
    await world.register(*leaf.presented_chain)

    with pytest.raises(RegistrationRefused) as caught:
        await world.register(leaf.certificate)

    assert caught.value.wire_message == CA_NOT_FOUND
    assert world.failure == ("attestation", "chain-incomplete")


async def test_register_with_a_known_ca_appended_to_an_unknown_leaf_is_refused(
    world: CloudWorld,
) -> None:
    top = authority.root()
    await world.add_ca("top", top)
    await world.add_group("plant", "top")
    forged = authority.device(authority.root("evilroot"))

    with pytest.raises(RegistrationRefused):
        await world.register(forged.certificate, top.certificate)

    assert world.failure == ("attestation", "chain-incomplete")


async def test_register_with_an_unknown_leaf_and_its_own_root_is_refused_as_unknown_ca(
    world: CloudWorld,
) -> None:
    top = authority.root()
    await world.add_ca("top", top)
    await world.add_group("plant", "top")
    evil = authority.root("evilroot")

    with pytest.raises(RegistrationRefused):
        await world.register(authority.device(evil).certificate, evil.certificate)

    assert world.failure == ("attestation", "ca-unknown")


async def test_register_under_a_same_named_ca_with_another_key_is_refused(
    world: CloudWorld,
) -> None:
    top, twin = authority.root(), authority.root()
    await world.add_ca("top", top)
    await world.add_group("plant", "top")

    stage, code, wire = await refused(world, authority.device(twin))

    assert (stage, code) == ("attestation", "bad-signature")
    assert wire == "Invalid certificate."


async def test_register_under_an_unverified_ca_is_refused_with_that_cause(
    world: CloudWorld,
) -> None:
    top = authority.root()
    await world.add_ca("top", top, verified=False)
    await world.add_group("plant", "top")

    assert await refused(world, authority.device(top)) == (
        "enrollment",
        "ca-not-verified",
        CA_NOT_FOUND,
    )


async def test_register_after_proof_of_possession_is_assigned(world: CloudWorld) -> None:
    top = authority.root()
    await world.add_ca("top", top, verified=False)
    await world.add_group("plant", "top")
    coded = await world.dps.certificates.generate_verification_code("top")
    assert coded.verification_code is not None
    proof = authority.verification(coded.verification_code, top)
    await world.dps.certificates.verify("top", proof.certificate_pem)

    operation = await world.register(*authority.device(top).presented_chain)

    assert operation.registration.status is RegistrationStatus.ASSIGNED


async def test_register_with_nothing_enrolled_is_refused(world: CloudWorld) -> None:
    assert await refused(world, authority.device(authority.root())) == (
        "attestation",
        "no-enrollment",
        CA_NOT_FOUND,
    )


async def test_register_under_a_verified_ca_without_a_group_is_refused(world: CloudWorld) -> None:
    top = authority.root()
    await world.add_ca("top", top)

    assert await refused(world, authority.device(top)) == (
        "enrollment",
        "no-enrollment",
        CA_NOT_FOUND,
    )


async def test_register_self_signed_beside_a_group_is_refused(world: CloudWorld) -> None:
    await world.add_ca("top", authority.root())
    await world.add_group("plant", "top")

    assert await refused(world, authority.root("edgegw01")) == (
        "attestation",
        "no-enrollment",
        CA_NOT_FOUND,
    )


async def test_register_with_the_groups_own_ca_as_device_is_refused(world: CloudWorld) -> None:
    top = authority.root("edgegw01")
    await world.add_ca("top", top)
    await world.add_group("plant", "top")

    with pytest.raises(RegistrationRefused):
        await world.register(top.certificate)

    assert world.failure == ("enrollment", "no-enrollment")


async def test_register_under_a_disabled_group_is_recorded_as_disabled(world: CloudWorld) -> None:
    top = authority.root()
    await world.add_ca("top", top)
    await world.add_group("plant", "top", terms=DISABLED)

    operation = await world.register(*authority.device(top).presented_chain)

    assert operation.registration.status is RegistrationStatus.DISABLED
    assert operation.registration.enrollment_group_id == "plant"
    assert world.failure == ("enrollment", "group-disabled")


async def test_a_disabled_group_of_the_intermediate_beats_the_roots_enabled_one(
    world: CloudWorld,
) -> None:
    top = authority.root()
    line = authority.intermediate(top)
    await world.add_ca("top", top)
    await world.add_ca("line", line)
    await world.add_group("a-top", "top")
    await world.add_group("b-line", "line", terms=DISABLED)

    operation = await world.register(*authority.device(line).presented_chain)

    assert operation.registration.status is RegistrationStatus.DISABLED
    assert operation.registration.enrollment_group_id == "b-line"


async def test_of_two_groups_of_one_ca_the_disabled_one_decides(world: CloudWorld) -> None:
    top = authority.root()
    await world.add_ca("top", top)
    await world.add_group("a-enabled", "top")
    await world.add_group("b-disabled", "top", terms=DISABLED)

    operation = await world.register(*authority.device(top).presented_chain)

    assert operation.registration.enrollment_group_id == "b-disabled"
    assert operation.registration.status is RegistrationStatus.DISABLED


async def test_a_disabled_group_of_an_unverified_intermediate_still_blocks(
    world: CloudWorld,
) -> None:
    top = authority.root()
    line = authority.intermediate(top)
    await world.add_ca("top", top)
    await world.add_ca("line", line, verified=False)
    await world.add_group("top-group", "top")
    await world.add_group("line-group", "line", terms=DISABLED)

    stage, code, _ = await refused(world, authority.device(line))

    assert (stage, code) == ("enrollment", "ca-not-verified")


async def test_an_enabled_group_of_an_unverified_intermediate_leaves_it_to_the_root(
    world: CloudWorld,
) -> None:
    top = authority.root()
    line = authority.intermediate(top)
    await world.add_ca("top", top)
    await world.add_ca("line", line, verified=False)
    await world.add_group("top-group", "top")
    await world.add_group("line-group", "line")

    operation = await world.register(*authority.device(line).presented_chain)

    assert operation.registration.enrollment_group_id == "top-group"


async def test_a_verified_intermediate_without_a_group_leaves_it_to_the_root(
    world: CloudWorld,
) -> None:
    top = authority.root()
    line = authority.intermediate(top)
    await world.add_ca("top", top)
    await world.add_ca("line", line)
    await world.add_group("top-group", "top")

    # The intermediate is known here, so the device need not even send it.
    operation = await world.register(authority.device(line).certificate)

    assert operation.registration.enrollment_group_id == "top-group"


async def test_a_signing_certificate_counts_below_a_verified_ca_and_not_alone(
    world: CloudWorld,
) -> None:
    top = authority.root()
    line = authority.intermediate(top)
    await world.dps.groups.put(GroupDraft("line-group", CertificateSlots(line.certificate_pem)))
    leaf = authority.device(line)

    assert await refused(world, leaf) == ("enrollment", "ca-not-verified", CA_NOT_FOUND)
    await world.add_ca("top", top, verified=False)
    assert await refused(world, leaf) == ("enrollment", "ca-not-verified", CA_NOT_FOUND)
    coded = await world.dps.certificates.generate_verification_code("top")
    assert coded.verification_code is not None
    await world.dps.certificates.verify(
        "top", authority.verification(coded.verification_code, top).certificate_pem
    )

    operation = await world.register(leaf.certificate)

    assert operation.registration.enrollment_group_id == "line-group"


async def test_the_secondary_ca_of_a_group_admits_too(world: CloudWorld) -> None:
    old, new = authority.root("oldroot"), authority.root("newroot")
    await world.add_ca("old", old)
    await world.add_ca("new", new)
    await world.add_group("plant", "old", "new")

    operation = await world.register(*authority.device(new).presented_chain)

    assert operation.registration.enrollment_group_id == "plant"


async def test_the_secondary_signing_certificate_of_a_group_admits_too(world: CloudWorld) -> None:
    top = authority.root()
    old, new = authority.intermediate(top, "line a"), authority.intermediate(top, "line b")
    await world.add_ca("top", top)
    await world.dps.groups.put(
        GroupDraft("lines", CertificateSlots(old.certificate_pem, new.certificate_pem))
    )

    operation = await world.register(*authority.device(new).presented_chain)

    assert operation.registration.enrollment_group_id == "lines"


async def test_a_renewed_leaf_moves_the_hubs_thumbprint(world: CloudWorld) -> None:
    top = authority.root()
    await world.add_ca("top", top)
    await world.add_group("plant", "top")
    await world.register(*authority.device(top).presented_chain)
    renewed = authority.device(top)

    await world.register(*renewed.presented_chain)

    device = await world.hubs.devices.get(world.hub, "edgegw01")
    assert device.authentication.primary_thumbprint == sha256_thumbprint(renewed.certificate)
    assert device.authentication.secondary_thumbprint == sha256_thumbprint(renewed.certificate)


async def test_a_disabled_group_of_a_signing_certificate_beats_the_roots_enabled_one(
    world: CloudWorld,
) -> None:
    top = authority.root()
    line = authority.intermediate(top)
    await world.add_ca("top", top)
    await world.add_group("a-top", "top")
    await world.dps.groups.put(
        GroupDraft("b-line", CertificateSlots(line.certificate_pem), DISABLED)
    )

    operation = await world.register(*authority.device(line).presented_chain)

    assert operation.registration.status is RegistrationStatus.DISABLED
    assert operation.registration.enrollment_group_id == "b-line"


async def test_a_reissued_ca_of_the_same_key_counts_once_it_is_uploaded(world: CloudWorld) -> None:
    first = certify("quayroot", key_of("ec"), ca=True)
    reissued = certify("quayroot", key_of("ec"), ca=True)
    leaf = certify("edgegw01", key_of("ec#2"), first)
    await world.add_ca("other", authority.root())
    await world.add_group("others", "other")

    with pytest.raises(RegistrationRefused):
        await world.register(leaf.certificate, reissued.certificate)

    await world.dps.certificates.add("reissued", reissued.pem.decode(), verified=True)
    await world.add_group("plant", "reissued")
    operation = await world.register(leaf.certificate, first.certificate)

    assert operation.registration.enrollment_group_id == "plant"


@pytest.mark.parametrize("path_length", [0, None])
async def test_the_path_length_of_a_ca_counts(world: CloudWorld, path_length: int | None) -> None:
    top = certify("quayroot", key_of("ec"), ca=True, path_length=path_length)
    line = certify("line", key_of("ec#2"), top, ca=True)
    leaf = certify("edgegw01", key_of("ec#3"), line)
    await world.dps.certificates.add("top", top.pem.decode(), verified=True)
    await world.add_group("plant", "top")

    if path_length is None:
        operation = await world.register(leaf.certificate, line.certificate)
        assert operation.registration.enrollment_group_id == "plant"
        return
    with pytest.raises(RegistrationRefused):
        await world.register(leaf.certificate, line.certificate)
    assert world.failure == ("attestation", "path-length-exceeded")


async def test_a_leaf_that_is_no_ca_cannot_issue_devices(world: CloudWorld) -> None:
    top = certify("quayroot", key_of("ec"), ca=True)
    leaf = certify("edgegw02", key_of("ec#2"), top)
    forged = certify("edgegw01", key_of("ec#3"), leaf)
    await world.dps.certificates.add("top", top.pem.decode(), verified=True)
    await world.add_group("plant", "top")

    with pytest.raises(RegistrationRefused):
        await world.register(forged.certificate, leaf.certificate)
    assert world.failure == ("attestation", "issuer-not-ca")


async def test_register_with_an_expired_leaf_is_refused(world: CloudWorld) -> None:
    top = authority.root()
    leaf = authority.device(top, days=5)
    await world.add_ca("top", top)
    await world.add_group("plant", "top")
    await world.register(*leaf.presented_chain)
    world.clock.move(timedelta(days=6))

    assert await refused(world, leaf) == (
        "attestation",
        "certificate-expired",
        "Invalid certificate.",
    )


async def test_a_deleted_group_takes_nobody_and_keeps_its_records(world: CloudWorld) -> None:
    top = authority.root()
    leaf = authority.device(top)
    await world.add_ca("top", top)
    await world.add_group("plant", "top")
    await world.register(*leaf.presented_chain)

    await world.dps.groups.delete("plant")

    _, code, _ = await refused(world, leaf)
    assert code == "no-enrollment"
    assert (await world.dps.registrations.get("edgegw01")).enrollment_group_id == "plant"


async def test_register_while_the_group_is_being_disabled_decides_anew(
    world: CloudWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = authority.root()
    await world.add_ca("top", top)
    await world.add_group("plant", "top")
    store, commit, raced = world.stores.dps, world.stores.dps.commit, False

    async def commit_after_another_node(*works: object) -> object:
        nonlocal raced
        if not raced:
            raced = True
            # Past this process's snapshot, as a second node would.
            group = (await world.dps.groups.list()).items[0]
            from dataclasses import replace

            await store.save_group(
                replace(group, terms=DISABLED, etag="other"), replaces=group.etag, limit=10
            )
        return await commit(*works)

    monkeypatch.setattr(store, "commit", commit_after_another_node)

    operation = await world.register(*authority.device(top).presented_chain)

    assert operation.registration.status is RegistrationStatus.DISABLED


async def test_register_while_an_individual_enrollment_is_being_made_leaves_it_to_that(
    world: CloudWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = authority.root()
    await world.add_ca("top", top)
    await world.add_group("plant", "top")
    store, commit, raced = world.stores.dps, world.stores.dps.commit, False

    async def commit_after_an_admin(*works: object) -> object:
        nonlocal raced
        if not raced:
            raced = True
            await world.enroll(authority.device(top))
        return await commit(*works)

    monkeypatch.setattr(store, "commit", commit_after_an_admin)

    _, code, _ = await refused(world, authority.device(top))

    assert code == "certificate-not-enrolled"


async def test_group_references_survive_a_restart(world: CloudWorld) -> None:
    top = authority.root()
    await world.add_ca("top", top)
    await world.dps.groups.put(GroupDraft("plant", CaReferences(None, "top")))

    again = await CloudWorld.open(world.stores)

    assert again.dps.id_scope == world.dps.id_scope
    operation = await again.register(*authority.device(top).presented_chain)
    assert operation.registration.enrollment_group_id == "plant"
