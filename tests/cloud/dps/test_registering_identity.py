"""Scope and identity: what is looked at before any enrollment; and the outcome without a hub."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.support import authority
from tests.support.cloudworld import CloudWorld
from tests.support.stores import Stores

from mooring.cloud.dps.errors import (
    IdScopeUnknown,
    InputInvalid,
    OperationNotFound,
    Overloaded,
    RegistrationRefused,
)
from mooring.cloud.dps.model import (
    AllocationPolicy,
    EnrollmentTerms,
    LinkedHub,
    ReprovisionPolicy,
    SubjectRules,
)
from mooring.cloud.dps.store import BasisChanged
from mooring.protocol.azure.registration_state import RegistrationStatus, RegistrationSubstatus
from mooring.storage.errors import StorageFull


async def test_register_at_another_scope_is_404001(world: CloudWorld) -> None:
    own = authority.root("edgegw01")
    await world.enroll(own)

    with pytest.raises(IdScopeUnknown) as refused:
        await world.register(own.certificate, id_scope="0ne00000000")

    assert (refused.value.http_status, refused.value.error_code) == (404, 404001)
    assert world.failure == ("scope", "unknown-id-scope")
    assert world.stages == ["scope"]


async def test_register_with_neither_certificate_nor_token_is_refused(world: CloudWorld) -> None:
    with pytest.raises(RegistrationRefused) as refused:
        await world.register()

    assert refused.value.error_code == 401002
    assert refused.value.wire_message == "Unauthorized"
    assert world.failure == ("identity", "no-credentials")


async def test_register_as_another_than_the_common_name_is_refused(world: CloudWorld) -> None:
    own = authority.root("edgegw02")
    await world.enroll(own, "edgegw01")

    with pytest.raises(RegistrationRefused) as refused:
        await world.register(own.certificate)

    assert (refused.value.http_status, refused.value.error_code) == (401, 401002)
    assert world.failure == ("identity", "common-name-not-registration-id")
    assert "'edgegw02'" in refused.value.message


@pytest.mark.parametrize("registration_id", ["", "a" * 129, "edge gw", "edgegw.", "édge", "a/b"])
async def test_register_with_a_malformed_id_is_400004(
    world: CloudWorld, registration_id: str
) -> None:
    with pytest.raises(InputInvalid) as refused:
        await world.register(authority.root().certificate, registration_id=registration_id)

    assert (refused.value.http_status, refused.value.error_code) == (400, 400004)
    assert world.failure == ("identity", "registration-id-malformed")


@pytest.mark.parametrize(
    ("common_name", "bare", "code"),
    [
        ("Edge-GW-01", False, "common-name-not-lower-alphanumeric"),
        ("edgegw01", True, "subject-only-common-name"),
    ],
)
async def test_register_against_the_guides_rules_is_refused_when_they_hold_only(
    stores: Stores, common_name: str, bare: bool, code: str
) -> None:
    own = authority.device(authority.root(), common_name, only_common_name=bare)
    strict = await CloudWorld.open(stores, rules=SubjectRules.GUIDE)
    await strict.enroll(own, common_name)

    with pytest.raises(RegistrationRefused):
        await strict.register(own.certificate, registration_id=common_name)
    assert strict.failure == ("identity", code)

    lenient = await CloudWorld.open(stores)
    operation = await lenient.register(own.certificate, registration_id=common_name)
    assert operation.registration.status is RegistrationStatus.ASSIGNED


async def test_register_without_a_linked_hub_is_failed_400208_and_recorded(
    world: CloudWorld,
) -> None:
    own = authority.root("edgegw01")
    await world.enroll(own)
    await world.dps.linked_hubs.unlink("LOCALHOST")

    operation = await world.register(own.certificate)

    registration = operation.registration
    assert registration.status is RegistrationStatus.FAILED
    assert registration.error_code == 400208
    assert registration.error_message
    assert registration.assigned_hub is None
    assert registration.device_id is None
    assert world.failure == ("allocation", "no-linked-hub")
    assert await world.dps.registrations.get("edgegw01") == registration
    assert await world.dps.get_operation(operation.operation_id, "edgegw01") == operation


async def test_register_with_a_static_hub_that_is_not_linked_is_failed(world: CloudWorld) -> None:
    own = authority.root("edgegw01")
    await world.enroll(
        own,
        terms=EnrollmentTerms(
            allocation_policy=AllocationPolicy.STATIC, hub_host_names=("elsewhere.test",)
        ),
    )

    operation = await world.register(own.certificate)

    assert operation.registration.status is RegistrationStatus.FAILED
    assert world.failure == ("allocation", "no-linked-hub")


async def test_an_operation_is_unknown_to_others_and_after_its_life(world: CloudWorld) -> None:
    own = authority.root("edgegw01")
    await world.enroll(own)
    operation = await world.register(own.certificate)

    with pytest.raises(OperationNotFound):
        await world.dps.get_operation(operation.operation_id, "edgegw02")
    with pytest.raises(OperationNotFound):
        await world.dps.get_operation("4.0123456789abcdef.7d0f", "edgegw01")
    with pytest.raises(OperationNotFound):
        await world.dps.get_operation("x" * 5000, "edgegw01")

    world.clock.move(timedelta(minutes=10))
    assert await world.dps.housekeep() == 0
    assert await world.dps.get_operation(operation.operation_id, "edgegw01") == operation

    world.clock.move(timedelta(minutes=6))
    with pytest.raises(OperationNotFound):
        await world.dps.get_operation(operation.operation_id, "edgegw01")
    assert await world.dps.housekeep() == 1


async def second_hub(world: CloudWorld) -> None:
    await world.hubs.hubs.create("second", "hub2.test")
    await world.dps.linked_hubs.link(LinkedHub("hub2.test"))


def to(host_name: str, policy: ReprovisionPolicy) -> EnrollmentTerms:
    return EnrollmentTerms(
        allocation_policy=AllocationPolicy.STATIC,
        hub_host_names=(host_name,),
        reprovision_policy=policy,
    )


@pytest.mark.parametrize(
    ("policy", "hub", "substatus"),
    [
        (
            ReprovisionPolicy(True, True),
            "hub2.test",
            RegistrationSubstatus.DEVICE_DATA_MIGRATED,
        ),
        (ReprovisionPolicy(True, False), "hub2.test", RegistrationSubstatus.DEVICE_DATA_RESET),
        (
            ReprovisionPolicy(False, False),
            "localhost",
            RegistrationSubstatus.INITIAL_ASSIGNMENT,
        ),
    ],
)
async def test_register_again_after_the_hub_changed_follows_the_reprovisioning_policy(
    world: CloudWorld, policy: ReprovisionPolicy, hub: str, substatus: RegistrationSubstatus
) -> None:
    await second_hub(world)
    top = authority.root()
    await world.add_ca("top", top)
    leaf = authority.device(top)
    await world.add_group("plant", "top", terms=to("localhost", policy))
    await world.register(*leaf.presented_chain)
    await world.dps.groups.delete("plant")
    await world.add_group("plant", "top", terms=to("hub2.test", policy))

    operation = await world.register(*leaf.presented_chain)

    assert operation.registration.assigned_hub == hub
    assert operation.registration.substatus is substatus
    holders = [
        known.host_name
        for known in world.hubs.hubs.list()
        if (await world.hubs.devices.list(known)).items
    ]
    assert holders == [hub]
    assert (await world.connect(*leaf.presented_chain, host_name=hub)).hub.host_name == hub


async def test_hashed_allocation_is_sticky_and_spreads(world: CloudWorld) -> None:
    await second_hub(world)
    top = authority.root()
    await world.add_ca("top", top)
    await world.add_group("plant", "top")
    leaves = {f"dev{number}": authority.device(top, f"dev{number}") for number in range(24)}

    async def assign() -> dict[str, str | None]:
        return {
            name: (
                await world.register(*leaf.presented_chain, registration_id=name)
            ).registration.assigned_hub
            for name, leaf in leaves.items()
        }

    first = await assign()

    assert set(first.values()) == {"localhost", "hub2.test"}
    assert await assign() == first


async def test_register_beyond_the_limit_of_records_is_429_and_old_devices_go_on(
    world: CloudWorld,
) -> None:
    world.dps._registrar._limit = 1
    first, second = authority.root("edgegw01"), authority.root("edgegw02")
    await world.enroll(first)
    await world.enroll(second, "edgegw02")
    await world.register(first.certificate)

    with pytest.raises(Overloaded) as refused:
        await world.register(second.certificate, registration_id="edgegw02")

    assert (refused.value.http_status, refused.value.error_code) == (429, 429001)
    assert world.failure == ("record", "registration-limit-reached")
    await world.register(first.certificate)


async def test_register_when_its_record_changes_all_the_time_is_429(
    world: CloudWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = authority.root("edgegw01")
    await world.enroll(own)

    async def changed(*works: object) -> object:
        raise BasisChanged

    monkeypatch.setattr(world.stores.dps, "commit", changed)

    with pytest.raises(Overloaded):
        await world.register(own.certificate)

    assert world.failure == ("record", "overloaded")


async def test_register_on_a_full_disk_records_nothing_and_passes_it_on(
    world: CloudWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = authority.root("edgegw01")
    await world.enroll(own)

    async def full(*works: object) -> object:
        raise StorageFull("full", "free some")

    with monkeypatch.context() as patched:
        patched.setattr(world.stores.dps, "commit", full)
        with pytest.raises(StorageFull):
            await world.register(own.certificate)
    assert not (await world.dps.registrations.list()).items
    assert (await world.register(own.certificate)).registration.device_id == "edgegw01"
