"""Queries by the service, over a real store: pages, what is read for them, limits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from tests.support.cloudworld import CloudWorld

from mooring.cloud.hub.model import (
    AuthenticationType,
    DeviceAuthentication,
    DeviceDraft,
    DeviceStatus,
    Hub,
)
from mooring.cloud.hub.query import scanning, service
from mooring.cloud.hub.query.errors import (
    ContinuationInvalid,
    QueriesFull,
    QueryNotServed,
    QueryTooLarge,
)
from mooring.cloud.hub.query.model import ItemType, QueryPage
from mooring.cloud.hub.query.service import MAX_SCANS, QueryService
from mooring.cloud.hub.twins.documents import twin_to_json
from mooring.cloud.hub.twins.model import Twin
from mooring.protocol.azure.errors import QueryMalformed

PINNED = DeviceAuthentication(AuthenticationType.SELF_SIGNED, "AB" * 32)


class Fleet:
    """The first hub with some devices, its twins as they are read, and time as it is told."""

    def __init__(self, world: CloudWorld) -> None:
        self.world, self.hub = world, world.hub
        self.now_s = 0.0
        self.scanned = 0
        self.before_scan: Any = None
        self.query = QueryService(self, world.hubs.devices, monotonic=lambda: self.now_s)

    async def add(self, *device_ids: str, **draft: Any) -> None:
        for device_id in device_ids:
            await self.world.hubs.devices.put(
                self.hub, DeviceDraft(device_id, PINNED, **draft), if_match=None
            )

    async def get(self, hub: Hub, device_id: str) -> Twin:
        return await self.world.hubs.twins.get(hub, device_id)

    async def scan(self, hub: Hub, *, after: str | None = None, limit: int) -> Sequence[Twin]:
        if self.before_scan is not None:
            await self.before_scan()
        found = await self.world.hubs.twins.scan(hub, after=after, limit=limit)
        self.scanned += len(found)
        return found

    async def page(self, text: str, **options: Any) -> QueryPage:
        return await self.query.run(self.hub, text, **options)

    async def pages(self, text: str, limit: int) -> AsyncIterator[list[dict[str, Any]]]:
        continuation = None
        while True:
            page = await self.page(text, limit=limit, continuation=continuation)
            yield json.loads(page.body)
            assert page.continuation is None or page.continuation != continuation
            continuation = page.continuation
            if continuation is None:
                return

    async def rows(self, text: str, limit: int = 1000) -> list[dict[str, Any]]:
        return [row async for page in self.pages(text, limit) for row in page]

    async def ids(self, text: str, limit: int = 1000) -> list[str]:
        return [row["deviceId"] for row in await self.rows(text, limit)]


@pytest.fixture
async def fleet(world: CloudWorld) -> Fleet:
    return Fleet(world)


NAMES = [f"d{number:02}" for number in range(10)]


async def test_whole_twins_are_given_by_id(fleet: Fleet) -> None:
    await fleet.add("b", "a", initial_tags={"site": "north"})

    page = await fleet.page("SELECT * FROM devices")

    assert page.item_type is ItemType.TWIN
    assert page.continuation is None
    twins = [await fleet.world.hubs.twins.get(fleet.hub, name) for name in ("a", "b")]
    assert json.loads(page.body) == [json.loads(json.dumps(twin_to_json(t))) for t in twins]


async def test_empty_hub_gives_an_empty_page(fleet: Fleet) -> None:
    page = await fleet.page("SELECT * FROM devices")

    assert (page.body, page.continuation) == (b"[]", None)


@pytest.mark.parametrize(
    ("limit", "sizes"), [(3, [3, 3, 3, 1]), (5, [5, 5]), (10, [10]), (1000, [10])]
)
async def test_pages_have_their_size_and_nothing_twice(
    fleet: Fleet, limit: int, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "CHUNK_TWINS", 5)
    await fleet.add(*NAMES)

    pages = [page async for page in fleet.pages("SELECT deviceId FROM devices", limit)]

    assert [len(page) for page in pages] == sizes
    assert [row["deviceId"] for page in pages for row in page] == NAMES


async def test_default_page_has_100(fleet: Fleet) -> None:
    await fleet.add(*(f"d{number:03}" for number in range(101)))

    page = await fleet.page("SELECT deviceId FROM devices")

    assert (len(page.rows), page.item_type) == (100, ItemType.RAW)
    assert page.continuation is not None


async def test_page_size_may_change_on_the_way(fleet: Fleet) -> None:
    await fleet.add(*NAMES)
    text = "SELECT * FROM devices"

    first = await fleet.page(text, limit=3)
    second = await fleet.page(text, limit=4, continuation=first.continuation)

    assert [json.loads(row)["deviceId"] for row in second.rows] == NAMES[3:7]


async def test_devices_that_come_and_go_between_pages_neither_hide_nor_repeat_others(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "CHUNK_TWINS", 2)
    await fleet.add(*NAMES)
    numbers = iter(range(100))

    async def disturb() -> None:
        number = next(numbers)
        await fleet.add(f"d{number % 10:02}-{number:02}", f"a{number:02}")
        await fleet.world.hubs.devices.delete(fleet.hub, f"a{number:02}")

    fleet.before_scan = disturb
    found = await fleet.ids("SELECT deviceId FROM devices WHERE is_defined(deviceId)", limit=3)

    assert found == sorted(set(found))
    assert set(NAMES) <= set(found)


async def test_top_holds_over_all_pages(fleet: Fleet) -> None:
    await fleet.add(*NAMES)

    pages = [page async for page in fleet.pages("SELECT TOP 5 * FROM devices", 2)]

    assert [len(page) for page in pages] == [2, 2, 1]


async def test_continuation_of_another_query_is_refused(fleet: Fleet) -> None:
    await fleet.add(*NAMES)
    first = await fleet.page("SELECT * FROM devices", limit=3)

    with pytest.raises(ContinuationInvalid):
        await fleet.page("SELECT deviceId FROM devices", continuation=first.continuation)


@pytest.mark.parametrize(
    ("condition", "found", "scanned"),
    [
        ("deviceId = 'd03'", ["d03"], 0),
        ("'d03' = DeviceId AND status = 'enabled'", ["d03"], 0),
        ("deviceId IN ['d07', 'd01', 'nobody', 5] AND tags.n > 1", ["d07"], 0),
        ("deviceId = 'd01' AND deviceId = 'd02'", [], 0),
        ("deviceId = 5", [], 0),
        ("STARTSWITH(deviceId, 'd0') AND deviceId != 'd00'", NAMES[1:], 10),
        ("STARTSWITH(deviceId, 'd05')", ["d05"], 4),
        ("deviceId = 'd01' OR tags.n = 7", ["d01", "d07"], 10),
        ("NOT deviceId = 'd01'", ["d00", *NAMES[2:]], 10),
        ("deviceId NIN ['d01']", ["d00", *NAMES[2:]], 10),
    ],
)
async def test_only_devices_that_can_fit_are_read(
    fleet: Fleet, condition: str, found: list[str], scanned: int
) -> None:
    for number, name in enumerate(NAMES):
        await fleet.add(name, initial_tags={"n": number})

    assert await fleet.ids(f"SELECT deviceId FROM devices WHERE {condition}") == found
    assert fleet.scanned == scanned
    one_by_one = await fleet.ids(f"SELECT * FROM devices WHERE {condition}", limit=1)
    assert one_by_one == found


async def test_reading_ends_where_ids_begin_otherwise(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "CHUNK_TWINS", 2)
    await fleet.add(*NAMES)

    found = await fleet.ids("SELECT deviceId FROM devices WHERE STARTSWITH(deviceId, 'd03')")

    assert (found, fleet.scanned) == (["d03"], 2)


async def test_counts_are_those_of_the_registry(fleet: Fleet) -> None:
    await fleet.add(*NAMES[:7])
    await fleet.add(*NAMES[7:], status=DeviceStatus.DISABLED)

    for condition, count in [
        ("", 10),
        ("WHERE status = 'enabled'", 7),
        ("WHERE status='disabled'", 3),
    ]:
        page = await fleet.page(f"SELECT COUNT() AS n FROM devices {condition}")
        assert (json.loads(page.body), page.item_type) == ([{"n": count}], ItemType.RAW)
    assert fleet.scanned == 0
    assert await fleet.rows("SELECT COUNT() FROM devices WHERE status != 'enabled'") == [{"$1": 3}]
    assert fleet.scanned == 10


async def test_groups_come_in_pages(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "CHUNK_TWINS", 3)
    for number, name in enumerate(NAMES):
        await fleet.add(name, initial_tags={"m": number % 4})
    text = "SELECT tags.m, COUNT() AS n FROM devices GROUP BY tags.m"

    pages = [page async for page in fleet.pages(text, 3)]

    assert pages == [
        [{"m": 0, "n": 3}, {"m": 1, "n": 3}, {"m": 2, "n": 2}],
        [{"m": 3, "n": 2}],
    ]


async def test_page_that_takes_too_long_is_short_and_can_be_continued(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "CHUNK_TWINS", 4)
    await fleet.add(*NAMES)

    async def dawdle() -> None:
        fleet.now_s += service.PAGE_TIME_S / 2

    fleet.before_scan = dawdle
    text = "SELECT deviceId FROM devices WHERE deviceId > 'd08'"
    pages = [page async for page in fleet.pages(text, 100)]

    assert pages == [[], [{"deviceId": "d09"}]]


async def test_page_ends_before_it_is_too_large(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MAX_PAGE_BYTES", 1000)
    await fleet.add(*NAMES, initial_tags={"text": "x" * 600})

    pages = [page async for page in fleet.pages("SELECT deviceId, tags FROM devices", 100)]

    assert [len(page) for page in pages] == [2] * 5


async def test_aggregate_that_takes_too_long_is_refused(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "CHUNK_TWINS", 2)
    await fleet.add(*NAMES)

    async def dawdle() -> None:
        fleet.now_s += service.AGGREGATE_TIME_S / 2

    fleet.before_scan = dawdle
    with pytest.raises(QueryTooLarge, match="'d03'"):
        await fleet.page("SELECT COUNT() FROM devices WHERE version > 0")


async def test_only_some_queries_read_at_once_and_only_some_wait(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MAX_WAITING", 3)
    await fleet.add("d")
    reading, most = 0, 0
    go_on = asyncio.Event()

    async def wait() -> None:
        nonlocal reading, most
        reading += 1
        most = max(most, reading)
        await go_on.wait()
        reading -= 1

    fleet.before_scan = wait
    allowed = MAX_SCANS + 3
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(fleet.page("SELECT * FROM devices")) for _ in range(allowed)]
        while reading < MAX_SCANS:
            await asyncio.sleep(0)
        with pytest.raises(QueriesFull) as refused:
            await fleet.page("SELECT * FROM devices")
        go_on.set()
    assert (refused.value.http_status, refused.value.retry_after_s) == (429, 1)
    assert most == MAX_SCANS
    assert [len(task.result().rows) for task in tasks] == [1] * allowed
    fleet.before_scan = None
    assert len((await fleet.page("SELECT * FROM devices")).rows) == 1


async def test_another_hubs_devices_are_not_seen(fleet: Fleet) -> None:
    await fleet.add("mine")
    other = await fleet.world.hubs.hubs.create("other", "other.example.net")
    await fleet.world.hubs.devices.put(other, DeviceDraft("theirs", PINNED), if_match=None)

    assert await fleet.ids("SELECT * FROM devices") == ["mine"]
    assert await fleet.ids("SELECT * FROM devices WHERE deviceId IN ['mine', 'theirs']") == ["mine"]
    assert await fleet.rows("SELECT COUNT() AS n FROM devices") == [{"n": 1}]


async def test_connection_state_is_that_of_the_moment(fleet: Fleet) -> None:
    await fleet.add("a", "b")
    fleet.world.hubs.connected(fleet.hub, "b")

    found = await fleet.ids("SELECT * FROM devices WHERE connectionState = 'Connected'")

    assert found == ["b"]


@pytest.mark.parametrize("collection", ["devices.modules", "devices.jobs"])
async def test_modules_and_jobs_are_not_served(fleet: Fleet, collection: str) -> None:
    with pytest.raises(QueryNotServed, match=collection) as refused:
        await fleet.page(f"SELECT * FROM {collection}")
    assert refused.value.http_status == 501


async def test_text_that_is_no_query_is_refused(fleet: Fleet) -> None:
    with pytest.raises(QueryMalformed):
        await fleet.page("SELECT")
