"""What every adapter does with cloud-to-device messages and their feedback."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.stores import Stores

from mooring.cloud.hub.devicebound.model import Ack, FeedbackStatus, QueuedMessage
from mooring.cloud.hub.devicebound.store import FeedbackRow, NewMessage, Redelivery
from mooring.cloud.hub.model import (
    AuthenticationType,
    ConnectionState,
    DeviceAuthentication,
    DeviceIdentity,
    DeviceStatus,
    Hub,
)
from mooring.cloud.hub.store import HubStore, InitialTwinText
from mooring.cloud.preconditions import RecordsFull

NOW = datetime(2030, 2, 3, 4, 5, 6, 123457, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


@pytest.fixture
def store(stores: Stores) -> HubStore:
    return stores.hub


@pytest.fixture
async def hub(store: HubStore) -> Hub:
    hub = await store.create_hub("first", "localhost", 1, NOW)
    await add_device(store, hub, "dev", "g1")
    await add_device(store, hub, "Dev", "g2")
    return hub


async def add_device(store: HubStore, hub: Hub, device_id: str, generation_id: str) -> None:
    identity = DeviceIdentity(
        device_id,
        generation_id,
        "e1",
        DeviceStatus.ENABLED,
        None,
        None,
        DeviceAuthentication(AuthenticationType.CERTIFICATE_AUTHORITY),
        False,
        ConnectionState.DISCONNECTED,
        None,
        None,
        NOW,
    )
    await store.save_device(hub.hub_id, identity, replaces=None, twin=InitialTwinText(), limit=100)


def message(
    name: str = "m", *, at: datetime = NOW, ttl: timedelta = HOUR, ack: Ack = Ack.FULL
) -> NewMessage:
    return NewMessage(at, at + ttl, ack, name, f"%24.mid={name}", name.encode())


async def send(
    store: HubStore, hub: Hub, *messages: NewMessage, device: str = "dev", limit: int = 50
) -> list[int | None]:
    return [
        await store.enqueue_message(hub.hub_id, device, item, limit=limit, locked=())
        for item in messages
    ]


def waiting(
    store: HubStore,
    hub: Hub,
    *,
    device: str = "dev",
    generation: str = "g1",
    now: datetime = NOW,
    locked: tuple[int, ...] = (),
    limit: int = 50,
) -> list[QueuedMessage]:
    return list(
        store.waiting_messages(hub.hub_id, device, generation, now=now, locked=locked, limit=limit)
    )


def bodies(messages: list[QueuedMessage]) -> list[bytes]:
    return [item.body for item in messages]


async def outcome(start: Callable[[Callable[[Any, BaseException | None], None]], None]) -> Any:
    """Return what a call in callback style came to."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def done(result: Any, error: BaseException | None) -> None:
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    start(done)
    assert not future.done(), "done is called after the commit, never at once"
    return await future


async def settle(
    store: HubStore, key: int, status: FeedbackStatus = FeedbackStatus.SUCCESS, at: datetime = NOW
) -> Any:
    return await outcome(lambda done: store.settle_message(key, status, at, done))


async def give_back(store: HubStore, key: int, maximum: int = 10) -> Any:
    return await outcome(
        lambda done: store.give_back_message(key, max_delivery_count=maximum, now=NOW, done=done)
    )


async def told(store: HubStore, hub: Hub) -> list[tuple[str | None, str]]:
    rows = await store.list_feedback(hub.hub_id, since=NOW - HOUR, limit=1000)
    return [(row.record.original_message_id, row.record.status.value) for row in rows]


async def batch(
    store: HubStore,
    hub: Hub,
    *,
    now: datetime = NOW + 15 * SECOND,
    locked: tuple[int, ...] = (),
    max_records: int = 64,
    ttl: timedelta = HOUR,
) -> list[FeedbackRow]:
    return list(
        await store.feedback_batch(
            hub.hub_id,
            now=now,
            ttl=ttl,
            gathered_before=now - 15 * SECOND,
            max_records=max_records,
            locked=locked,
        )
    )


async def test_a_queue_is_first_in_first_out_and_numbered_per_device(
    store: HubStore, hub: Hub
) -> None:
    assert await send(store, hub, message("a"), message("b")) == [1, 2]
    assert await send(store, hub, message("other"), device="Dev") == [1]
    assert await send(store, hub, message("c")) == [3]

    found = waiting(store, hub)
    assert bodies(found) == [b"a", b"b", b"c"]
    first = found[0]
    assert (first.sequence_number, first.delivery_count, first.ack) == (1, 0, Ack.FULL)
    assert (first.enqueued_at, first.expires_at) == (NOW, NOW + HOUR)
    assert first.properties == "%24.mid=a"
    assert bodies(waiting(store, hub, limit=2)) == [b"a", b"b"]
    assert bodies(waiting(store, hub, locked=(first.message_key,), limit=1)) == [b"b"]
    assert bodies(waiting(store, hub, device="Dev", generation="g2")) == [b"other"]
    assert await store.queue_of(hub.hub_id, "dev") == found


async def test_only_a_device_that_exists_has_a_queue(store: HubStore, hub: Hub) -> None:
    assert await send(store, hub, message(), device="DEV") == [None]
    other = await store.create_hub("second", "b.test", 1, NOW)
    assert await send(store, other, message()) == [None]


async def test_messages_of_a_former_device_reach_nobody(store: HubStore, hub: Hub) -> None:
    await send(store, hub, message("old"))
    (old,) = waiting(store, hub)
    await settle(store, old.message_key)
    await send(store, hub, message("older"))
    (older,) = waiting(store, hub)
    await store.delete_device(hub.hub_id, "dev", replaces="e1")

    assert await store.queue_of(hub.hub_id, "dev") == []
    assert await told(store, hub) == []
    await add_device(store, hub, "dev", "g3")
    assert await send(store, hub, message("new")) == [1]
    (new,) = waiting(store, hub, generation="g3")
    assert new.body == b"new"
    assert new.message_key > older.message_key
    # A connection of the former device, which is about to be closed, gets nothing of it.
    assert waiting(store, hub, generation="g1") == []
    assert await settle(store, older.message_key) is False


async def test_a_full_queue_takes_no_more_until_something_expires(
    store: HubStore, hub: Hub
) -> None:
    await send(store, hub, message("short", ttl=SECOND), message("long"), limit=2)
    with pytest.raises(RecordsFull):
        await send(store, hub, message("more"), limit=2)

    later = NOW + SECOND
    assert await send(store, hub, message("more", at=later), limit=2) == [3]
    assert bodies(waiting(store, hub, now=later)) == [b"long", b"more"]
    assert await told(store, hub) == [("short", "Expired")]


async def test_a_locked_message_does_not_expire_when_another_is_sent(
    store: HubStore, hub: Hub
) -> None:
    await send(store, hub, message("held", ttl=SECOND))
    (held,) = waiting(store, hub)

    await store.enqueue_message(
        hub.hub_id,
        "dev",
        message("next", at=NOW + SECOND),
        limit=50,
        locked=(held.message_key,),
    )

    assert await settle(store, held.message_key) is True
    assert await told(store, hub) == [("held", "Success")]


@pytest.mark.parametrize(
    ("ack", "statuses"),
    [
        (Ack.NONE, []),
        (Ack.POSITIVE, ["Success"]),
        (Ack.NEGATIVE, ["Expired", "DeliveryCountExceeded", "Rejected", "Purged"]),
        (Ack.FULL, ["Success", "Expired", "DeliveryCountExceeded", "Rejected", "Purged"]),
    ],
)
async def test_senders_are_told_what_they_asked_for(
    store: HubStore, hub: Hub, ack: Ack, statuses: list[str]
) -> None:
    for status in FeedbackStatus:
        await send(store, hub, message(status.value, ack=ack))
        (found,) = waiting(store, hub)
        assert await settle(store, found.message_key, status) is True
        assert await settle(store, found.message_key, status) is False

    assert await told(store, hub) == [(status, status) for status in statuses]


async def test_feedback_names_the_message_the_device_and_the_moment(
    store: HubStore, hub: Hub
) -> None:
    await send(store, hub, message("c-1"))
    (found,) = waiting(store, hub)
    await settle(store, found.message_key, at=NOW + SECOND)

    (row,) = await batch(store, hub, now=NOW + 16 * SECOND)
    record = row.record
    assert (record.original_message_id, record.status) == ("c-1", FeedbackStatus.SUCCESS)
    assert (record.device_id, record.device_generation_id) == ("dev", "g1")
    assert record.enqueued_at == NOW + SECOND


async def test_what_is_given_back_keeps_its_place_until_the_last_delivery(
    store: HubStore, hub: Hub
) -> None:
    await send(store, hub, message("a"), message("b"))
    first = waiting(store, hub)[0]

    assert await give_back(store, first.message_key, maximum=2) is Redelivery.AGAIN
    assert [(m.body, m.delivery_count) for m in waiting(store, hub)] == [(b"a", 1), (b"b", 0)]
    assert await give_back(store, first.message_key, maximum=2) is Redelivery.DEAD_LETTERED
    assert bodies(waiting(store, hub)) == [b"b"]
    assert await give_back(store, first.message_key, maximum=2) is Redelivery.GONE
    assert await told(store, hub) == [("a", "DeliveryCountExceeded")]


async def test_expired_messages_are_found_in_pages_and_given_up(store: HubStore, hub: Hub) -> None:
    await send(store, hub, message("a", ttl=SECOND), message("b", ttl=2 * SECOND), message("c"))
    await send(store, hub, message("d", ttl=SECOND), device="Dev")

    assert bodies(waiting(store, hub, now=NOW + SECOND)) == [b"b", b"c"]
    first = await store.expired_messages(NOW + 2 * SECOND, beyond=0, limit=2)
    rest = await store.expired_messages(NOW + 2 * SECOND, beyond=first[-1].message_key, limit=2)
    assert [(m.hub_id, m.device_id) for m in (*first, *rest)] == [
        (hub.hub_id, "dev"),
        (hub.hub_id, "dev"),
        (hub.hub_id, "Dev"),
    ]
    await store.expire_messages([m.message_key for m in (*first, *rest)], NOW)
    await store.expire_messages([m.message_key for m in (*first, *rest)], NOW)
    await store.expire_messages([], NOW)
    assert await told(store, hub) == [("a", "Expired"), ("b", "Expired"), ("d", "Expired")]
    assert bodies(waiting(store, hub)) == [b"c"]


async def test_purging_tells_how_many_and_tells_the_senders(store: HubStore, hub: Hub) -> None:
    await send(store, hub, message("late", ttl=SECOND), message("a"), message("b"))
    await send(store, hub, message("other"), device="Dev")

    assert await store.purge_queue(hub.hub_id, "dev", NOW + SECOND) == 2
    assert await store.purge_queue(hub.hub_id, "dev", NOW + SECOND) == 0
    assert await told(store, hub) == [("late", "Expired"), ("a", "Purged"), ("b", "Purged")]
    assert bodies(waiting(store, hub, device="Dev", generation="g2")) == [b"other"]


async def test_counts_leave_out_what_expired(store: HubStore, hub: Hub) -> None:
    await send(store, hub, message("a", ttl=SECOND), message("b"))
    await send(store, hub, message("c", ttl=SECOND), device="Dev")

    assert store.count_messages(hub.hub_id, "dev", NOW) == 2
    assert store.count_messages(hub.hub_id, "dev", NOW + SECOND) == 1
    assert store.count_messages(hub.hub_id, "nobody", NOW) == 0
    ids = ["dev", "Dev", "nobody"]
    assert await store.count_all_messages(hub.hub_id, ids, NOW) == {"dev": 2, "Dev": 1}
    assert await store.count_all_messages(hub.hub_id, ids, NOW + SECOND) == {"dev": 1}
    assert await store.count_all_messages(hub.hub_id, ["Dev"], NOW) == {"Dev": 1}


async def settle_all(store: HubStore, hub: Hub, *names: str, at: datetime = NOW) -> None:
    for name in names:
        await send(store, hub, message(name))
        await settle(store, waiting(store, hub)[0].message_key, at=at)


def names(rows: list[FeedbackRow]) -> list[str | None]:
    return [row.record.original_message_id for row in rows]


async def test_feedback_is_gathered_to_a_number_or_for_a_time(store: HubStore, hub: Hub) -> None:
    await settle_all(store, hub, "a", "b", "c")

    assert await batch(store, hub, now=NOW + 14 * SECOND, max_records=4) == []
    first = await batch(store, hub, now=NOW, max_records=2)
    assert names(first) == ["a", "b"]
    key = first[0].batch_key
    assert key is not None
    assert await batch(store, hub, now=NOW, max_records=2, locked=(key,)) == []
    assert await batch(store, hub, now=NOW, max_records=2) == first  # its lock ended
    assert names(await batch(store, hub, max_records=2, locked=(key,))) == ["c"]
    other = await store.create_hub("second", "b.test", 1, NOW)
    assert await batch(store, other) == []


async def test_feedback_is_settled_or_given_back_as_a_whole(store: HubStore, hub: Hub) -> None:
    await settle_all(store, hub, "a", "b")
    (first, _) = await batch(store, hub)
    key = first.batch_key
    assert key is not None

    assert await store.give_back_feedback(hub.hub_id, key, max_delivery_count=3) is True
    assert [row.delivery_count for row in await batch(store, hub)] == [1, 1]
    assert await store.settle_feedback(hub.hub_id, key) is True
    assert await store.settle_feedback(hub.hub_id, key) is False
    assert await store.give_back_feedback(hub.hub_id, key, max_delivery_count=3) is False
    assert await batch(store, hub) == []


async def test_feedback_given_back_too_often_is_dropped(store: HubStore, hub: Hub) -> None:
    await settle_all(store, hub, "a")
    for _ in range(2):
        (row,) = await batch(store, hub)
        assert row.batch_key is not None
        await store.give_back_feedback(hub.hub_id, row.batch_key, max_delivery_count=2)

    assert await batch(store, hub) == []
    assert await told(store, hub) == []


async def test_feedback_that_nobody_came_for_is_not_told_and_trimmed(
    store: HubStore, hub: Hub
) -> None:
    await settle_all(store, hub, "a", "b")
    await settle_all(store, hub, "c", at=NOW + SECOND)
    late = NOW + 20 * SECOND

    assert names(await batch(store, hub, now=late, ttl=20 * SECOND)) == ["c"]
    assert await store.trim_feedback(hub.hub_id, before=NOW, limit=1) == 1
    assert await store.trim_feedback(hub.hub_id, before=NOW, limit=5) == 1
    assert await store.trim_feedback(hub.hub_id, before=NOW, limit=5) == 0
    assert await told(store, hub) == [("c", "Success")]
