"""Attempt records: counted, bounded, durable, found again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mooring.cloud.attempts.model import AttemptFilter, AttemptRecord, record_of
from mooring.cloud.attempts.service import AttemptService
from mooring.cloud.attempts.watching import AttemptWatch, Missed
from mooring.cloud.stores.sqlite import MIGRATIONS
from mooring.cloud.stores.sqlite.attempts import SqliteAttemptStore
from mooring.runtime.attempts import Attempt, AttemptRecorder
from mooring.storage.database import Database
from mooring.storage.errors import StorageFull


class SettableClock:
    """Stands still until told otherwise."""

    def __init__(self) -> None:
        self.moment = datetime(2030, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.moment.timestamp()


def attempt(
    registration_id: str = "gw1",
    *,
    code: str | None = "unknown-certificate",
    address: str = "10.0.0.1",
    clock: SettableClock | None = None,
    tracking_id: str = "",
    **context: str,
) -> Attempt:
    """Return a finished attempt; it succeeded if `code` is None."""
    recorder = AttemptRecorder(
        "registration",
        clock=clock or SettableClock(),
        registration_id=registration_id,
        source_address=address,
        **context,
    )
    recorder.begin("attestation")
    if tracking_id:
        recorder.saw("trackingId", tracking_id)
    if code is None:
        recorder.finish()
    else:
        recorder.fail(code, "nobody knows it", "enroll it")
    return recorder.snapshot()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncGenerator[Database]:
    """Open a database in a fresh folder."""
    database = Database.open(tmp_path / "cloud.db", migrations_package=MIGRATIONS)
    yield database
    await database.close()


@pytest.fixture
async def service(database: Database) -> AsyncGenerator[AttemptService]:
    """Return a service with small bounds."""
    store = SqliteAttemptStore(database, max_records=20, max_records_per_address=5)
    service = AttemptService(store)
    yield service
    await service.close()


async def names(service: AttemptService, **wanted: str) -> list[str]:
    """Return the registration ids of the records found, newest first."""
    records, _ = await service.list(AttemptFilter(**wanted), limit=1000)
    return [record.latest.context["registration_id"] for record in records]


async def test_list_after_record_shows_it_at_once_with_all_that_it_holds(
    service: AttemptService,
) -> None:
    tried = attempt(thumbprint="AB" * 32, tracking_id="t-1")

    service.record(tried)
    (record,), more = await service.list()

    assert record.latest == tried
    assert (record.count, more) == (1, None)


@pytest.mark.parametrize("code", [None, "unknown-certificate"])
async def test_list_after_a_restart_shows_stages_times_and_end(
    database: Database, code: str | None
) -> None:
    clock = SettableClock()
    recorder = AttemptRecorder("registration", clock=clock, source_address="10.0.0.1")
    recorder.begin("tls", ago_s=0.25)
    recorder.passed("TLSv1.3")
    clock.moment += timedelta(microseconds=1_500)
    recorder.begin("register")
    clock.moment += timedelta(milliseconds=20)
    recorder.saw("operationId", "op-1")
    if code is None:
        recorder.finish()
    else:
        recorder.fail(code, "nobody knows it", "enroll it")
    tried = recorder.snapshot()
    await SqliteAttemptStore(database).add([record_of(tried)])

    (record,), _ = await SqliteAttemptStore(database).list(AttemptFilter(), limit=9, before=None)

    assert record.latest.to_json() == tried.to_json()


async def test_list_shows_what_an_earlier_version_kept(database: Database) -> None:
    tried = attempt(thumbprint="AB" * 32, tracking_id="t-1")
    store = SqliteAttemptStore(database)
    await store.add([record_of(tried)])
    former = json.dumps(tried.to_json() | {"wire_ids": {}})
    await database.write(
        lambda connection: connection.execute("UPDATE attempt SET document = ?", (former,))
    )

    (record,), _ = await store.list(AttemptFilter(), limit=9, before=None)

    assert record.latest == tried


async def test_record_when_attempts_are_identical_counts_them_in_memory_and_on_disk(
    service: AttemptService,
) -> None:
    clock = SettableClock()
    for number in range(3):
        clock.moment += timedelta(seconds=1)
        service.record(attempt(clock=clock, tracking_id=f"t-{number}"))
    await service.flush()
    clock.moment += timedelta(seconds=1)
    service.record(attempt(clock=clock, tracking_id="t-3"))

    (record,), _ = await service.list()

    assert record.count == 4
    assert (record.last_at - record.first_at) == timedelta(seconds=3)
    assert record.latest.wire_ids["trackingId"] == ("t-0", "t-1", "t-2", "t-3")


@pytest.mark.parametrize(
    "other",
    [
        attempt("gw2"),
        attempt(code="disabled"),
        attempt(code=None),
        attempt(address="10.0.0.2"),
        attempt(thumbprint="CD" * 32),
        attempt(device_id="d", hub="h"),
    ],
    ids=["id", "code", "success", "address", "thumbprint", "device"],
)
async def test_record_when_attempts_differ_keeps_both(
    service: AttemptService, other: Attempt
) -> None:
    service.record(attempt())
    service.record(other)

    records, _ = await service.list()

    assert [record.count for record in records] == [1, 1]


async def test_record_when_registration_ids_differ_in_case_counts_one(
    service: AttemptService,
) -> None:
    service.record(attempt("Gw1"))
    service.record(attempt("gw1"))

    (record,), _ = await service.list()

    assert record.count == 2


async def test_record_beyond_the_bound_of_an_address_drops_its_oldest_and_no_other(
    service: AttemptService,
) -> None:
    service.record(attempt("bystander", address="10.0.0.9"))
    for number in range(9):
        service.record(attempt(f"flood{number}"))
        await service.flush()

    assert await names(service) == [f"flood{n}" for n in (8, 7, 6, 5, 4)] + ["bystander"]


async def test_record_beyond_the_bound_in_all_drops_the_oldest(service: AttemptService) -> None:
    for number in range(30):
        service.record(attempt(f"gw{number}", address=f"10.0.1.{number}"))

    assert await names(service) == [f"gw{number}" for number in range(29, 9, -1)]


async def test_record_when_an_old_one_repeats_makes_it_the_newest(service: AttemptService) -> None:
    for name in ("a", "b", "c", "a"):
        service.record(attempt(name))
        await service.flush()

    assert await names(service) == ["a", "c", "b"]


async def test_record_when_a_flood_waits_in_memory_keeps_the_newest_of_the_address(
    database: Database,
) -> None:
    service = AttemptService(SqliteAttemptStore(database), flush_every_s=3600)
    service.record(attempt("bystander", address="10.0.0.9"))
    for number in range(150):
        service.record(attempt(f"flood{number}"))

    found = await names(service)

    assert len(found) == 101
    assert (found[0], found[-1]) == ("flood149", "bystander")
    assert service.dropped == 50


async def test_record_when_too_many_wait_drops_the_oldest(database: Database) -> None:
    service = AttemptService(SqliteAttemptStore(database), flush_every_s=3600, max_pending=10)
    for number in range(15):
        service.record(attempt(f"gw{number}", address=f"10.0.0.{number}"))

    assert await names(service) == [f"gw{number}" for number in range(14, 4, -1)]
    await service.close()


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"registration_id": "ONE"}, ["one"]),
        ({"device_id": "Dev"}, ["two"]),
        ({"device_id": "dev"}, []),
        ({"thumbprint": "ab" * 32}, ["two"]),
        ({"result": "succeeded"}, ["three"]),
        ({"result": "failed"}, ["two", "one"]),
        ({"kind": "hub-connection"}, []),
        ({"source_address": "10.0.0.3"}, ["three"]),
        ({"wire_id": "track-1"}, ["one"]),
        ({"wire_id": "track"}, []),
        ({"registration_id": "one", "result": "succeeded"}, []),
    ],
)
async def test_list_with_a_filter_returns_only_what_fits(
    service: AttemptService, wanted: dict[str, str], found: list[str]
) -> None:
    service.record(attempt("one", tracking_id="track-1"))
    service.record(attempt("two", device_id="Dev", thumbprint="AB" * 32))
    service.record(attempt("three", code=None, address="10.0.0.3"))

    assert await names(service, **wanted) == found


async def test_list_in_pages_returns_each_record_once(service: AttemptService) -> None:
    for number in range(7):
        service.record(attempt(f"gw{number}", address=f"10.0.1.{number}"))

    found: list[AttemptRecord] = []
    before = None
    for expected in (3, 3, 1):
        page, before = await service.list(limit=3, before=before)
        assert len(page) == expected
        found += page

    assert before is None
    assert len({record.identity for record in found}) == 7


async def test_record_when_time_passes_is_written_without_a_list(database: Database) -> None:
    service = AttemptService(SqliteAttemptStore(database), flush_every_s=0.01)
    commits = database.commits
    service.record(attempt())

    async with asyncio.timeout(10):
        while database.commits == commits:
            await asyncio.sleep(0.01)

    assert database.commits == commits + 1
    await service.close()


async def test_close_writes_what_waits_and_it_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "cloud.db"
    database = Database.open(path, migrations_package=MIGRATIONS)
    service = AttemptService(SqliteAttemptStore(database), flush_every_s=3600)
    service.record(attempt("kept"))
    await service.close()
    await database.close()

    database = Database.open(path, migrations_package=MIGRATIONS)
    assert await names(AttemptService(SqliteAttemptStore(database))) == ["kept"]
    await database.close()


class FailingStore:
    """Refuses as often as told, then keeps."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.kept: list[AttemptRecord] = []

    async def add(self, records: Sequence[AttemptRecord]) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.kept += records

    async def list(
        self, wanted: AttemptFilter, *, limit: int, before: int | None
    ) -> tuple[list[AttemptRecord], int | None]:
        return self.kept, None


async def test_record_while_the_storage_is_full_waits_and_is_counted_with_what_comes() -> None:
    store = FailingStore(StorageFull("full", "free some"), StorageFull("full", "free some"))
    service = AttemptService(store, flush_every_s=3600)

    for name in ("a", "b"):
        service.record(attempt(name))
    await service.flush()
    service.record(attempt("a"))
    await service.flush()
    assert store.kept == []
    await service.close()

    found = {record.latest.context["registration_id"]: record.count for record in store.kept}
    assert found == {"a": 2, "b": 1}
    assert service.dropped == 0


async def test_record_that_the_store_cannot_handle_is_dropped_and_counted() -> None:
    store = FailingStore(RuntimeError("a defect"))
    service = AttemptService(store, flush_every_s=3600)

    service.record(attempt())
    await service.close()

    assert service.dropped == 1
    assert store.kept == []


async def test_record_with_long_context_cuts_it(service: AttemptService) -> None:
    service.record(attempt(client="x" * 5000))

    (record,), _ = await service.list()

    assert len(record.latest.context["client"]) == 256


async def test_record_without_wire_ids_leaves_those_that_are_kept(service: AttemptService) -> None:
    service.record(attempt(tracking_id="t-1"))
    await service.flush()
    service.record(attempt())

    (record,), _ = await service.list()

    assert record.count == 2
    assert record.latest.wire_ids == {"trackingId": ("t-1",)}


async def test_record_of_many_is_written_before_its_time(database: Database) -> None:
    service = AttemptService(SqliteAttemptStore(database), flush_every_s=3600)
    commits = database.commits
    for number in range(600):
        service.record(attempt(f"gw{number}", address=f"10.0.{number % 100}.1"))

    async with asyncio.timeout(10):
        while database.commits == commits:
            await asyncio.sleep(0.01)
    await service.close()


# -- watching -------------------------------------------------------------------------------------


async def seen(watch: AttemptWatch, count: int) -> list[AttemptRecord | Missed]:
    """Return the next `count` items of `watch`."""
    items = aiter(watch)
    return [await asyncio.wait_for(anext(items), 5) for _ in range(count)]


async def test_watch_sees_each_attempt_before_it_is_written_and_by_itself(
    service: AttemptService,
) -> None:
    service.record(attempt("before"))
    tried = [attempt(), attempt(), attempt("gw2", code=None)]

    with service.watch() as watch:
        for one in tried:
            service.record(one)
        found = await seen(watch, 3)

    assert [item.latest for item in found if isinstance(item, AttemptRecord)] == tried
    assert [item.to_json()["count"] for item in found] == [1, 1, 1]


async def test_watch_wakes_when_an_attempt_comes_and_ends_with_its_block(
    service: AttemptService,
) -> None:
    with service.watch() as watch:
        waiting = asyncio.create_task(seen(watch, 1))
        await asyncio.sleep(0)
        service.record(attempt("late"))
        (record,) = await waiting
        items = aiter(watch)

    service.record(attempt("after"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(items), 0.05)
    assert record.to_json()["context"]["registration_id"] == "late"


async def test_watch_that_is_read_too_slowly_is_told_how_many_it_missed() -> None:
    watch = AttemptWatch(AttemptFilter(), max_unread=3)
    for number in range(10):
        watch.offer(record_of(attempt(f"gw{number}")))

    found = [item.to_json() for item in await seen(watch, 4)]

    assert found[0] == {"missed": 7}
    assert [item["context"]["registration_id"] for item in found[1:]] == ["gw7", "gw8", "gw9"]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, 4),
        ({"registration_id": "GW1"}, 2),
        ({"registration_id": "gw9"}, 0),
        ({"thumbprint": "ab" * 32}, 1),
        ({"device_id": "dev-1"}, 1),
        ({"device_id": "DEV-1"}, 0),
        ({"kind": "registration"}, 4),
        ({"kind": "hub-session"}, 0),
        ({"result": "succeeded"}, 1),
        ({"result": "failed", "registration_id": "gw1"}, 1),
        ({"source_address": "10.0.0.2"}, 1),
        ({"wire_id": "t-1"}, 1),
        ({"wire_id": "t"}, 0),
    ],
)
async def test_watch_and_list_mean_the_same_by_each_filter(
    service: AttemptService, wanted: dict[str, Any], expected: int
) -> None:
    with service.watch(AttemptFilter(**wanted)) as watch:
        service.record(attempt("gw1", thumbprint="AB" * 32))
        service.record(attempt("gw1", code=None, device_id="dev-1"))
        service.record(attempt("gw2", address="10.0.0.2"))
        service.record(attempt("gw3", tracking_id="t-1"))
        watched = [item.to_json()["attempt_id"] for item in await seen(watch, expected)]
    listed, _ = await service.list(AttemptFilter(**wanted))

    assert len(watched) == expected
    assert watched[::-1] == [record.latest.attempt_id for record in listed]
