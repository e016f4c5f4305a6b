"""The queue of a device: locks, deliveries, expiry, who is woken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.support.cloudworld import CloudWorld

from mooring.cloud.hub.devicebound.errors import ExpiryInPast, LockLost, QueueFull
from mooring.cloud.hub.devicebound.model import (
    Ack,
    CloudToDeviceSettings,
    LockedMessage,
    MessageDraft,
)
from mooring.cloud.hub.devicebound.service import DeviceboundService, Done
from mooring.cloud.hub.errors import DeviceNotFound
from mooring.cloud.hub.model import (
    AuthenticationType,
    DeviceAuthentication,
    DeviceDraft,
    DeviceIdentity,
)
from mooring.storage.errors import StorageFull

SECOND = timedelta(seconds=1)
LOCK = 60 * SECOND


class Box:
    """One device and its queue."""

    def __init__(
        self, world: CloudWorld, identity: DeviceIdentity, settings: CloudToDeviceSettings
    ) -> None:
        self.world = world
        self.identity = identity
        self.settings = settings
        self.queue = DeviceboundService(
            world.stores.hub, world.clock, settings_of=lambda _hub: self.settings
        )

    async def send(self, *bodies: str, **members: object) -> None:
        for body in bodies:
            draft = MessageDraft(body.encode(), {"message-id": body}, ack=Ack.FULL)
            await self.queue.send(
                self.world.hub,
                self.identity.device_id,
                replace(draft, **members),  # type: ignore[arg-type]
            )

    def take(self, limit: int = 50, holder: object = None) -> list[LockedMessage]:
        return self.take_as(self.identity, limit, holder)

    def take_as(
        self, identity: DeviceIdentity, limit: int = 50, holder: object = None
    ) -> list[LockedMessage]:
        return self.queue.take(
            self.world.hub, identity.device_id, identity.generation_id, limit, holder=holder
        )

    def bodies(self, limit: int = 50, holder: object = None) -> list[str]:
        return [locked.message.body.decode() for locked in self.take(limit, holder)]

    async def settle(self, how: str, token: str, device_id: str | None = None) -> None:
        call: Callable[..., None] = getattr(self.queue, how)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        call(self.world.hub, device_id or self.identity.device_id, token, _resolve(future))
        assert not future.done()
        await future

    async def states(self) -> list[tuple[str, str]]:
        messages = await self.queue.messages(self.world.hub, self.identity.device_id)
        return [(message.body.decode(), state.value) for message, state in messages]

    async def told(self) -> list[tuple[str | None, str]]:
        records = await self.queue.feedback.list(self.world.hub, limit=100)
        return [(record.original_message_id, record.status.value) for record in records]

    @property
    def count(self) -> int:
        return self.queue.count(self.world.hub, self.identity.device_id)


def _resolve(future: asyncio.Future[None]) -> Done:
    def done(error: BaseException | None) -> None:
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)

    return done


async def make_device(world: CloudWorld, device_id: str = "dev") -> DeviceIdentity:
    return await world.hubs.devices.put(
        world.hub, DeviceDraft(device_id, DeviceAuthentication(AuthenticationType.SAS))
    )


@pytest.fixture
async def box(world: CloudWorld) -> Box:
    return Box(world, await make_device(world), CloudToDeviceSettings())


async def test_a_message_goes_from_enqueued_over_invisible_to_completed(box: Box) -> None:
    await box.send("a", "b")
    assert await box.states() == [("a", "Enqueued"), ("b", "Enqueued")]

    (a,) = box.take(1)
    assert await box.states() == [("a", "Invisible"), ("b", "Enqueued")]
    assert box.count == 2
    await box.settle("complete", a.lock_token)

    assert await box.states() == [("b", "Enqueued")]
    assert box.count == 1
    assert await box.told() == [("a", "Success")]
    with pytest.raises(LockLost):
        await box.settle("complete", a.lock_token)


async def test_what_is_rejected_is_dead_lettered(box: Box) -> None:
    await box.send("a")
    (a,) = box.take()

    await box.settle("reject", a.lock_token)

    assert await box.states() == []
    assert await box.told() == [("a", "Rejected")]


async def test_a_lock_ends_after_a_minute_uncounted(box: Box) -> None:
    await box.send("a", "b")
    (a, _) = box.take()
    box.world.clock.move(LOCK - SECOND)
    assert box.take() == []
    box.world.clock.move(SECOND)

    again = box.take(1)

    assert [(m.message.body, m.message.delivery_count) for m in again] == [(b"a", 0)]
    assert again[0].lock_token != a.lock_token
    for how in ("complete", "reject", "abandon"):
        with pytest.raises(LockLost):
            await box.settle(how, a.lock_token)
    assert await box.states() == [("a", "Invisible"), ("b", "Enqueued")]


async def test_a_lock_that_ends_counts_where_the_hub_wants_it(box: Box) -> None:
    box.settings = CloudToDeviceSettings(lock_expiry_counts=True, max_delivery_count=2)
    woken: list[int] = []
    box.queue.subscribe(box.world.hub, "dev", lambda: woken.append(1))
    await box.send("a")
    for count in (0, 1):
        (a,) = box.take()
        assert a.message.delivery_count == count
        woken.clear()
        box.world.clock.move(LOCK)
        assert box.take() == []  # not before the count is on disk
        await box.queue.housekeep([])
        await asyncio.sleep(0.1)
        assert woken == ([1] if count == 0 else [])

    assert await box.states() == []
    assert await box.told() == [("a", "DeliveryCountExceeded")]


async def test_an_abandoned_message_comes_first_again_until_the_last_delivery(box: Box) -> None:
    await box.send("a", "b")
    for count in range(10):
        (a,) = box.take(1)
        assert (a.message.body, a.message.delivery_count) == (b"a", count)
        await box.settle("abandon", a.lock_token)

    assert box.bodies() == ["b"]
    assert await box.told() == [("a", "DeliveryCountExceeded")]


async def test_a_holder_that_goes_gives_back_uncounted(box: Box) -> None:
    await box.send("a", "b", "c")
    mine, other = object(), object()
    (a,) = box.take(1, mine)
    (b,) = box.take(1, other)
    await box.settle("complete", a.lock_token)
    assert box.bodies(1, mine) == ["c"]

    box.queue.release(mine)
    box.queue.release(mine)

    assert await box.states() == [("b", "Invisible"), ("c", "Enqueued")]
    await box.settle("complete", b.lock_token)
    (c,) = box.take()
    assert c.message.delivery_count == 0


async def test_a_completion_under_way_outlives_its_holder_and_its_lock(box: Box) -> None:
    await box.send("a")
    holder = object()
    (a,) = box.take(1, holder)
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    box.queue.complete(box.world.hub, "dev", a.lock_token, _resolve(future))

    box.queue.release(holder)
    box.world.clock.move(LOCK)

    assert box.take() == []
    with pytest.raises(LockLost):
        await box.settle("complete", a.lock_token)
    await future
    assert await box.told() == [("a", "Success")]


async def test_listeners_are_woken_by_what_they_maytake_as(box: Box) -> None:
    woken: list[str] = []

    def wake() -> None:
        woken.append("dev")

    box.queue.subscribe(box.world.hub, "dev", wake)
    box.queue.subscribe(box.world.hub, "other", lambda: woken.append("other"))
    await box.send("a")
    assert woken == ["dev"]

    holder = object()
    (a,) = box.take(1, holder)
    assert woken == ["dev"]
    await box.settle("abandon", a.lock_token)
    assert woken == ["dev"] * 2
    box.take(1, holder)
    box.queue.release(holder)
    assert woken == ["dev"] * 3
    box.take(1)
    box.world.clock.move(LOCK)
    await box.queue.housekeep([box.world.hub])
    assert woken == ["dev"] * 4

    box.queue.unsubscribe(box.world.hub, "dev", wake)
    box.queue.unsubscribe(box.world.hub, "dev", wake)
    await box.send("b")
    assert woken == ["dev"] * 4


async def test_expiry_is_noticed_on_access_and_by_housekeeping(box: Box) -> None:
    box.settings = CloudToDeviceSettings(default_ttl=90 * SECOND)
    now = box.world.clock.now()
    await box.send("own", expires_at=now + 10 * SECOND)
    await box.send("held", expires_at=now + 20 * SECOND)
    await box.send("default")
    held = box.take(2)[1]
    box.queue.release(None)  # HTTP holds nothing
    box.world.clock.move(20 * SECOND)

    await box.queue.housekeep([box.world.hub])
    # Both are locked, and a lock outlives the expiry.
    assert await box.told() == []
    await box.settle("complete", held.lock_token)
    box.world.clock.move(40 * SECOND)
    assert await box.states() == [("default", "Enqueued")]
    assert box.count == 1
    assert box.bodies() == ["default"]
    await box.queue.housekeep([box.world.hub])
    assert await box.told() == [("held", "Success"), ("own", "Expired")]
    box.world.clock.move(LOCK)
    await box.queue.housekeep([box.world.hub])
    assert (await box.told())[-1] == ("default", "Expired")
    assert await box.states() == []


async def test_fifty_messages_wait_at_most_locked_ones_too(box: Box) -> None:
    await box.send(*(str(number) for number in range(50)))
    (first,) = box.take(1)
    with pytest.raises(QueueFull) as refused:
        await box.send("more")
    assert refused.value.error_code == 403004

    await box.settle("complete", first.lock_token)
    await box.send("more")
    assert box.count == 50
    assert len(box.take(100)) == 50


async def test_an_expiry_in_the_past_is_refused(box: Box) -> None:
    with pytest.raises(ExpiryInPast) as refused:
        await box.send("a", expires_at=box.world.clock.now())
    assert refused.value.error_code == 403009
    assert box.count == 0


async def test_purging_takes_locked_messages_too(box: Box) -> None:
    await box.send("a", "b")
    (a,) = box.take(1)

    assert await box.queue.purge(box.world.hub, "dev") == 2

    with pytest.raises(LockLost):
        await box.settle("complete", a.lock_token)
    assert await box.told() == [("a", "Purged"), ("b", "Purged")]
    assert box.take() == []


async def test_a_token_settles_nothing_of_another_device(box: Box) -> None:
    await make_device(box.world, "Dev")
    await box.send("a")
    (a,) = box.take()

    for how in ("complete", "reject", "abandon"):
        with pytest.raises(LockLost):
            await box.settle(how, a.lock_token, device_id="Dev")

    assert await box.states() == [("a", "Invisible")]


async def test_a_device_made_anew_gets_nothing_of_its_former_self(box: Box) -> None:
    former = box.identity
    await box.send("old", "older")
    (old,) = box.take(1)
    await box.world.hubs.devices.delete(box.world.hub, "dev")
    box.identity = await make_device(box.world)
    assert box.count == 0

    await box.send("new")

    assert box.take_as(former) == []
    with pytest.raises(LockLost):
        await box.settle("complete", old.lock_token)
    assert box.bodies() == ["new"]
    assert await box.told() == []


async def test_nobody_has_a_queue_but_a_device(box: Box) -> None:
    hub = box.world.hub
    with pytest.raises(DeviceNotFound):
        await box.queue.send(hub, "DEV", MessageDraft(b""))
    with pytest.raises(DeviceNotFound):
        await box.queue.purge(hub, "DEV")
    with pytest.raises(DeviceNotFound):
        await box.queue.messages(hub, "DEV")


async def test_a_restart_ends_locks_and_keeps_the_rest(box: Box) -> None:
    await box.send("a", "b")
    (a,) = box.take(1)
    await box.settle("abandon", a.lock_token)
    box.take()

    restarted = Box(box.world, box.identity, box.settings)

    assert [(m.message.body, m.message.delivery_count) for m in restarted.take()] == [
        (b"a", 1),
        (b"b", 0),
    ]


async def test_a_settlement_that_fails_after_its_holder_is_gone_gives_the_message_back(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    await box.send("a")
    holder, woken = object(), []
    (a,) = box.take(holder=holder)
    under_way: list[Callable[..., None]] = []
    monkeypatch.setattr(
        box.world.stores.hub, "settle_message", lambda *arguments: under_way.append(arguments[-1])
    )
    failed: list[BaseException | None] = []
    box.queue.complete(box.world.hub, "dev", a.lock_token, failed.append)
    monkeypatch.undo()
    box.queue.release(holder)
    assert box.take() == []  # it may be completed yet
    box.queue.subscribe(box.world.hub, "dev", lambda: woken.append(True))

    under_way[0](None, StorageFull("no space is left", "free some"))

    assert [type(error) for error in failed] == [StorageFull]
    assert woken
    assert box.bodies() == ["a"]
