"""What every adapter of `mooring.cloud.dps.store.DpsStore` does."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.support import authority
from tests.support.stores import Stores

from mooring.cloud.cacertificates.model import CaCertificate, StoredCertificate
from mooring.cloud.dps.model import (
    AllocationPolicy,
    CaReferences,
    ClientCertificates,
    CustomAllocation,
    EnrollmentGroup,
    EnrollmentTerms,
    IndividualEnrollment,
    InitialTwin,
    LinkedHub,
    Operation,
    ProvisioningStatus,
    Registration,
    ReprovisionPolicy,
    ServiceRecord,
    SigningCertificates,
    SymmetricKeys,
)
from mooring.cloud.dps.queries import ENROLLMENT_FIELDS, Condition, QueryField
from mooring.cloud.dps.store import (
    BasisChanged,
    CertificateReferenced,
    DpsStore,
    ReferenceMissing,
    RegistrationBasis,
    Slice,
)
from mooring.cloud.preconditions import RecordChanged, RecordExists, RecordsFull
from mooring.protocol.azure.registration_state import RegistrationStatus, RegistrationSubstatus

NOW = datetime(2030, 2, 3, 4, 5, 6, 123457, tzinfo=UTC)
LATER = NOW + timedelta(seconds=7, microseconds=1)
TERMS = EnrollmentTerms(
    provisioning_status=ProvisioningStatus.DISABLED,
    reprovision_policy=ReprovisionPolicy(False, False),
    allocation_policy=AllocationPolicy.GEO_LATENCY,
    hub_host_names=("a.test", "b.test"),
    initial_twin=InitialTwin({"ä": 1}, {"deep": {"list": [1, None, "x"]}}),
    iot_edge=True,
)
ONE = StoredCertificate.of(authority.root("one").certificate)
TWO = StoredCertificate.of(authority.root("two").certificate)


@pytest.fixture
async def store(stores: Stores) -> DpsStore:
    await stores.dps.open_service("0ne00000001")
    return stores.dps


def certificate(
    name: str = "Top", etag: str = "e1", stored: StoredCertificate = ONE
) -> CaCertificate:
    return CaCertificate(name, stored, False, "CODE", NOW, ("OLD1", "OLD2"), etag, NOW, LATER)


def enrollment(registration_id: str = "Dev-1", etag: str = "e1") -> IndividualEnrollment:
    return IndividualEnrollment(
        registration_id, ClientCertificates(ONE, TWO), "crane", TERMS, etag, NOW, LATER
    )


def group(name: str = "Plant", etag: str = "e1", *references: str) -> EnrollmentGroup:
    attestation = CaReferences(*(references or ("Top",)))
    return EnrollmentGroup(name, attestation, EnrollmentTerms(), etag, NOW, LATER)


def registration(
    registration_id: str = "Dev-1", etag: str = "r1", group_id: str | None = None
) -> Registration:
    return Registration(
        registration_id,
        RegistrationStatus.ASSIGNED,
        RegistrationSubstatus.INITIAL_ASSIGNMENT,
        "a.test",
        "crane",
        group_id,
        None,
        None,
        ONE.sha256_thumbprint,
        etag,
        NOW,
        LATER,
    )


NOTHING = RegistrationBasis(None, None, None)


async def record(
    store: DpsStore,
    item: Registration,
    basis: RegistrationBasis = NOTHING,
    *,
    operation_id: str = "op",
    at: datetime = NOW,
    limit: int = 100,
) -> Operation:
    operation = Operation(operation_id, item, at)
    await store.commit(store.prepare_registration(operation, basis, limit=limit))
    return operation


async def test_the_id_scope_stays_that_of_the_first_start(store: DpsStore) -> None:
    assert (await store.open_service("0ne00000002")).id_scope == "0ne00000001"


async def test_the_service_begins_with_its_defaults(store: DpsStore) -> None:
    assert await store.open_service("-") == ServiceRecord("0ne00000001")
    assert await store.load_service() == ServiceRecord("0ne00000001")


async def test_the_service_comes_back_as_it_was_changed(store: DpsStore) -> None:
    hubs = (LinkedHub("a.test", 5, False, None), LinkedHub("b.test", key_name="dps"))
    changed = ServiceRecord(
        "0ne00000001", AllocationPolicy.STATIC, hubs, {"site": "Quay é"}, version=2
    )

    await store.commit(store.prepare_service(changed, replaces=1))

    assert await store.load_service() == changed
    assert await store.open_service("-") == changed
    fewer = replace(changed, linked_hubs=hubs[1:], tags={}, version=3)
    await store.commit(store.prepare_service(fewer, replaces=2))
    assert await store.load_service() == fewer


async def test_a_service_of_another_version_is_not_replaced(store: DpsStore) -> None:
    first = ServiceRecord("0ne00000001", linked_hubs=(LinkedHub("a.test"),), version=2)
    await store.commit(store.prepare_service(first, replaces=1))
    late = ServiceRecord("0ne00000001", linked_hubs=(LinkedHub("b.test"),), version=2)

    with pytest.raises(RecordChanged):
        await store.commit(store.prepare_service(late, replaces=1))

    assert await store.load_service() == first


@pytest.mark.parametrize("attestation", [SymmetricKeys("a2V5", "a2V5Mg=="), CaReferences("top")])
async def test_enrollments_of_every_attestation_come_back_whole(
    store: DpsStore, attestation: SymmetricKeys | CaReferences
) -> None:
    await store.save_certificate(certificate(), replaces=None, limit=9)
    one = replace(
        enrollment(),
        attestation=attestation,
        terms=replace(
            TERMS,
            reprovision_policy=None,
            custom_allocation=CustomAllocation("https://a.test/f?code=x", "2021-10-01"),
        ),
        optional_device_information={"rack": {"ä": 7}},
    )
    many = replace(group(), attestation=attestation, terms=one.terms)

    await store.save_enrollment(one, replaces=None, limit=9)
    await store.save_group(many, replaces=None, limit=9)

    assert await store.find_enrollment("DEV-1") == one
    assert (await store.find_standing("dev-1"))[0] == one
    assert (await store.load_authorities()).groups == (many,)


async def test_groups_are_counted_by_how_they_attest(store: DpsStore) -> None:
    await store.save_certificate(certificate(), replaces=None, limit=9)
    keyed = SymmetricKeys("a2V5", "a2V5Mg==")
    await store.save_group(group("one"), replaces=None, limit=1)
    await store.save_group(replace(group("two"), attestation=keyed), replaces=None, limit=1)

    for full in (group("three"), replace(group("three"), attestation=keyed)):
        with pytest.raises(RecordsFull):
            await store.save_group(full, replaces=None, limit=1)
    # Changing its kind must not slip one past the bound.
    with pytest.raises(RecordsFull):
        await store.save_group(group("two", "e2"), replaces="e1", limit=1)
    await store.save_group(group("one", "e2"), replaces="e1", limit=1)


async def test_a_reference_of_an_individual_enrollment_needs_and_keeps_its_certificate(
    store: DpsStore,
) -> None:
    one = replace(enrollment("dev-1"), attestation=CaReferences("TOP"))
    with pytest.raises(ReferenceMissing) as missing:
        await store.save_enrollment(one, replaces=None, limit=9)
    await store.save_certificate(certificate(), replaces=None, limit=9)
    await store.save_enrollment(one, replaces=None, limit=9)

    with pytest.raises(CertificateReferenced) as referenced:
        await store.delete_certificate("top", replaces="e1")

    assert missing.value.name == "TOP"
    assert referenced.value.user == "individual enrollment 'dev-1'"


async def test_certificates_come_back_whole_and_in_order(store: DpsStore) -> None:
    other = replace(
        certificate("alpha", "e2", TWO),
        verified=True,
        verification_code=None,
        code_made_at=None,
        former_codes=(),
    )
    await store.save_certificate(certificate(), replaces=None, limit=9)
    await store.save_certificate(other, replaces=None, limit=9)

    assert (await store.load_authorities()).certificates == (other, certificate())


async def test_a_certificate_is_replaced_by_its_etag_only(store: DpsStore) -> None:
    await store.save_certificate(certificate(), replaces=None, limit=1)
    with pytest.raises(RecordExists):
        await store.save_certificate(certificate("TOP", "e2", TWO), replaces=None, limit=9)
    with pytest.raises(RecordChanged):
        await store.save_certificate(certificate("top", "e2"), replaces="e0", limit=9)
    with pytest.raises(RecordsFull):
        await store.save_certificate(certificate("two", "e2", TWO), replaces=None, limit=1)
    await store.save_certificate(certificate("top", "e2"), replaces="e1", limit=1)

    assert (await store.load_authorities()).certificates == (certificate("top", "e2"),)


async def test_the_same_certificate_by_two_names_is_refused(store: DpsStore) -> None:
    await store.save_certificate(certificate(), replaces=None, limit=9)

    with pytest.raises(RecordExists):
        await store.save_certificate(certificate("other"), replaces=None, limit=9)

    assert len((await store.load_authorities()).certificates) == 1


async def test_a_referenced_certificate_stays(store: DpsStore) -> None:
    await store.save_certificate(certificate(), replaces=None, limit=9)
    for references in (("tOp",), (None, "top")):
        item = replace(group("Plant", "e1"), attestation=CaReferences(*references))
        await store.save_group(item, replaces=None, limit=9)
        with pytest.raises(CertificateReferenced) as referenced:
            await store.delete_certificate("TOP", replaces="e1")
        assert referenced.value.user == "enrollment group 'Plant'"
        await store.delete_group("plant", replaces="e1")
    with pytest.raises(RecordChanged):
        await store.delete_certificate("top", replaces="e0")
    await store.delete_certificate("top", replaces="e1")
    with pytest.raises(RecordChanged):
        await store.delete_certificate("top", replaces="e1")


async def test_groups_come_back_whole(store: DpsStore) -> None:
    await store.save_certificate(certificate(), replaces=None, limit=9)
    referring = replace(group("b"), terms=TERMS)
    signing = EnrollmentGroup("A", SigningCertificates(None, TWO), TERMS, "e9", NOW, LATER)
    await store.save_group(referring, replaces=None, limit=9)
    await store.save_group(signing, replaces=None, limit=9)

    assert (await store.load_authorities()).groups == (signing, referring)


async def test_a_group_is_checked_as_it_is_written(store: DpsStore) -> None:
    with pytest.raises(ReferenceMissing) as missing:
        await store.save_group(group(), replaces=None, limit=9)
    assert missing.value.name == "Top"
    await store.save_certificate(certificate(), replaces=None, limit=9)
    await store.save_group(group(), replaces=None, limit=1)
    with pytest.raises(RecordExists):
        await store.save_group(group("PLANT", "e2"), replaces=None, limit=9)
    with pytest.raises(RecordsFull):
        await store.save_group(group("other", "e2"), replaces=None, limit=1)
    with pytest.raises(RecordChanged):
        await store.save_group(group("plant", "e2"), replaces="e0", limit=9)
    await store.save_group(group("plant", "e2"), replaces="e1", limit=1)
    with pytest.raises(RecordChanged):
        await store.delete_group("plant", replaces="e1")
    await store.delete_group("plant", replaces="e2")
    assert (await store.load_authorities()).groups == ()


async def test_the_version_changes_with_every_write_of_an_authority(store: DpsStore) -> None:
    versions = [(await store.load_authorities()).version]

    async def note() -> None:
        versions.append((await store.load_authorities()).version)

    await store.save_certificate(certificate(), replaces=None, limit=9)
    await note()
    await store.save_group(group(), replaces=None, limit=9)
    await note()
    await store.delete_group("plant", replaces="e1")
    await note()
    await store.delete_certificate("top", replaces="e1")
    await note()

    assert versions == sorted(set(versions))


async def test_enrollments_come_back_whole_in_any_spelling(store: DpsStore) -> None:
    bare = IndividualEnrollment(
        "bare", ClientCertificates(None, TWO), None, EnrollmentTerms(), "e2", NOW, NOW
    )
    await store.save_enrollment(enrollment(), replaces=None, limit=9)
    await store.save_enrollment(bare, replaces=None, limit=9)

    assert await store.find_enrollment("DEV-1") == enrollment()
    assert await store.find_enrollment("bare") == bare
    assert await store.find_enrollment("dev-2") is None
    whole = await store.list_enrollments(after=None, limit=9, scan=9)
    assert whole == Slice(((bare, None), (enrollment(), None)), None)
    assert await store.list_enrollments(after="bare", limit=9, scan=9) == Slice(
        ((enrollment(), None),), None
    )
    assert await store.list_enrollments(after=None, limit=1, scan=9) == Slice(
        ((bare, None),), "bare"
    )


async def test_enrollments_are_listed_with_the_record_of_their_id(store: DpsStore) -> None:
    for name in ("a", "b", "c"):
        await store.save_enrollment(
            replace(enrollment(), registration_id=name), replaces=None, limit=9
        )
    told = registration("B")
    await record(store, told, basis=RegistrationBasis(enrollment().etag, None, None))

    listed = await store.list_enrollments(after=None, limit=9, scan=9)

    assert [(item.registration_id, made) for item, made in listed.records] == [
        ("a", None),
        ("b", told),
        ("c", None),
    ]


EVERY_CONDITION = [
    (QueryField.REGISTRATION_ID, "plain", ["Plain"]),
    (QueryField.REGISTRATION_ID, "nobody", []),
    (QueryField.DEVICE_ID, "Other-1", ["Dev-1"]),
    (QueryField.DEVICE_ID, "other-1", []),
    (QueryField.PROVISIONING_STATUS, "disabled", ["Dev-1"]),
    (QueryField.ALLOCATION_POLICY, "geoLatency", ["Dev-1"]),
    (QueryField.ATTESTATION_TYPE, "symmetricKey", ["Keyed"]),
    (QueryField.ATTESTATION_TYPE, "x509", ["Dev-1", "Plain"]),
    (QueryField.IOT_EDGE, True, ["Dev-1"]),
    (QueryField.IOT_EDGE, False, ["Keyed", "Plain"]),
]


@pytest.mark.parametrize(("field", "value", "names"), EVERY_CONDITION)
async def test_enrollments_that_fit_a_condition_are_listed(
    store: DpsStore, field: QueryField, value: str | bool, names: list[str]
) -> None:
    assert {condition[0] for condition in EVERY_CONDITION} == set(ENROLLMENT_FIELDS)
    plain = replace(enrollment(), registration_id="Plain", device_id=None, terms=EnrollmentTerms())
    keyed = replace(plain, registration_id="Keyed", attestation=SymmetricKeys("YQ==", "Yg=="))
    whole = replace(enrollment(), device_id="Other-1", terms=TERMS)
    for item in (whole, plain, keyed):
        await store.save_enrollment(item, replaces=None, limit=9)

    found = await store.list_enrollments([Condition(field, value)], after=None, limit=9, scan=9)

    assert sorted(item.registration_id for item, _ in found.records) == sorted(names)
    assert found.resume_after is None


async def test_several_conditions_must_all_fit(store: DpsStore) -> None:
    await store.save_enrollment(enrollment(), replaces=None, limit=9)
    status = enrollment().terms.provisioning_status
    fits = Condition(QueryField.PROVISIONING_STATUS, status.value)
    does_not = Condition(QueryField.DEVICE_ID, "nobody")

    assert (await store.list_enrollments([fits], after=None, limit=9, scan=9)).records
    both = await store.list_enrollments([fits, does_not], after=None, limit=9, scan=9)
    assert both == Slice((), None)


async def test_no_more_records_than_asked_are_scanned_for_one_page(store: DpsStore) -> None:
    """Of twenty every fifth fits: each page says where to go on, and none is missed."""
    for number in range(20):
        status = ProvisioningStatus.DISABLED if number % 5 == 0 else ProvisioningStatus.ENABLED
        item = replace(
            enrollment(),
            registration_id=f"dev{number:02}",
            terms=EnrollmentTerms(provisioning_status=status),
        )
        await store.save_enrollment(item, replaces=None, limit=99)
    disabled = [Condition(QueryField.PROVISIONING_STATUS, "disabled")]

    pages, after = [], None
    while True:
        page = await store.list_enrollments(disabled, after=after, limit=2, scan=4)
        pages.append([item.registration_id for item, _ in page.records])
        after = page.resume_after
        if after is None:
            break

    assert pages == [["dev00"], ["dev05"], ["dev10"], ["dev15"], [], []]
    at_once = await store.list_enrollments(disabled, after=None, limit=2, scan=20)
    assert [item.registration_id for item, _ in at_once.records] == ["dev00", "dev05"]
    assert at_once.resume_after == "dev05"
    by_key = [Condition(QueryField.REGISTRATION_ID, "dev15")]
    found = await store.list_enrollments(by_key, after=None, limit=2, scan=1)
    assert [item.registration_id for item, _ in found.records] == ["dev15"]


async def test_an_enrollment_is_replaced_by_its_etag_only(store: DpsStore) -> None:
    await store.save_enrollment(enrollment(), replaces=None, limit=1)
    with pytest.raises(RecordExists):
        await store.save_enrollment(enrollment("DEV-1", "e2"), replaces=None, limit=9)
    with pytest.raises(RecordsFull):
        await store.save_enrollment(enrollment("other"), replaces=None, limit=1)
    with pytest.raises(RecordChanged):
        await store.save_enrollment(enrollment(etag="e2"), replaces="e0", limit=9)
    with pytest.raises(RecordChanged):
        await store.save_enrollment(enrollment("other", "e2"), replaces="e1", limit=9)
    await store.save_enrollment(enrollment(etag="e2"), replaces="e1", limit=1)
    with pytest.raises(RecordChanged):
        await store.delete_enrollment("dev-1", replaces="e1")
    await store.delete_enrollment("dev-1", replaces="e2")
    assert await store.find_enrollment("dev-1") is None
    await store.save_enrollment(enrollment("other"), replaces=None, limit=1)


async def test_a_registration_and_its_operation_come_back_whole(store: DpsStore) -> None:
    item = registration(group_id="Plant")
    operation = await record(store, item)

    assert await store.find_registration("DEV-1") == item
    assert await store.find_operation("op", "dev-1") == operation
    assert await store.find_operation("op", "dev-2") is None
    assert await store.find_operation("other", "dev-1") is None


async def test_an_operation_keeps_its_own_outcome(store: DpsStore) -> None:
    first = await record(store, registration())
    failed = replace(
        registration(etag="r2"),
        status=RegistrationStatus.FAILED,
        substatus=None,
        error_code=400208,
        error_message="no hub",
    )
    await record(store, failed, RegistrationBasis(None, None, "r1"), operation_id="op2")

    assert await store.find_operation("op", "dev-1") == first
    assert await store.find_registration("dev-1") == failed


async def test_a_registration_decided_on_what_has_changed_is_not_recorded(
    store: DpsStore,
) -> None:
    await store.save_enrollment(enrollment(), replaces=None, limit=9)
    await record(store, registration(), RegistrationBasis("e1", None, None))
    version = (await store.load_authorities()).version
    again = registration(etag="r2")

    for basis in (
        RegistrationBasis("e0", None, "r1"),
        RegistrationBasis(None, None, "r1"),
        RegistrationBasis("e1", None, None),
        RegistrationBasis("e1", None, "r0"),
        RegistrationBasis("e1", version + 1, "r1"),
    ):
        with pytest.raises(BasisChanged):
            await record(store, again, basis, operation_id="op2")
    assert await store.find_registration("dev-1") == registration()
    assert await store.find_operation("op2", "dev-1") is None
    await record(store, again, RegistrationBasis("e1", version, "r1"), operation_id="op2")
    assert await store.find_registration("dev-1") == again


async def test_of_two_first_registrations_at_one_time_one_is_recorded(store: DpsStore) -> None:
    results = await asyncio.gather(
        *(record(store, registration(), operation_id=f"op{n}") for n in range(5)),
        return_exceptions=True,
    )

    assert sum(isinstance(result, BasisChanged) for result in results) == 4


async def test_registrations_beyond_the_limit_are_refused_and_deleting_makes_room(
    store: DpsStore,
) -> None:
    await record(store, registration(), limit=1)
    with pytest.raises(RecordsFull):
        await record(store, registration("dev-2"), operation_id="op2", limit=1)
    await record(
        store,
        registration(etag="r2"),
        RegistrationBasis(None, None, "r1"),
        operation_id="op3",
        limit=1,
    )
    with pytest.raises(RecordChanged):
        await store.delete_registration("dev-1", replaces="r1")
    await store.delete_registration("DEV-1", replaces="r2")
    await record(store, registration("dev-2"), operation_id="op4", limit=1)
    assert await store.find_registration("dev-1") is None


async def test_deleting_an_enrollment_takes_its_record_along(store: DpsStore) -> None:
    await store.save_enrollment(enrollment(), replaces=None, limit=9)
    await record(store, registration(), RegistrationBasis("e1", None, None))

    await store.delete_enrollment("dev-1", replaces="e1")

    assert await store.find_registration("dev-1") is None
    await record(store, registration("dev-2"), operation_id="op2", limit=1)


async def test_registrations_are_listed_whole_or_by_group(store: DpsStore) -> None:
    items = [
        registration("a", group_id="Plant"),
        registration("B", group_id="plant"),
        registration("c"),
        registration("d", group_id="other"),
    ]
    for item in items:
        await record(store, item, operation_id=item.registration_id)

    everything = await store.list_registrations(
        enrollment_group_id=None, after=None, limit=9, scan=9
    )
    of_plant = await store.list_registrations(
        enrollment_group_id="PLANT", after=None, limit=9, scan=9
    )
    rest = await store.list_registrations(enrollment_group_id="plant", after="a", limit=9, scan=9)
    first = await store.list_registrations(enrollment_group_id="plant", after=None, limit=1, scan=9)

    assert everything == Slice(tuple(items), None)
    assert of_plant == Slice(tuple(items[:2]), None)
    assert rest == Slice(tuple(items[1:2]), None)
    assert first == Slice(tuple(items[:1]), "a")


@pytest.mark.parametrize(
    ("field", "value", "names"),
    [
        (QueryField.REGISTRATION_ID, "b", ["B"]),
        (QueryField.DEVICE_ID, "device-a", ["a"]),
        (QueryField.STATUS, "assigned", ["a", "B"]),
        (QueryField.STATUS, "failed", ["c"]),
        (QueryField.SUBSTATUS, "initialAssignment", ["a", "B"]),
        (QueryField.ASSIGNED_HUB, "hub.test", ["a"]),
    ],
)
async def test_registrations_that_fit_a_condition_are_listed(
    store: DpsStore, field: QueryField, value: str, names: list[str]
) -> None:
    failed = replace(
        registration("c"),
        status=RegistrationStatus.FAILED,
        # kept from before, and not told of
        substatus=RegistrationSubstatus.INITIAL_ASSIGNMENT,
        assigned_hub="hub.test",
        device_id="device-a",
    )
    items = [
        replace(registration("a"), assigned_hub="Hub.test", device_id="device-a"),
        replace(registration("B"), assigned_hub="other.test", device_id="device-b"),
        failed,
    ]
    for item in items:
        await record(store, item, operation_id=item.registration_id)

    found = await store.list_registrations(
        [Condition(field, value)], enrollment_group_id=None, after=None, limit=9, scan=9
    )

    assert [item.registration_id for item in found.records] == names


async def test_old_operations_are_pruned_in_steps_and_young_ones_kept(store: DpsStore) -> None:
    for number in range(5):
        at = NOW + timedelta(seconds=number)
        await record(store, registration(f"d{number}"), operation_id=f"op{number}", at=at)
    before = NOW + timedelta(seconds=3)

    assert await store.prune_operations(before=before, limit=2) == 2
    assert await store.prune_operations(before=before, limit=2) == 1
    assert await store.prune_operations(before=before, limit=2) == 0
    assert await store.find_operation("op2", "d2") is None
    assert await store.find_operation("op3", "d3") is not None


async def test_a_commit_makes_all_of_its_works_or_none(store: DpsStore) -> None:
    good = store.prepare_registration(Operation("op1", registration("a"), NOW), NOTHING, limit=9)
    stale = store.prepare_registration(
        Operation("op2", registration("b"), NOW), RegistrationBasis("e1", None, None), limit=9
    )

    with pytest.raises(BasisChanged):
        await store.commit(good, stale)

    assert await store.find_registration("a") is None
    assert await store.find_operation("op1", "a") is None
