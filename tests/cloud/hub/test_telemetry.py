"""The telemetry log as the front door and its readers use it."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from tests.support.cloudworld import CloudWorld

from mooring.cloud.hub import telemetry
from mooring.cloud.hub.errors import InputInvalid
from mooring.cloud.hub.model import (
    AuthenticatedDevice,
    AuthenticationType,
    DeviceAuthentication,
    DeviceDraft,
    Retention,
    Start,
    TelemetryEvent,
    TelemetryMessage,
    TelemetrySource,
)
from mooring.cloud.hub.service import HubService
from mooring.storage.errors import QueueFull, StorageFull

PINNED = DeviceAuthentication(AuthenticationType.SELF_SIGNED, "AB" * 32)


async def source(world: CloudWorld, device_id: str = "dev", **facts: Any) -> TelemetrySource:
    identity = await world.hubs.devices.put(world.hub, DeviceDraft(device_id, PINNED))
    return world.hubs.telemetry.source(AuthenticatedDevice(world.hub, identity, None), **facts)


def messages(*bodies: bytes, properties: str = "") -> list[TelemetryMessage]:
    return [TelemetryMessage(properties, body) for body in bodies]


async def test_what_was_appended_is_read_back_with_its_origin(world: CloudWorld) -> None:
    origin = await source(world, model_id="dtmi:x;1", module_id="m1")
    device = await world.hubs.devices.get(world.hub, "dev")
    await world.hubs.telemetry.append(
        origin, messages(b"\x00\xff", b"", properties="%24.ct=a%2Fb&k=v")
    )

    events = await world.hubs.telemetry.read_all(world.hub)

    assert [event.body for event in events] == [b"\x00\xff", b""]
    first = events[0]
    assert first.partition == origin.partition
    assert first.sequence_number == 0
    assert first.enqueued_at == world.clock.now()
    assert first.device_id == "dev"
    assert first.properties == "%24.ct=a%2Fb&k=v"
    assert first.origin == {
        "authentication": "selfSigned",
        "generation_id": device.generation_id,
        "model_id": "dtmi:x;1",
        "module_id": "m1",
    }


async def test_done_is_called_after_the_commit_and_not_before_return(world: CloudWorld) -> None:
    origin = await source(world)
    calls: list[int] = []
    done = asyncio.Event()

    def acknowledge(error: BaseException | None) -> None:
        assert error is None
        calls.append(len(calls))
        done.set()

    world.hubs.telemetry.append_batch(origin, messages(b"a"), acknowledge)
    assert calls == []
    await asyncio.wait_for(done.wait(), 10)

    page = await world.hubs.telemetry.read(world.hub, origin.partition)
    assert [event.body for event in page.events] == [b"a"]


async def test_what_comes_in_one_turn_is_one_write_and_answered_in_order(
    world: CloudWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = [await source(world, f"dev{number}") for number in range(6)]
    writes: list[int] = []
    store = world.stores.hub
    append = store.append_telemetry

    def counted(rows: Any, done: Any, *, size_bytes: int) -> None:
        writes.append(len(rows))
        append(rows, done, size_bytes=size_bytes)

    monkeypatch.setattr(store, "append_telemetry", counted)
    answered: list[int] = []
    finished = asyncio.Event()

    def answer(number: int) -> Any:
        def done(error: BaseException | None) -> None:
            assert error is None
            answered.append(number)
            if len(answered) == 12:
                finished.set()

        return done

    for number, origin in enumerate(sources):
        world.hubs.telemetry.append_batch(origin, messages(b"a", b"b"), answer(number))
    await asyncio.sleep(0)
    for number, origin in enumerate(sources):
        world.hubs.telemetry.append_batch(origin, messages(b"c"), answer(6 + number))
    await asyncio.wait_for(finished.wait(), 10)

    assert answered == list(range(12))
    assert writes == [12, 6]
    counted_bodies = Counter(event.body for event in await world.hubs.telemetry.read_all(world.hub))
    assert counted_bodies == {b"a": 6, b"b": 6, b"c": 6}


async def test_a_large_group_does_not_wait_for_the_commit_under_way(
    world: CloudWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telemetry, "MAX_GROUP_MESSAGES", 10)
    origin = await source(world)
    log = world.hubs.telemetry
    results: list[BaseException | None] = []
    for _ in range(35):
        log.append_batch(origin, messages(b"x"), results.append)
    assert log._under_way == 3
    while len(results) < 35:
        await asyncio.sleep(0.001)

    assert results == [None] * 35
    assert (await log.partitions(world.hub))[origin.partition].last_sequence_number == 34
    assert log._under_way == 0


@pytest.mark.parametrize("when", ["submitting", "committing"])
async def test_what_cannot_be_written_is_said_and_later_messages_go_on(
    world: CloudWorld, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    origin = await source(world)
    log = world.hubs.telemetry
    error = QueueFull("q", "r") if when == "submitting" else StorageFull("f", "r")

    def refuse(rows: Any, done: Any, *, size_bytes: int) -> None:
        if when == "submitting":
            raise error
        asyncio.get_running_loop().call_soon(done, error)

    with monkeypatch.context() as patched:
        patched.setattr(world.stores.hub, "append_telemetry", refuse)
        for _ in range(2):
            with pytest.raises(type(error)):
                await log.append(origin, messages(b"lost"))
    await log.append(origin, messages(b"kept"))

    assert [event.body for event in await log.read_all(world.hub)] == [b"kept"]


async def test_a_callback_that_fails_keeps_no_other_waiting(world: CloudWorld) -> None:
    origin = await source(world)

    def broken(error: BaseException | None) -> None:
        raise RuntimeError("broken")

    world.hubs.telemetry.append_batch(origin, messages(b"a"), broken)
    await asyncio.wait_for(world.hubs.telemetry.append(origin, messages(b"b")), 10)


async def test_a_device_has_one_partition_for_ever_and_devices_spread(world: CloudWorld) -> None:
    log = world.hubs.telemetry
    # Kept numbers: a change would tear every device's log apart.
    assert [log.partition_of(world.hub, name) for name in ("edgegw01", "dev-1", "Dév")] == [
        1,
        2,
        2,
    ]
    spread = Counter(log.partition_of(world.hub, f"dev{number}") for number in range(400))
    assert set(spread) == {0, 1, 2, 3}
    assert min(spread.values()) > 60


async def test_sequence_numbers_go_on_after_a_restart(world: CloudWorld) -> None:
    origin = await source(world)
    await world.hubs.telemetry.append(origin, messages(b"a", b"b"))

    again = await HubService.start(world.stores.hub, clock=world.clock)
    await again.telemetry.append(origin, messages(b"c"))

    page = await again.telemetry.read(world.hub, origin.partition)
    assert [(event.sequence_number, event.body) for event in page.events] == [
        (0, b"a"),
        (1, b"b"),
        (2, b"c"),
    ]
    assert page.next_sequence_number == 3


async def test_reading_from_a_time_or_of_one_device(world: CloudWorld) -> None:
    first, second = await source(world, "one"), await source(world, "two")
    log = world.hubs.telemetry
    for number in range(4):
        await log.append(first, messages(b"1-%d" % number))
        await log.append(second, messages(b"2-%d" % number))
        world.clock.move(timedelta(seconds=10))
    since = world.clock.now() - timedelta(seconds=20)

    bodies = [event.body for event in await log.read_all(world.hub, start=since)]
    assert sorted(bodies) == [b"1-2", b"1-3", b"2-2", b"2-3"]
    assert [event.body[2:] for event in await log.read_all(world.hub)] == [
        b"0",
        b"0",
        b"1",
        b"1",
        b"2",
        b"2",
        b"3",
        b"3",
    ]
    of_one = await log.read_all(world.hub, device_id="one", limit=2)
    assert [event.body for event in of_one] == [b"1-0", b"1-1"]
    assert await log.read_all(world.hub, start=Start.LATEST) == []


async def test_a_partition_that_is_not_there_is_refused(world: CloudWorld) -> None:
    for partition in (-1, 4):
        with pytest.raises(InputInvalid) as refused:
            await world.hubs.telemetry.read(world.hub, partition)
        assert refused.value.field == "partition"


async def take(events: Any, count: int) -> list[TelemetryEvent]:
    return [await asyncio.wait_for(anext(events), 10) for _ in range(count)]


async def test_following_from_the_start_goes_on_with_what_comes(world: CloudWorld) -> None:
    origin = await source(world)
    log = world.hubs.telemetry
    await log.append(origin, messages(b"old"))
    following = log.follow(world.hub, start=Start.EARLIEST)

    assert [event.body for event in await take(following, 1)] == [b"old"]
    waiting = asyncio.ensure_future(take(following, 2))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await log.append(origin, messages(b"new1", b"new2"))
    assert [event.body for event in await waiting] == [b"new1", b"new2"]

    await following.aclose()
    assert not log._followers


async def test_following_from_now_skips_what_was_and_other_devices(world: CloudWorld) -> None:
    one, two = await source(world, "one"), await source(world, "two")
    log = world.hubs.telemetry
    await log.append(one, messages(b"old"))
    following = log.follow(world.hub, device_id="one")
    waiting = asyncio.ensure_future(take(following, 1))
    while not log._followers:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.05)

    await log.append(two, messages(b"other"))
    await log.append(one, messages(b"mine"))

    assert [event.body for event in await waiting] == [b"mine"]
    await following.aclose()


async def test_following_loses_nothing_while_much_is_written(world: CloudWorld) -> None:
    sources = [await source(world, f"dev{number}") for number in range(8)]
    log = world.hubs.telemetry
    following = log.follow(world.hub, start=Start.EARLIEST)

    async def write() -> None:
        for round_number in range(25):
            await asyncio.gather(
                *(log.append(origin, messages(b"%d" % round_number)) for origin in sources)
            )

    writing = asyncio.ensure_future(write())
    events = await take(following, 200)
    await writing
    await following.aclose()

    for origin in sources:
        own = [int(event.body) for event in events if event.device_id == origin.device_id]
        assert own == list(range(25))


async def test_trimming_by_age_and_by_size(world: CloudWorld) -> None:
    origin = await source(world)
    log = world.hubs.telemetry
    for _ in range(10):
        await log.append(origin, messages(b"x" * 1000))
        world.clock.move(timedelta(hours=1))

    forever = timedelta(days=999)
    assert await log.trim(Retention(max_age=forever)) == 0
    assert await log.trim(Retention(max_age=timedelta(hours=7, minutes=30))) == 3
    assert await log.trim(Retention(max_age=forever, max_bytes=3_500)) == 4
    left = await log.read_all(world.hub)
    assert [event.sequence_number for event in left] == [7, 8, 9]
    assert await log.trim(Retention(max_age=timedelta(0))) == 3
    await log.append(origin, messages(b"after"))
    assert [event.sequence_number for event in await log.read_all(world.hub)] == [10]


async def test_housekeeping_keeps_to_the_services_retention(world: CloudWorld) -> None:
    origin = await source(world)
    await world.hubs.telemetry.append(origin, messages(b"x"))
    short = await HubService.start(
        world.stores.hub, retention=Retention(max_age=timedelta(minutes=1)), clock=world.clock
    )
    world.clock.move(timedelta(minutes=2))

    await short.housekeep()

    assert await short.telemetry.read_all(world.hub) == []


async def test_closing_waits_for_what_was_appended(world: CloudWorld) -> None:
    origin = await source(world)
    results: list[BaseException | None] = []
    for _ in range(3):
        world.hubs.telemetry.append_batch(origin, messages(b"x"), results.append)
        await asyncio.sleep(0)

    await world.hubs.close()

    assert results == [None] * 3
    await asyncio.wait_for(world.hubs.close(), 10)
