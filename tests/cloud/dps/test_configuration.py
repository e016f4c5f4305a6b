"""What the service itself is set to: kept whole, changed as one, never lost between two."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from tests.support.cloudworld import CloudWorld
from tests.support.stores import Stores

from mooring.cloud.dps.errors import EtagMismatch, InputInvalid
from mooring.cloud.dps.model import AllocationPolicy, LinkedHub
from mooring.cloud.dps.store import BasisChanged
from mooring.cloud.stores.sqlite.rows import SqliteWork


async def test_default_policy_survives_a_restart_and_is_never_custom(stores: Stores) -> None:
    world = await CloudWorld.open(stores)
    etag = world.dps.configuration.current.etag
    await world.dps.configuration.set_default_policy(AllocationPolicy.STATIC)

    with pytest.raises(InputInvalid) as refused:
        await world.dps.configuration.set_default_policy(AllocationPolicy.CUSTOM)

    assert refused.value.code == "custom-not-default"
    again = await CloudWorld.open(stores)
    assert again.dps.configuration.current == world.dps.configuration.current
    assert again.dps.configuration.current.allocation_policy is AllocationPolicy.STATIC
    assert again.dps.configuration.current.etag != etag


async def test_hubs_that_are_linked_at_once_are_all_linked(world: CloudWorld) -> None:
    names = [f"hub{number}.test" for number in range(3)]
    for name in names:
        await world.hubs.hubs.create(name.partition(".")[0], name)

    await asyncio.gather(*(world.dps.linked_hubs.link(LinkedHub(name)) for name in names))

    linked = [hub.host_name for hub in world.dps.linked_hubs.current]
    assert linked == [*names, "localhost"]


async def test_another_process_that_was_quicker_is_seen(stores: Stores) -> None:
    here, there = await CloudWorld.open(stores), await CloudWorld.open(stores)
    await there.dps.configuration.change(lambda record: replace(record, tags={"by": "there"}))

    await here.dps.configuration.set_default_policy(AllocationPolicy.STATIC)

    assert here.dps.configuration.current.tags == {"by": "there"}
    with pytest.raises(EtagMismatch):
        await there.dps.configuration.change(
            lambda record: record, if_match=there.dps.configuration.current.etag
        )


async def test_what_is_changed_along_is_changed_with_it_or_not_at_all(world: CloudWorld) -> None:
    before = world.dps.configuration.current

    def fail(_: object) -> None:
        raise BasisChanged

    async def along() -> tuple[SqliteWork[None], ...]:
        return (SqliteWork("failing", fail),)

    with pytest.raises(BasisChanged):
        await world.dps.configuration.change(
            lambda record: replace(record, tags={"half": "done"}),
            along=along,
        )

    assert world.dps.configuration.current == before
    assert await world.stores.dps.load_service() == before
