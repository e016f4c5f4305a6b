"""An individual enrollment may name uploaded CAs instead of the device's own certificate."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support import authority
from tests.support.cloudworld import CloudWorld

from mooring.cloud.dps.errors import CertificateInUse, RegistrationRefused
from mooring.cloud.dps.model import (
    CaReferences,
    EnrollmentDraft,
    EnrollmentTerms,
    ProvisioningStatus,
)
from mooring.pki.certificates import Certificate, sha256_thumbprint
from mooring.pki.plans import Issued
from mooring.protocol.azure.registration_state import RegistrationStatus

DISABLED = EnrollmentTerms(provisioning_status=ProvisioningStatus.DISABLED)


async def enroll(world: CloudWorld, *names: str, terms: EnrollmentTerms | None = None) -> None:
    await world.dps.enrollments.put(
        EnrollmentDraft("edgegw01", CaReferences(*names), terms=terms or EnrollmentTerms())
    )


async def refused(world: CloudWorld, *presented: Certificate) -> tuple[str, str]:
    with pytest.raises(RegistrationRefused) as caught:
        await world.register(*presented)
    assert caught.value.error_code == 401002
    assert world.failure is not None
    return world.failure


@pytest.fixture
async def top(world: CloudWorld) -> Issued:
    issued = authority.root()
    await world.add_ca("top", issued)
    return issued


async def test_any_leaf_under_the_ca_with_the_right_name_is_assigned(
    world: CloudWorld, top: Issued
) -> None:
    await enroll(world, "TOP")
    first, renewed = authority.device(top), authority.device(authority.intermediate(top))

    operation = await world.register(*first.presented_chain)
    await world.register(*renewed.presented_chain)

    assert operation.registration.status is RegistrationStatus.ASSIGNED
    assert operation.registration.enrollment_group_id is None
    device = await world.hubs.devices.get(world.hub, "edgegw01")
    assert device.authentication.primary_thumbprint == sha256_thumbprint(renewed.certificate)


async def test_the_secondary_ca_admits_too(world: CloudWorld, top: Issued) -> None:
    new = authority.root("newroot")
    await world.add_ca("new", new)
    await enroll(world, "top", "new")

    operation = await world.register(*authority.device(new).presented_chain)

    assert operation.registration.status is RegistrationStatus.ASSIGNED


async def test_a_leaf_of_another_device_is_refused(world: CloudWorld, top: Issued) -> None:
    await enroll(world, "top")

    other = authority.device(top, "edgegw02")

    assert await refused(world, *other.presented_chain) == (
        "identity",
        "common-name-not-registration-id",
    )


async def test_a_leaf_under_another_known_ca_is_refused_although_a_group_would_take_it(
    world: CloudWorld, top: Issued
) -> None:
    other = authority.root("otherroot")
    await world.add_ca("other", other)
    await world.add_group("plant", "other")
    await enroll(world, "top")

    assert await refused(world, *authority.device(other).presented_chain) == (
        "attestation",
        "certificate-not-enrolled",
    )


async def test_a_leaf_under_an_unknown_ca_is_refused(world: CloudWorld, top: Issued) -> None:
    await enroll(world, "top")
    evil = authority.root("evilroot")
    leaf = authority.device(evil)

    assert await refused(world, leaf.certificate) == ("attestation", "chain-incomplete")
    assert await refused(world, leaf.certificate, evil.certificate) == (
        "attestation",
        "ca-unknown",
    )
    assert world.last_attempt is not None
    assert world.last_attempt.failure is not None
    assert "asks for a certificate under CA 'top'" in world.last_attempt.failure.cause


async def test_an_intermediate_above_is_not_enough_when_the_one_below_is_named(
    world: CloudWorld, top: Issued
) -> None:
    line = authority.intermediate(top)
    await world.add_ca("line", line)
    await enroll(world, "line")

    assert await refused(world, *authority.device(top).presented_chain) == (
        "attestation",
        "certificate-not-enrolled",
    )
    operation = await world.register(*authority.device(line).presented_chain)
    assert operation.registration.status is RegistrationStatus.ASSIGNED


async def test_an_unverified_ca_admits_nobody_until_it_is_verified(world: CloudWorld) -> None:
    top = authority.root()
    await world.add_ca("top", top, verified=False)
    await enroll(world, "top")
    leaf = authority.device(top)

    assert await refused(world, *leaf.presented_chain) == ("attestation", "ca-not-verified")
    coded = await world.dps.certificates.generate_verification_code("top")
    assert coded.verification_code is not None
    proof = authority.verification(coded.verification_code, top)
    await world.dps.certificates.verify("top", proof.certificate_pem)
    operation = await world.register(*leaf.presented_chain)
    assert operation.registration.status is RegistrationStatus.ASSIGNED


async def test_the_ca_itself_is_no_device(world: CloudWorld) -> None:
    top = authority.root("edgegw01")
    await world.add_ca("top", top)
    await enroll(world, "top")

    assert await refused(world, top.certificate) == ("attestation", "certificate-not-enrolled")


async def test_a_disabled_one_is_recorded_as_disabled(world: CloudWorld, top: Issued) -> None:
    await enroll(world, "top", terms=DISABLED)

    operation = await world.register(*authority.device(top).presented_chain)

    assert operation.registration.status is RegistrationStatus.DISABLED


async def test_a_referenced_ca_cannot_be_deleted(world: CloudWorld, top: Issued) -> None:
    await enroll(world, "top")

    with pytest.raises(CertificateInUse) as refused:
        await world.dps.certificates.delete("top")

    assert "individual enrollment 'edgegw01'" in refused.value.message


async def test_register_while_the_ca_is_being_unverified_decides_anew(
    world: CloudWorld, top: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    await enroll(world, "top")
    store, commit, raced = world.stores.dps, world.stores.dps.commit, False

    async def commit_after_an_admin(*works: object) -> object:
        nonlocal raced
        if not raced:
            raced = True
            # Past this process's snapshot, as a second node would.
            record = await world.dps.certificates.get("top")
            await store.save_certificate(
                replace(record, verified=False, etag="other"), replaces=record.etag, limit=10
            )
        return await commit(*works)

    monkeypatch.setattr(store, "commit", commit_after_an_admin)

    assert await refused(world, *authority.device(top).presented_chain) == (
        "attestation",
        "ca-not-verified",
    )
