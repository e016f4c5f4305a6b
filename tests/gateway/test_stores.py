"""What the gateway keeps in SQLite: bounds, numbers that only grow, nothing left behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mooring.gateway.configuration.model import StoredConnection
from mooring.gateway.connections.assignments import Assignment, assignment_key
from mooring.gateway.stores import attempts as attempts_module
from mooring.gateway.stores import migrations
from mooring.gateway.stores.assignments import SqliteAssignmentStore
from mooring.gateway.stores.attempts import SqliteAttemptStore
from mooring.gateway.stores.configuration import SNAPSHOTS_KEPT, SqliteConfigurationStore
from mooring.runtime.attempts import MAX_WIRE_IDS, Attempt, AttemptRecorder
from mooring.runtime.clock import SYSTEM_CLOCK
from mooring.storage.database import Database


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database.open(tmp_path / "gateway.db", migrations_package=migrations.__name__)
    yield database
    await database.close()


def failed(code: str = "connection-refused", *, wire_id: str = "", **context: str) -> Attempt:
    recorder = AttemptRecorder("connect", **context)
    recorder.begin("provisioning.tcp")
    if wire_id:
        recorder.saw("request_id", wire_id)
    recorder.fail(code, "Refused.", "Start it.")
    return recorder.snapshot()


def succeeded() -> Attempt:
    recorder = AttemptRecorder("connect")
    recorder.finish()
    return recorder.snapshot()


def connection(pid: str) -> StoredConnection:
    return StoredConnection(pid, "AzureDpsX509", SYSTEM_CLOCK.now(), {"DataService": {"a": 1}})


async def test_attempts_when_they_fail_alike_are_counted_and_keep_all_wire_ids(
    database: Database,
) -> None:
    store = SqliteAttemptStore(database)
    first, second = failed(wire_id="rid-1"), failed(wire_id="rid-2")
    for attempt in (first, failed("other"), second):
        store.add("pid", attempt)
    alike, other = await store.list("pid", limit=10)
    assert (alike.count, other.count) == (2, 1)
    assert alike.latest.attempt_id == second.attempt_id
    assert alike.first_at == first.started_at
    assert alike.latest.wire_ids == {"request_id": ("rid-1", "rid-2")}
    assert await store.find(first.attempt_id) is None
    assert await store.find(second.attempt_id) == alike
    assert await store.list("pid", limit=10, wire_id="rid-1") == [alike]
    assert await store.list("pid", limit=10, wire_id="rid-9") == []


async def test_attempts_when_they_fail_alike_for_ever_stay_bounded(database: Database) -> None:
    store = SqliteAttemptStore(database)
    for number in range(MAX_WIRE_IDS * 2):
        store.add("pid", failed(wire_id=f"rid-{number}"))
    (record,) = await store.list("pid", limit=10)
    assert record.count == MAX_WIRE_IDS * 2
    assert len(record.latest.wire_ids["request_id"]) == MAX_WIRE_IDS
    assert record.latest.wire_ids["request_id"][-1] == f"rid-{MAX_WIRE_IDS * 2 - 1}"


async def test_attempts_when_many_keep_the_newest_of_each_connection(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts_module, "MAX_RECORDS_PER_CONNECTION", 3)
    store = SqliteAttemptStore(database)
    kept = [succeeded() for _ in range(5)]
    other = succeeded()
    store.add("other", other)
    for attempt in kept:
        store.add("pid", attempt)
    assert [r.latest.attempt_id for r in await store.list("pid", limit=10)] == [
        attempt.attempt_id for attempt in reversed(kept[-3:])
    ]
    assert [r.latest.attempt_id for r in await store.list("other", limit=10)] == [other.attempt_id]
    assert len(await store.list(None, limit=2)) == 2


async def test_attempts_of_two_endpoints_are_not_alike(database: Database) -> None:
    store = SqliteAttemptStore(database)
    store.add("pid", failed(endpoint="a"))
    store.add("pid", failed(endpoint="b"))
    assert len(await store.list("pid", limit=10)) == 2


async def test_attempts_when_the_database_is_closed_are_dropped_in_silence(
    tmp_path: Path,
) -> None:
    database = Database.open(tmp_path / "x.db", migrations_package=migrations.__name__)
    store = SqliteAttemptStore(database)
    await database.close()
    store.add("pid", succeeded())


async def test_snapshots_when_many_keep_the_newest_and_never_reuse_a_number(
    database: Database,
) -> None:
    store = SqliteConfigurationStore(database, SYSTEM_CLOCK)
    assert await store.latest_snapshot() is None
    numbers = [(await store.save(connection(f"p{n}"))).snapshot_id for n in range(15)]
    assert numbers == list(range(1, 16))
    kept = await database.read(
        lambda sql: [row[0] for row in sql.execute("SELECT snapshot_id FROM snapshots")]
    )
    assert kept == numbers[-SNAPSHOTS_KEPT:]
    await database.write(lambda sql: sql.execute("DELETE FROM snapshots"))
    assert (await store.remove("p0")).snapshot_id == 16
    latest = await store.latest_snapshot()
    assert latest is not None
    assert latest.snapshot_id == 16


async def test_remove_when_done_leaves_nothing_of_the_connection(database: Database) -> None:
    store = SqliteConfigurationStore(database, SYSTEM_CLOCK)
    attempts, assignments = SqliteAttemptStore(database), SqliteAssignmentStore(database)
    for pid in ("p1", "p2"):
        await store.save(connection(pid))
        await assignments.keep(pid, "key", Assignment("hub", "gw", SYSTEM_CLOCK.now(), "op"))
        attempts.add(pid, succeeded())
    await store.remove("p1")
    assert [c.pid for c in await store.load()] == ["p2"]
    assert await assignments.find("p1", "key") is None
    assert await assignments.find("p2", "key") is not None
    assert await attempts.list("p1", limit=10) == []
    assert len(await attempts.list("p2", limit=10)) == 1


async def test_assignment_when_another_is_kept_replaces_it(database: Database) -> None:
    store = SqliteAssignmentStore(database)
    first = Assignment("hub1", "gw", SYSTEM_CLOCK.now(), "op1")
    second = Assignment("hub2", "gw", SYSTEM_CLOCK.now(), "op2")
    await store.keep("pid", "key1", first)
    assert await store.find("pid", "key1") == first
    await store.keep("pid", "key2", second)
    assert await store.find("pid", "key1") is None
    assert await store.find("pid", "key2") == second
    await store.forget("pid")
    assert await store.find("pid", "key2") is None


def test_assignment_key_when_anything_differs_is_another() -> None:
    base = {
        "endpoint": "dps:8883",
        "id_scope": "0ne1",
        "sha256_thumbprint": "AB",
        "model_id": "dtmi:a;1",
    }
    keys = {assignment_key(**base)}
    for name in base:
        keys.add(assignment_key(**(base | {name: "other"})))
    keys.add(assignment_key(**(base | {"model_id": None})))
    assert len(keys) == 6
    assert assignment_key(**(base | {"endpoint": "DPS:8883"})) in keys
