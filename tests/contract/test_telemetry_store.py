"""What every adapter does with telemetry: numbers without gaps, never used twice."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.stores import Stores

from mooring.cloud.hub.model import Hub, TelemetryEvent
from mooring.cloud.hub.store import HubStore, TelemetryRow

NOW = datetime(2030, 2, 3, 4, 5, 6, 123000, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)


@pytest.fixture
def store(stores: Stores) -> HubStore:
    return stores.hub


@pytest.fixture
async def hub(store: HubStore) -> Hub:
    return await store.create_hub("first", "localhost", 2, NOW)


@pytest.fixture
async def logs(store: HubStore, hub: Hub) -> list[int]:
    return list(await store.log_ids(hub.hub_id))


async def append(store: HubStore, *rows: TelemetryRow) -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def done(error: BaseException | None) -> None:
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)

    store.append_telemetry(rows, done, size_bytes=0)
    await future


def rows(
    log_id: int,
    count: int,
    *,
    device: str = "dev",
    start_ms: int = NOW_MS,
    step_ms: int = 0,
    body: bytes = b"x",
) -> list[TelemetryRow]:
    return [
        TelemetryRow(log_id, start_ms + n * step_ms, device, '{"a":1}', "k=v", body)
        for n in range(count)
    ]


async def read(
    store: HubStore,
    log_id: int,
    position: int = 0,
    *,
    device: str | None = None,
    limit: int = 10_000,
    max_bytes: int = 1 << 30,
    max_scanned: int = 1 << 30,
) -> tuple[list[TelemetryEvent], int]:
    events, after = await store.read_telemetry(
        log_id,
        0,
        from_sequence_number=position,
        device_id=device,
        limit=limit,
        max_bytes=max_bytes,
        max_scanned=max_scanned,
    )
    return list(events), after


async def test_a_message_comes_back_whole(store: HubStore, logs: list[int]) -> None:
    body = bytes(range(256))
    row = TelemetryRow(logs[0], NOW_MS, "Dev/ä", '{"model":"dtmi:x;1"}', "%24.ct=a%2Fb&ü=", body)
    await append(store, row)

    [event], position = await read(store, logs[0])

    assert event == TelemetryEvent(
        0, 0, 0, NOW, "Dev/ä", "%24.ct=a%2Fb&ü=", body, {"model": "dtmi:x;1"}
    )
    assert position == 1


@pytest.mark.parametrize("count", [1, 63, 64, 65, 200])
async def test_numbers_and_offsets_rise_without_gaps_in_each_partition(
    store: HubStore, logs: list[int], count: int
) -> None:
    mixed = [
        row for pair in zip(rows(logs[0], count), rows(logs[1], count), strict=True) for row in pair
    ]
    await append(store, *mixed)
    await append(store, *rows(logs[1], 3))

    for log_id, total in ((logs[0], count), (logs[1], count + 3)):
        events, position = await read(store, log_id)
        assert [event.sequence_number for event in events] == list(range(total))
        assert position == total
        offsets = [event.offset for event in events]
        assert offsets == sorted(set(offsets))


async def test_bodies_stay_with_their_messages(store: HubStore, logs: list[int]) -> None:
    await append(
        store, *(TelemetryRow(logs[0], NOW_MS, "d", "{}", "", str(n).encode()) for n in range(150))
    )
    events, _ = await read(store, logs[0])
    assert [event.body for event in events] == [str(n).encode() for n in range(150)]


async def test_a_clock_that_goes_back_does_not_reorder_times(
    store: HubStore, logs: list[int]
) -> None:
    await append(store, *rows(logs[0], 1))
    await append(store, *rows(logs[0], 2, start_ms=NOW_MS - 5000))
    await append(store, *rows(logs[0], 1, start_ms=NOW_MS + 5))

    events, _ = await read(store, logs[0])

    assert [event.enqueued_at - NOW for event in events] == [
        timedelta(0),
        timedelta(0),
        timedelta(0),
        timedelta(milliseconds=5),
    ]


async def test_reading_is_bounded_and_goes_on_where_it_stopped(
    store: HubStore, logs: list[int]
) -> None:
    await append(store, *rows(logs[0], 30, body=b"x" * 100))

    events, position = await read(store, logs[0], 5, limit=10)
    assert [event.sequence_number for event in events] == list(range(5, 15))
    assert position == 15
    events, position = await read(store, logs[0], 15, max_bytes=250)
    assert [event.sequence_number for event in events] == [15, 16]
    assert position == 17
    events, position = await read(store, logs[0], 17, max_bytes=1)
    assert [event.sequence_number for event in events] == [17]
    events, position = await read(store, logs[0], 99)
    assert events == []
    assert position >= 30


async def test_one_devices_messages_are_found_among_others(
    store: HubStore, logs: list[int]
) -> None:
    for n in range(20):
        await append(store, *rows(logs[0], 1, device="rare" if n == 13 else "often"))

    events, position = await read(store, logs[0], device="rare", max_scanned=10)
    assert (events, position) == ([], 10)
    events, position = await read(store, logs[0], 10, device="rare", max_scanned=10)
    assert [event.sequence_number for event in events] == [13]
    assert position == 20


async def test_a_time_is_found(store: HubStore, logs: list[int]) -> None:
    await append(store, *rows(logs[0], 10, step_ms=1000))

    assert await store.find_telemetry(logs[0], NOW - timedelta(days=1)) == 0
    assert await store.find_telemetry(logs[0], NOW + timedelta(seconds=4)) == 4
    assert await store.find_telemetry(logs[0], NOW + timedelta(seconds=4, microseconds=1)) == 5
    assert await store.find_telemetry(logs[0], NOW + timedelta(days=1)) == 10
    assert await store.find_telemetry(logs[1], NOW) == 0


async def test_a_partition_is_described(store: HubStore, logs: list[int]) -> None:
    empty = await store.describe_partition(logs[0], 0)
    assert (empty.first_sequence_number, empty.last_sequence_number) == (0, -1)
    assert empty.last_enqueued_at is None
    assert empty.retained_bytes == 0

    await append(store, *rows(logs[0], 4, step_ms=1000))

    full = await store.describe_partition(logs[0], 0)
    events, _ = await read(store, logs[0])
    assert (full.first_sequence_number, full.last_sequence_number) == (0, 3)
    assert full.last_offset == events[-1].offset
    assert full.last_enqueued_at == NOW + timedelta(seconds=3)
    assert full.retained_bytes == events[1].offset * 4


async def test_trimming_by_age_takes_the_oldest_in_steps(store: HubStore, logs: list[int]) -> None:
    await append(store, *rows(logs[0], 10, step_ms=1000))
    before = NOW + timedelta(seconds=7)

    assert await store.trim_telemetry(logs[0], before=before, limit=4) == 4
    assert await store.trim_telemetry(logs[0], before=before, limit=4) == 3
    assert await store.trim_telemetry(logs[0], before=before, limit=4) == 0
    events, _ = await read(store, logs[0], 2)
    assert [event.sequence_number for event in events] == [7, 8, 9]
    assert (await store.describe_partition(logs[0], 0)).first_sequence_number == 7
    assert await store.find_telemetry(logs[0], NOW) == 7


async def test_numbers_are_not_used_again_after_everything_was_trimmed(
    store: HubStore, logs: list[int]
) -> None:
    await append(store, *rows(logs[0], 5, start_ms=NOW_MS + 60_000))
    events, _ = await read(store, logs[0])
    await store.trim_telemetry(logs[0], before=NOW + timedelta(days=1), limit=99)
    emptied = await store.describe_partition(logs[0], 0)
    assert (emptied.first_sequence_number, emptied.last_sequence_number) == (5, 4)
    assert emptied.retained_bytes == 0
    assert emptied.last_enqueued_at == NOW + timedelta(seconds=60)

    await append(store, *rows(logs[0], 1))

    [event], position = await read(store, logs[0])
    assert event.sequence_number == 5
    assert event.offset > events[-1].offset
    assert event.enqueued_at == NOW + timedelta(seconds=60)
    assert position == 6


async def test_the_excess_over_a_size_is_found_over_all_partitions(
    store: HubStore, logs: list[int]
) -> None:
    await append(store, *rows(logs[0], 10, step_ms=1000, body=b"x" * 1000))
    await append(store, *rows(logs[1], 10, step_ms=1000, body=b"x" * 1000))
    total = sum([(await store.describe_partition(log_id, 0)).retained_bytes for log_id in logs])

    assert await store.find_excess(total) is None
    cut = await store.find_excess(total // 2)
    assert cut == NOW + timedelta(seconds=4, milliseconds=1)
    assert await store.find_excess(0) == NOW + timedelta(seconds=9, milliseconds=1)
    for log_id in logs:
        assert await store.trim_telemetry(log_id, before=cut, limit=99) == 5
    assert await store.find_excess(total // 2) is None


async def test_hubs_do_not_see_each_others_messages(store: HubStore, logs: list[int]) -> None:
    other = await store.create_hub("second", "b.test", 1, NOW)
    [other_log] = await store.log_ids(other.hub_id)
    await append(store, *rows(other_log, 3))

    assert await read(store, logs[0]) == ([], 0)
    assert len((await read(store, other_log))[0]) == 3
