"""Which linked hub takes a device, and what is said when none does."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from tests.support.cloudworld import CloudWorld

from mooring.cloud.dps.allocation import _by_hash
from mooring.cloud.dps.errors import InputInvalid
from mooring.cloud.dps.model import (
    AllocationPolicy,
    EnrollmentTerms,
    LinkedHub,
    Registration,
)
from mooring.protocol.azure.registration_state import RegistrationStatus

KEY = secrets.token_bytes(32)


@pytest.fixture(autouse=True)
async def second_hub(world: CloudWorld) -> None:
    await world.hubs.hubs.create("second", "hub2.test")
    await world.dps.linked_hubs.link(LinkedHub("hub2.test"))


async def enroll(world: CloudWorld, registration_id: str = "edgegw01", **terms: Any) -> None:
    await world.enroll_keys(KEY, registration_id=registration_id, terms=EnrollmentTerms(**terms))


async def register(world: CloudWorld, registration_id: str = "edgegw01") -> Registration:
    operation = await world.register(
        registration_id=registration_id, sas_token=world.token(KEY, registration_id)
    )
    return operation.registration


async def failed(world: CloudWorld) -> tuple[int | None, str]:
    """Register, which must fail and be recorded; return Azure's code and ours."""
    registration = await register(world)
    assert registration.status is RegistrationStatus.FAILED
    assert registration.error_message
    assert await world.dps.registrations.get("edgegw01") == registration
    assert world.failure is not None
    stage, code = world.failure
    assert stage == "allocation"
    return registration.error_code, code


def shares(*hubs: LinkedHub) -> dict[str, float]:
    chosen = [_by_hash(f"device-{number}", hubs).host_name for number in range(4000)]
    return {hub.host_name: chosen.count(hub.host_name) / len(chosen) for hub in hubs}


# -- hashed ---------------------------------------------------------------------------------------


def test_hashed_shares_follow_the_weights() -> None:
    assert shares(LinkedHub("a"), LinkedHub("b"))["a"] == pytest.approx(0.5, abs=0.03)
    weighted = shares(LinkedHub("a", 1), LinkedHub("b", 3))
    assert weighted["b"] == pytest.approx(0.75, abs=0.03)
    extreme = shares(LinkedHub("a", 1), LinkedHub("b", 1000))
    assert extreme["a"] < 0.01


def test_hashed_moves_only_what_a_new_hub_gets() -> None:
    two = [LinkedHub("a"), LinkedHub("b")]
    three = [*two, LinkedHub("c")]
    for number in range(500):
        before, after = (_by_hash(f"device-{number}", hubs).host_name for hubs in (two, three))
        assert after in {before, "c"}


def test_hashed_ignores_the_order_of_hubs_and_the_case_of_ids() -> None:
    hubs = [LinkedHub("a", 2), LinkedHub("b", 5), LinkedHub("c", 3)]
    for number in range(100):
        expected = _by_hash(f"device-{number}", hubs)
        assert _by_hash(f"DEVICE-{number}", hubs[::-1]) == expected


@pytest.mark.parametrize("policy", [AllocationPolicy.HASHED, AllocationPolicy.GEO_LATENCY, None])
async def test_the_same_device_gets_the_same_hub_also_after_its_record_is_gone(
    world: CloudWorld, policy: AllocationPolicy | None
) -> None:
    names = [f"dev{number}" for number in range(12)]
    for name in names:
        await enroll(world, name, allocation_policy=policy)

    first = {name: (await register(world, name)).assigned_hub for name in names}
    for name in names:
        await world.dps.registrations.delete(name)
    again = await CloudWorld.open(world.stores)

    assert {name: (await register(again, name)).assigned_hub for name in names} == first
    assert set(first.values()) == {"localhost", "hub2.test"}


async def test_only_the_enrollments_hubs_are_candidates(world: CloudWorld) -> None:
    for number in range(8):
        await enroll(world, f"dev{number}", hub_host_names=("HUB2.test", "elsewhere.test"))
        assert (await register(world, f"dev{number}")).assigned_hub == "hub2.test"


async def test_a_hub_closed_to_allocation_gets_nobody(world: CloudWorld) -> None:
    await world.dps.linked_hubs.link(LinkedHub("localhost", apply_allocation_policy=False))
    for number in range(8):
        await enroll(world, f"dev{number}")
        assert (await register(world, f"dev{number}")).assigned_hub == "hub2.test"


async def test_a_linked_hub_that_is_gone_gets_nobody(world: CloudWorld) -> None:
    forget_hub(world, "second")
    for number in range(8):
        await enroll(world, f"dev{number}")
        assert (await register(world, f"dev{number}")).assigned_hub == "localhost"


# -- static ---------------------------------------------------------------------------------------


async def test_static_takes_the_one_hub(world: CloudWorld) -> None:
    for number in range(6):
        await enroll(
            world,
            f"dev{number}",
            allocation_policy=AllocationPolicy.STATIC,
            hub_host_names=("hub2.test",),
        )
        assert (await register(world, f"dev{number}")).assigned_hub == "hub2.test"


# -- the default of the service -------------------------------------------------------------------


async def test_the_default_policy_is_hashed_and_can_be_changed_while_it_runs(
    world: CloudWorld,
) -> None:
    assert world.dps.configuration.current.allocation_policy is AllocationPolicy.HASHED
    await enroll(world, hub_host_names=("localhost", "hub2.test"))
    assert (await register(world)).status is RegistrationStatus.ASSIGNED

    await world.dps.configuration.set_default_policy(AllocationPolicy.STATIC)

    assert world.dps.configuration.current.allocation_policy is AllocationPolicy.STATIC
    assert await failed(world) == (400208, "no-linked-hub")
    again = await CloudWorld.open(world.stores)
    assert again.dps.configuration.current.allocation_policy is AllocationPolicy.STATIC
    assert await failed(again) == (400208, "no-linked-hub")
    await again.dps.configuration.set_default_policy(AllocationPolicy.GEO_LATENCY)
    assert (await register(again)).status is RegistrationStatus.ASSIGNED


@pytest.mark.parametrize(
    ("hubs", "outcome"),
    [(("hub2.test",), RegistrationStatus.ASSIGNED), ((), RegistrationStatus.FAILED)],
)
async def test_static_by_default_asks_each_enrollment_for_its_one_hub(
    world: CloudWorld, hubs: tuple[str, ...], outcome: RegistrationStatus
) -> None:
    await world.dps.configuration.set_default_policy(AllocationPolicy.STATIC)
    await enroll(world, hub_host_names=hubs)

    assert (await register(world)).status is outcome


async def test_an_enrollments_policy_goes_before_the_default(world: CloudWorld) -> None:
    await world.dps.configuration.set_default_policy(AllocationPolicy.STATIC)
    await enroll(world, allocation_policy=AllocationPolicy.HASHED)

    assert (await register(world)).status is RegistrationStatus.ASSIGNED


async def test_custom_cannot_be_the_default(world: CloudWorld) -> None:
    with pytest.raises(InputInvalid) as refused:
        await world.dps.configuration.set_default_policy(AllocationPolicy.CUSTOM)

    assert refused.value.field == "allocationPolicy"
    assert world.dps.configuration.current.allocation_policy is AllocationPolicy.HASHED


# -- no hub ---------------------------------------------------------------------------------------


def forget_hub(world: CloudWorld, name: str) -> None:
    """Let a hub be gone; hubs cannot be deleted as yet."""
    hub = world.hubs.hubs._hubs.pop(name)
    del world.hubs.hubs._by_host_name[hub.host_name]


async def test_without_any_linked_hub_it_is_400208(world: CloudWorld) -> None:
    await enroll(world)
    for host_name in ("localhost", "hub2.test"):
        await world.dps.linked_hubs.unlink(host_name)

    assert await failed(world) == (400208, "no-linked-hub")


@pytest.mark.parametrize("policy", [AllocationPolicy.STATIC, AllocationPolicy.HASHED])
async def test_an_unlinked_hub_is_400208(world: CloudWorld, policy: AllocationPolicy) -> None:
    await enroll(world, allocation_policy=policy, hub_host_names=("hub2.test",))
    await world.dps.linked_hubs.unlink("hub2.test")

    assert await failed(world) == (400208, "no-linked-hub")


@pytest.mark.parametrize("policy", [AllocationPolicy.STATIC, AllocationPolicy.HASHED])
async def test_a_hub_closed_to_allocation_alone_is_400208(
    world: CloudWorld, policy: AllocationPolicy
) -> None:
    await enroll(world, allocation_policy=policy, hub_host_names=("hub2.test",))
    await world.dps.linked_hubs.link(LinkedHub("hub2.test", apply_allocation_policy=False))

    assert await failed(world) == (400208, "no-linked-hub")


@pytest.mark.parametrize("policy", [AllocationPolicy.STATIC, AllocationPolicy.HASHED])
async def test_a_linked_hub_that_is_gone_is_400209(
    world: CloudWorld, policy: AllocationPolicy
) -> None:
    await enroll(world, allocation_policy=policy, hub_host_names=("hub2.test",))
    forget_hub(world, "second")

    assert await failed(world) == (400209, "hub-gone")


async def test_a_failed_device_is_assigned_once_there_is_a_hub(world: CloudWorld) -> None:
    await enroll(world, hub_host_names=("hub2.test",))
    await world.dps.linked_hubs.unlink("hub2.test")
    await failed(world)
    await world.dps.linked_hubs.link(LinkedHub("hub2.test"))

    registration = await register(world)

    assert registration.status is RegistrationStatus.ASSIGNED
    assert registration.error_code is None
    assert registration.error_message is None
    assert registration.initial_hub == "hub2.test"
