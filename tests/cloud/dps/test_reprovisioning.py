"""What becomes of a device, and of its data, when it registers again."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from tests.cloud.dps.test_allocation import forget_hub
from tests.support import authority
from tests.support.cloudworld import CloudWorld

from mooring.cloud.dps.model import (
    AllocationPolicy,
    EnrollmentDraft,
    EnrollmentTerms,
    InitialTwin,
    LinkedHub,
    Registration,
    ReprovisionPolicy,
    SymmetricKeySlots,
)
from mooring.cloud.hub.errors import DeviceNotFound
from mooring.protocol.azure.registration_state import RegistrationStatus, RegistrationSubstatus
from mooring.protocol.azure.sas import encode_key
from mooring.storage.errors import StorageFull

KEY = secrets.token_bytes(32)
MIGRATE = ReprovisionPolicy(True, True)
RESET = ReprovisionPolicy(True, False)
NEVER = ReprovisionPolicy(False, False)
FIRST = InitialTwin({"round": 1}, {"speed": 1})
SECOND = InitialTwin({"round": 2}, {"speed": 2})
HUB_1, HUB_2 = "localhost", "hub2.test"


@pytest.fixture(autouse=True)
async def second_hub(world: CloudWorld) -> None:
    await world.hubs.hubs.create("second", HUB_2)
    await world.dps.linked_hubs.link(LinkedHub(HUB_2))


async def enroll(
    world: CloudWorld,
    host_name: str,
    policy: ReprovisionPolicy | None,
    twin: InitialTwin | None = FIRST,
    **fields: Any,
) -> None:
    """Put the device's enrollment, which sends it to one hub."""
    terms = EnrollmentTerms(
        allocation_policy=AllocationPolicy.STATIC,
        hub_host_names=(host_name,),
        reprovision_policy=policy,
        initial_twin=twin,
        iot_edge=fields.pop("iot_edge", False),
    )
    slots = SymmetricKeySlots(encode_key(KEY), encode_key(KEY))
    there = await world.stores.dps.find_enrollment("edgegw01")
    await world.dps.enrollments.put(
        EnrollmentDraft("edgegw01", slots, terms=terms, **fields),
        if_match=None if there is None else "*",
    )


async def register(world: CloudWorld, api_version: str = "2019-03-31") -> Registration:
    operation = await world.register(sas_token=world.token(KEY), api_version=api_version)
    return operation.registration


async def moved(
    world: CloudWorld, policy: ReprovisionPolicy | None, api_version: str = "2019-03-31"
) -> Registration:
    """Register at the first hub, send the device to the second, register again."""
    await enroll(world, HUB_1, policy)
    await register(world, api_version)
    await enroll(world, HUB_2, policy, SECOND)
    return await register(world, api_version)


FIRST_TWIN, SECOND_TWIN = ({"round": 1}, {"speed": 1}), ({"round": 2}, {"speed": 2})


async def test_migrate_takes_twin_and_capabilities_to_the_new_hub(world: CloudWorld) -> None:
    await enroll(world, HUB_1, MIGRATE, iot_edge=True)
    first = await register(world)
    await enroll(world, HUB_2, MIGRATE, SECOND)

    registration = await register(world)

    assert registration.assigned_hub == HUB_2
    assert registration.substatus is RegistrationSubstatus.DEVICE_DATA_MIGRATED
    assert registration.initial_hub == HUB_1
    assert registration.created_at == first.created_at
    assert world.twin(HUB_2) == FIRST_TWIN
    assert world.twin(HUB_1) is None
    device = await world.hubs.devices.get(world.hubs.hubs.get("second"), "edgegw01")
    assert device.iot_edge


async def test_reset_begins_with_the_enrollments_twin_at_the_new_hub(world: CloudWorld) -> None:
    registration = await moved(world, RESET)

    assert registration.assigned_hub == HUB_2
    assert registration.substatus is RegistrationSubstatus.DEVICE_DATA_RESET
    assert world.twin(HUB_2) == SECOND_TWIN
    assert world.twin(HUB_1) is None


async def test_never_keeps_the_hub_and_the_twin(world: CloudWorld) -> None:
    registration = await moved(world, NEVER)

    assert registration.assigned_hub == HUB_1
    assert registration.substatus is RegistrationSubstatus.INITIAL_ASSIGNMENT
    assert world.twin(HUB_1) == FIRST_TWIN
    assert world.twin(HUB_2) is None


@pytest.mark.parametrize(
    ("policy", "twin"), [(MIGRATE, FIRST_TWIN), (RESET, SECOND_TWIN), (NEVER, FIRST_TWIN)]
)
async def test_on_the_same_hub_only_reset_touches_the_twin(
    world: CloudWorld, policy: ReprovisionPolicy, twin: Any
) -> None:
    await enroll(world, HUB_1, policy)
    await register(world)
    await enroll(world, HUB_1, policy, SECOND)

    registration = await register(world)

    assert registration.substatus is RegistrationSubstatus.INITIAL_ASSIGNMENT
    assert world.twin(HUB_1) == twin


@pytest.mark.parametrize(
    ("api_version", "hub"),
    [
        ("2017-08-31-preview", HUB_1),
        ("2017-11-15", HUB_1),
        ("2018-04-01", HUB_1),
        ("2018-09-01-preview", HUB_2),
        ("2019-03-31", HUB_2),
        ("2025-07-01-preview", HUB_2),
    ],
)
async def test_without_a_stored_policy_the_api_version_decides(
    world: CloudWorld, api_version: str, hub: str
) -> None:
    assert (await moved(world, None, api_version)).assigned_hub == hub


async def test_a_stored_policy_counts_for_old_api_versions_too(world: CloudWorld) -> None:
    registration = await moved(world, MIGRATE, "2018-04-01")

    assert registration.assigned_hub == HUB_2
    assert registration.substatus is RegistrationSubstatus.DEVICE_DATA_MIGRATED


@pytest.mark.parametrize("policy", [MIGRATE, RESET])
async def test_back_at_its_first_hub_the_device_is_told_so(
    world: CloudWorld, policy: ReprovisionPolicy
) -> None:
    await moved(world, policy)
    await enroll(world, HUB_1, policy, InitialTwin({"round": 3}, {}))

    registration = await register(world)

    assert registration.assigned_hub == HUB_1
    assert registration.substatus is RegistrationSubstatus.REPROVISIONED_TO_INITIAL_ASSIGNMENT
    assert world.twin(HUB_1) == (FIRST_TWIN if policy is MIGRATE else ({"round": 3}, {}))
    assert world.twin(HUB_2) is None
    # From here on nothing moves.
    again = await register(world)
    assert again.substatus is RegistrationSubstatus.INITIAL_ASSIGNMENT


async def test_after_deletion_of_the_record_the_device_begins_anew(world: CloudWorld) -> None:
    await enroll(world, HUB_1, MIGRATE)
    await register(world)
    await world.dps.registrations.delete("edgegw01")
    await enroll(world, HUB_2, MIGRATE, SECOND, device_id="crane-7")

    registration = await register(world)

    assert registration.substatus is RegistrationSubstatus.INITIAL_ASSIGNMENT
    assert registration.initial_hub == HUB_2
    assert registration.device_id == "crane-7"
    assert world.twin(HUB_2, "crane-7") == SECOND_TWIN
    # Deleting a record touches no hub: the former device stays.
    assert world.twin(HUB_1) == FIRST_TWIN


async def test_another_device_id_counts_once_the_record_is_deleted(world: CloudWorld) -> None:
    await enroll(world, HUB_1, MIGRATE)
    await register(world)
    await enroll(world, HUB_2, MIGRATE, device_id="crane-7")

    assert (await register(world)).device_id == "edgegw01"
    await world.dps.registrations.delete("edgegw01")
    assert (await register(world)).device_id == "crane-7"


async def test_a_move_is_one_commit(world: CloudWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    await enroll(world, HUB_1, MIGRATE)
    first = await register(world)
    await enroll(world, HUB_2, MIGRATE)
    store, commit = world.stores.dps, world.stores.dps.commit

    async def commit_almost(*works: Any) -> Any:
        # The last of the works fails, inside the transaction.
        def fail(_: object) -> None:
            raise StorageFull("full", "free some")

        assert [work.label for work in works] == ["registration", "device", "device removal"]
        return await commit(*works, type(works[0])("failing", fail))

    with monkeypatch.context() as patched:
        patched.setattr(store, "commit", commit_almost)
        with pytest.raises(StorageFull):
            await register(world)

    assert await world.dps.registrations.get("edgegw01") == first
    assert world.twin(HUB_1) == FIRST_TWIN
    assert world.twin(HUB_2) is None
    assert (await register(world)).assigned_hub == HUB_2


async def test_a_device_that_somebody_deleted_at_its_hub_is_made_anew(world: CloudWorld) -> None:
    await enroll(world, HUB_1, MIGRATE)
    await register(world)
    await world.hubs.devices.delete(world.hub, "edgegw01")
    await enroll(world, HUB_2, MIGRATE, SECOND)

    await register(world)

    assert world.twin(HUB_2) == SECOND_TWIN


# -- hubs that are unlinked or gone ---------------------------------------------------------------


async def test_from_an_unlinked_hub_a_device_moves_with_its_data(world: CloudWorld) -> None:
    await enroll(world, HUB_1, MIGRATE)
    await register(world)
    await world.dps.linked_hubs.unlink(HUB_1)
    await enroll(world, HUB_2, MIGRATE, SECOND)

    registration = await register(world)

    assert registration.substatus is RegistrationSubstatus.DEVICE_DATA_MIGRATED
    assert world.twin(HUB_2) == FIRST_TWIN
    assert world.twin(HUB_1) is None


async def test_from_a_hub_that_is_gone_a_device_moves_without_data(world: CloudWorld) -> None:
    await enroll(world, HUB_2, MIGRATE)
    await register(world)
    forget_hub(world, "second")
    await enroll(world, HUB_1, MIGRATE, SECOND)

    registration = await register(world)

    assert registration.assigned_hub == HUB_1
    assert registration.substatus is RegistrationSubstatus.DEVICE_DATA_RESET
    assert world.twin(HUB_1) == SECOND_TWIN


async def test_never_stays_at_an_unlinked_hub(world: CloudWorld) -> None:
    await enroll(world, HUB_1, NEVER)
    await register(world)
    await world.dps.linked_hubs.unlink(HUB_1)

    assert (await register(world)).assigned_hub == HUB_1


async def test_never_at_a_hub_that_is_gone_is_400209_until_the_record_is_deleted(
    world: CloudWorld,
) -> None:
    await enroll(world, HUB_2, NEVER)
    await register(world)
    forget_hub(world, "second")
    await enroll(world, HUB_1, NEVER)

    registration = await register(world)

    assert registration.status is RegistrationStatus.FAILED
    assert registration.error_code == 400209
    assert world.failure == ("allocation", "hub-gone")
    await world.dps.registrations.delete("edgegw01")
    assert (await register(world)).assigned_hub == HUB_1


async def test_a_failure_in_between_loses_nothing(world: CloudWorld) -> None:
    await enroll(world, HUB_1, MIGRATE)
    await register(world)
    await enroll(world, "elsewhere.test", MIGRATE)
    assert (await register(world)).status is RegistrationStatus.FAILED
    await enroll(world, HUB_2, MIGRATE, SECOND)

    registration = await register(world)

    assert registration.substatus is RegistrationSubstatus.DEVICE_DATA_MIGRATED
    assert world.twin(HUB_2) == FIRST_TWIN


# -- who is told ----------------------------------------------------------------------------------


async def test_hubs_are_told_of_what_lost_access_and_of_nothing_else(world: CloudWorld) -> None:
    told: list[tuple[str, str]] = []
    world.hubs.devices.on_change(lambda hub, device_id: told.append((hub.host_name, device_id)))
    own, renewed = authority.root("edgegw02"), authority.root("edgegw02")
    await world.enroll(own, "edgegw02")

    await moved(world, MIGRATE)
    assert told == [(HUB_1, "edgegw01")]

    told.clear()
    await register(world)
    await world.register(own.certificate, registration_id="edgegw02")
    await world.register(own.certificate, registration_id="edgegw02")
    assert told == []

    await world.dps.enrollments.delete("edgegw02")
    await world.enroll(renewed, "edgegw02")
    where = (await world.register(renewed.certificate, registration_id="edgegw02")).registration
    assert told == [(where.assigned_hub, "edgegw02")]


async def test_what_was_seen_of_a_device_that_left_is_forgotten(world: CloudWorld) -> None:
    await enroll(world, HUB_1, MIGRATE)
    await register(world)
    world.hubs.connected(world.hub, "edgegw01")
    await enroll(world, HUB_2, MIGRATE)

    await register(world)

    with pytest.raises(DeviceNotFound):
        await world.hubs.devices.get(world.hub, "edgegw01")
    assert not world.hubs._activity._seen
