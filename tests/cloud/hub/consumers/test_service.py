"""Consumer groups: names, places of their own, what retention does to them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.support.cloudworld import CloudWorld
from tests.support.stores import Stores

from mooring.cloud.hub.consumers.model import MAX_GROUPS
from mooring.cloud.hub.errors import (
    ConsumerGroupExists,
    ConsumerGroupNotFound,
    InputInvalid,
    LimitReached,
)
from mooring.cloud.hub.model import Retention, Start, TelemetryMessage


async def append(world: CloudWorld, *bodies: bytes) -> None:
    """Append one message after the other, of several devices."""
    for number, body in enumerate(bodies):
        source = world.hubs.telemetry.event_source(world.hub, f"gw{number % 3}", "Telemetry")
        await world.hubs.telemetry.append(source, [TelemetryMessage("", body)])
        world.clock.move(timedelta(seconds=1))


async def bodies(world: CloudWorld, group: str, limit: int = 100) -> list[bytes]:
    """Return what the group reads next."""
    page = await world.hubs.consumers.read(world.hub, group, limit=limit)
    return [event.body for event in page.events]


async def test_groups_read_everything_each_at_its_own_pace(world: CloudWorld) -> None:
    consumers, hub = world.hubs.consumers, world.hub
    await append(world, b"1", b"2", b"3", b"4", b"5")
    await consumers.create(hub, "slow")

    read = []
    while page := await consumers.read(hub, "$default", limit=2):
        if not page.events:
            break
        read += [event.body for event in page.events]
        await consumers.commit(hub, "$Default", page.positions)

    assert read == [b"1", b"2", b"3", b"4", b"5"]
    assert await bodies(world, "$Default") == []
    assert await bodies(world, "slow", 3) == [b"1", b"2", b"3"]
    assert await bodies(world, "SLOW", 1) == [b"1"]


async def test_group_from_the_latest_gets_only_what_comes(world: CloudWorld) -> None:
    await append(world, b"old")
    await world.hubs.consumers.create(world.hub, "new", start=Start.LATEST)
    await append(world, b"new")

    assert await bodies(world, "new") == [b"new"]


async def test_positions_outlive_the_process_and_go_back_when_told(
    stores: Stores, world: CloudWorld
) -> None:
    await append(world, b"1", b"2")
    await world.hubs.consumers.create(world.hub, "g")
    page = await world.hubs.consumers.read(world.hub, "g")
    await world.hubs.consumers.commit(world.hub, "g", page.positions)

    again = await CloudWorld.open(stores, clock=world.clock)
    assert await bodies(again, "g") == []
    await again.hubs.consumers.commit(again.hub, "g", dict.fromkeys(page.positions, 0))
    assert await bodies(again, "g") == [b"1", b"2"]


async def test_what_retention_removed_is_passed_over(world: CloudWorld) -> None:
    await append(world, b"1")
    world.clock.move(timedelta(hours=2))
    await append(world, b"2")
    await world.hubs.telemetry.trim(Retention(timedelta(hours=1)))

    assert await bodies(world, "$Default") == [b"2"]


async def test_names_and_positions_that_are_wrong_are_refused(world: CloudWorld) -> None:
    consumers, hub = world.hubs.consumers, world.hub
    for name in ("", "-a", "a b", "x" * 51, "$Default"):
        with pytest.raises(InputInvalid):
            await consumers.create(hub, name)
    await consumers.create(hub, "Group")
    with pytest.raises(ConsumerGroupExists):
        await consumers.create(hub, "group")
    for positions in ({9: 0}, {0: 1}, {0: -1}):
        with pytest.raises(InputInvalid, match="positions"):
            await consumers.commit(hub, "group", positions)
    with pytest.raises(InputInvalid):
        await consumers.delete(hub, "$default")
    await consumers.delete(hub, "GROUP")
    for call in (
        consumers.get(hub, "group"),
        consumers.delete(hub, "group"),
        consumers.read(hub, "group"),
        consumers.commit(hub, "group", {}),
    ):
        with pytest.raises(ConsumerGroupNotFound):
            await call


async def test_groups_are_limited_and_the_default_one_does_not_count(world: CloudWorld) -> None:
    consumers, hub = world.hubs.consumers, world.hub
    await consumers.commit(hub, "$Default", {0: 0})
    for number in range(MAX_GROUPS):
        await consumers.create(hub, f"g{number}")
    with pytest.raises(LimitReached):
        await consumers.create(hub, "more")
    assert [group.name for group in await consumers.list(hub)][:2] == ["$Default", "g0"]
