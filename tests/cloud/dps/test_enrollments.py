"""Individual enrollments, groups and linked hubs, as records."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support import authority
from tests.support.cloudworld import CloudWorld

from mooring.cloud.dps.authorities import AuthorityCache
from mooring.cloud.dps.enrollments import EnrollmentService
from mooring.cloud.dps.errors import (
    AlreadyExists,
    DpsError,
    EtagMismatch,
    InputInvalid,
    LimitReached,
    NotFound,
    RegistrationNotFound,
)
from mooring.cloud.dps.model import (
    AllocationPolicy,
    CaReferences,
    CertificateSlots,
    EnrollmentDraft,
    EnrollmentTerms,
    GroupDraft,
    InitialTwin,
    LinkedHub,
    ProvisioningStatus,
    ReprovisionPolicy,
    Slot,
)
from mooring.pki.plans import Issued

TERMS = EnrollmentTerms(
    provisioning_status=ProvisioningStatus.DISABLED,
    reprovision_policy=ReprovisionPolicy(True, False),
    allocation_policy=AllocationPolicy.STATIC,
    hub_host_names=("localhost",),
    initial_twin=InitialTwin({"site": "quay"}, {"rate": 5, "deep": {"ä": [1, None]}}),
    iot_edge=True,
)


@pytest.fixture(scope="module")
def own() -> Issued:
    return authority.root("edgegw01")


def draft(own: Issued, registration_id: str = "edgegw01") -> EnrollmentDraft:
    return EnrollmentDraft(registration_id, CertificateSlots(own.certificate_pem))


async def test_put_and_get_give_all_that_was_given(world: CloudWorld, own: Issued) -> None:
    other = authority.root("edgegw02")
    put = await world.dps.enrollments.put(
        EnrollmentDraft(
            "EdgeGW01",
            CertificateSlots(own.certificate_pem, other.certificate_pem),
            device_id="crane-7",
            terms=TERMS,
        )
    )

    assert put.terms == TERMS
    assert put.attestation.primary is not None
    assert put.attestation.primary.describe().subject_name == "CN=edgegw01, O=Quay"
    assert put.attestation.secondary is not None
    assert await world.dps.enrollments.get("edgegw01") == put
    assert put.registration_id == "EdgeGW01"


async def test_put_again_follows_if_match(world: CloudWorld, own: Issued) -> None:
    first = await world.dps.enrollments.put(draft(own))

    with pytest.raises(AlreadyExists) as exists:
        await world.dps.enrollments.put(draft(own, "EDGEGW01"))
    assert (exists.value.http_status, exists.value.error_code) == (409, 409201)
    with pytest.raises(EtagMismatch) as stale:
        await world.dps.enrollments.put(draft(own), if_match='"stale"')
    assert stale.value.http_status == 412
    world.clock.move(timedelta(seconds=5))
    second = await world.dps.enrollments.put(draft(own, "EDGEGW01"), if_match="*")
    third = await world.dps.enrollments.put(draft(own), if_match=f'W/"{second.etag}"')

    assert second.created_at == first.created_at
    assert second.updated_at > first.updated_at
    assert len({first.etag, second.etag, third.etag}) == 3
    assert third.registration_id == "edgegw01"


async def test_put_with_if_match_where_nothing_is_is_412(world: CloudWorld, own: Issued) -> None:
    for if_match in ("*", "abc"):
        with pytest.raises(EtagMismatch):
            await world.dps.enrollments.put(draft(own), if_match=if_match)


async def test_put_without_the_certificates_text_keeps_the_stored_one(
    world: CloudWorld, own: Issued
) -> None:
    first = await world.dps.enrollments.put(draft(own))

    second = await world.dps.enrollments.put(
        EnrollmentDraft("edgegw01", CertificateSlots(Slot.KEEP), terms=TERMS), if_match=first.etag
    )

    assert second.attestation == first.attestation
    with pytest.raises(InputInvalid) as refused:
        await world.dps.enrollments.put(
            EnrollmentDraft("edgegw01", CertificateSlots(Slot.KEEP, Slot.KEEP)),
            if_match=second.etag,
        )
    assert refused.value.field == "attestation.x509.clientCertificates.secondary"


@pytest.mark.parametrize(
    ("fields", "field", "code"),
    [
        ({"registration_id": "a b"}, "registrationId", "identifier-malformed"),
        ({"registration_id": "a" * 129}, "registrationId", "identifier-malformed"),
        ({"device_id": "crane 7"}, "deviceId", "identifier-malformed"),
        (
            {"attestation": CertificateSlots(None)},
            "attestation.x509.clientCertificates",
            "certificate-missing",
        ),
        (
            {"attestation": CertificateSlots("garbage!")},
            "attestation.x509.clientCertificates.primary",
            "certificate-malformed",
        ),
        (
            {"terms": EnrollmentTerms(allocation_policy=AllocationPolicy.STATIC)},
            "iotHubs",
            "static-needs-one-hub",
        ),
        ({"terms": EnrollmentTerms(hub_host_names=("",))}, "iotHubs", "host-name-malformed"),
        (
            {"terms": EnrollmentTerms(hub_host_names=tuple("h" * 51))},
            "iotHubs",
            "too-many-hubs",
        ),
        (
            {"terms": EnrollmentTerms(initial_twin=InitialTwin({"a": "x" * 9000}))},
            "initialTwin.tags",
            "too-large",
        ),
        (
            {"terms": EnrollmentTerms(initial_twin=InitialTwin({}, {"a": object()}))},
            "initialTwin.properties.desired",
            "json-malformed",
        ),
    ],
)
async def test_put_what_is_wrong_is_refused_by_field(
    world: CloudWorld, own: Issued, fields: dict[str, object], field: str, code: str
) -> None:
    given: dict[str, object] = {
        "registration_id": "edgegw01",
        "attestation": CertificateSlots(own.certificate_pem),
        **fields,
    }
    with pytest.raises(InputInvalid) as refused:
        await world.dps.enrollments.put(EnrollmentDraft(**given))  # type: ignore[arg-type]  # table

    assert (refused.value.field, refused.value.code) == (field, code)
    assert refused.value.http_status == 400
    with pytest.raises(NotFound):
        await world.dps.enrollments.get("edgegw01")


async def test_put_an_expired_certificate_is_400(world: CloudWorld) -> None:
    old = authority.root("edgegw01", now=datetime.now(UTC) - timedelta(days=20), days=10)

    with pytest.raises(InputInvalid) as refused:
        await world.dps.enrollments.put(draft(old))

    assert refused.value.code == "certificate-expired"


async def test_put_with_the_stored_certificate_is_taken_though_it_has_expired_since(
    world: CloudWorld, own: Issued
) -> None:
    first = await world.dps.enrollments.put(draft(own))
    world.clock.move(timedelta(days=20_000))

    second = await world.dps.enrollments.put(
        EnrollmentDraft("edgegw01", CertificateSlots(own.certificate_pem), terms=TERMS),
        if_match=first.etag,
    )

    assert second.attestation == first.attestation
    assert second.terms == TERMS


async def test_put_beyond_the_limit_is_refused(world: CloudWorld, own: Issued) -> None:
    authorities = await AuthorityCache.load(world.stores.dps)
    service = EnrollmentService(world.stores.dps, authorities, world.clock, limit=2)
    await service.put(draft(own, "one"))
    await service.put(draft(own, "two"))

    with pytest.raises(LimitReached):
        await service.put(draft(own, "three"))

    await service.put(draft(own, "two"), if_match="*")
    await service.delete("one")
    await service.put(draft(own, "three"))


async def test_delete_removes_the_registration_record_too(world: CloudWorld, own: Issued) -> None:
    await world.enroll(own)
    await world.register(own.certificate)

    with pytest.raises(EtagMismatch):
        await world.dps.enrollments.delete("edgegw01", if_match="stale")
    await world.dps.enrollments.delete("EDGEGW01")

    with pytest.raises(NotFound) as gone:
        await world.dps.enrollments.get("edgegw01")
    assert gone.value.error_code == 404201
    with pytest.raises(RegistrationNotFound) as unrecorded:
        await world.dps.registrations.get("edgegw01")
    assert unrecorded.value.error_code == 404202


async def test_list_pages_through_all_in_order(world: CloudWorld, own: Issued) -> None:
    names = sorted(f"dev{number:02}" for number in range(7))
    for name in reversed(names):
        await world.enroll(own, name)

    found, continuation = [], None
    for _ in range(9):
        page = await world.dps.enrollments.list(limit=3, continuation=continuation)
        found += [enrolled.registration_id for enrolled, _ in page.items]
        continuation = page.continuation
        if continuation is None:
            break

    assert found == names
    for bad in ("?", "ä", "a" * 600, "_w"):
        with pytest.raises(InputInvalid) as refused:
            await world.dps.enrollments.list(continuation=bad)
        assert refused.value.field == "continuation"


async def test_groups_follow_the_same_rules(world: CloudWorld) -> None:
    top = authority.root()
    await world.add_ca("top", top)
    first = await world.dps.groups.put(GroupDraft("Plant", CaReferences("Top"), TERMS))

    assert await world.dps.groups.get("plant") == first
    with pytest.raises(AlreadyExists):
        await world.dps.groups.put(GroupDraft("plant", CaReferences("top")))
    with pytest.raises(EtagMismatch):
        await world.dps.groups.put(GroupDraft("plant", CaReferences("top")), if_match="stale")
    with pytest.raises(EtagMismatch):
        await world.dps.groups.put(GroupDraft("other", CaReferences("top")), if_match="*")
    second = await world.dps.groups.put(
        GroupDraft("plant", CertificateSlots(top.certificate_pem)), if_match=first.etag
    )
    kept = await world.dps.groups.put(
        GroupDraft("plant", CertificateSlots(Slot.KEEP), TERMS), if_match="*"
    )
    assert kept.attestation == second.attestation
    assert kept.enrollment_group_id == "Plant"
    with pytest.raises(EtagMismatch):
        await world.dps.groups.delete("plant", if_match=first.etag)
    await world.dps.groups.delete("plant", if_match=kept.etag)
    with pytest.raises(NotFound):
        await world.dps.groups.get("plant")


async def test_group_with_unknown_or_no_certificate_is_refused(world: CloudWorld) -> None:
    leaf = authority.device(authority.root())
    for attestation, code in (
        (CaReferences("nobody"), "ca-reference-unknown"),
        (CaReferences(None), "certificate-missing"),
        (CertificateSlots(None), "certificate-missing"),
        (CertificateSlots(leaf.certificate_pem), "certificate-not-ca"),
    ):
        with pytest.raises(InputInvalid) as refused:
            await world.dps.groups.put(GroupDraft("plant", attestation))
        assert refused.value.code == code


async def test_groups_page(world: CloudWorld) -> None:
    await world.add_ca("top", authority.root())
    for name in ("c", "a", "b"):
        await world.add_group(name, "top")

    first = await world.dps.groups.list(limit=2)
    second = await world.dps.groups.list(limit=2, continuation=first.continuation)

    assert [group.enrollment_group_id for group in first.items] == ["a", "b"]
    assert [group.enrollment_group_id for group in second.items] == ["c"]
    assert second.continuation is None


async def test_linked_hubs_must_exist_and_have_a_sane_weight(world: CloudWorld) -> None:
    for hub, code in (
        (LinkedHub("nowhere.test"), "hub-unknown"),
        (LinkedHub("localhost", 0), "weight-out-of-range"),
        (LinkedHub("localhost", 1001), "weight-out-of-range"),
    ):
        with pytest.raises(InputInvalid) as refused:
            await world.dps.linked_hubs.link(hub)
        assert refused.value.code == code
    await world.dps.linked_hubs.link(LinkedHub("LOCALHOST", 7, False))
    assert await world.dps.linked_hubs.list() == (LinkedHub("localhost", 7, False),)
    with pytest.raises(NotFound):
        await world.dps.linked_hubs.unlink("nowhere.test")


def test_every_error_has_its_own_code_and_a_status_of_its_azure_code() -> None:
    classes = [DpsError]
    for error in classes:
        classes += error.__subclasses__()
    codes = [error.code for error in classes]
    assert len(codes) == len(set(codes))
    for error in classes:
        assert error("m", "r").http_status == error.error_code // 1000


async def test_a_change_that_comes_between_is_seen(
    world: CloudWorld, own: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two writers of one record, ``*`` prevails and an etag does not."""
    store = world.stores.dps
    await world.add_ca("top", authority.root())
    enrollment = await world.dps.enrollments.put(draft(own))
    await world.add_group("plant", "top")
    group = await world.dps.groups.get("plant")
    save_enrollment, save_group = store.save_enrollment, store.save_group
    raced = 0

    async def enrollment_second(item: Any, **rest: Any) -> None:
        nonlocal raced
        if raced == 0:
            raced = 1
            await save_enrollment(replace(enrollment, etag=f"raced{world.clock.now()}"), **rest)
        await save_enrollment(item, **rest)

    async def group_second(item: Any, **rest: Any) -> None:
        nonlocal raced
        if raced == 0:
            raced = 1
            await save_group(replace(group, etag=f"raced{world.clock.now()}"), **rest)
        await save_group(item, **rest)

    monkeypatch.setattr(store, "save_enrollment", enrollment_second)
    monkeypatch.setattr(store, "save_group", group_second)
    cases: Any = (
        (world.dps.enrollments.put, draft(own), enrollment),
        (world.dps.groups.put, GroupDraft("plant", CaReferences("top")), group),
    )
    for put, wanted, first in cases:
        raced = 0
        with pytest.raises(EtagMismatch):
            await put(wanted, if_match=first.etag)
        raced = 2
        done = await put(wanted, if_match="*")
        assert done.etag != first.etag
