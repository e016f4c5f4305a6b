"""The feedback queue as a back end sees it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.cloud.hub.devicebound.test_queue import LOCK, SECOND, Box, make_device
from tests.support.cloudworld import CloudWorld

from mooring.cloud.hub.devicebound.errors import LockLost
from mooring.cloud.hub.devicebound.model import (
    CloudToDeviceSettings,
    FeedbackMessage,
    FeedbackSettings,
)


@pytest.fixture
async def box(world: CloudWorld) -> Box:
    return Box(world, await make_device(world), CloudToDeviceSettings())


async def settled(box: Box, *bodies: str) -> None:
    await box.send(*bodies)
    for locked in box.take():
        await box.settle("complete", locked.lock_token)


async def receive(box: Box) -> FeedbackMessage | None:
    return await box.queue.feedback.receive(box.world.hub)


async def some(box: Box) -> FeedbackMessage:
    message = await receive(box)
    assert message is not None
    return message


def names(message: FeedbackMessage) -> list[str | None]:
    return [record.original_message_id for record in message.records]


async def test_feedback_comes_after_fifteen_seconds(box: Box) -> None:
    await settled(box, "a")
    box.world.clock.move(14 * SECOND)
    await settled(box, "b")
    assert await receive(box) is None
    box.world.clock.move(SECOND)

    message = await some(box)

    assert names(message) == ["a", "b"]
    assert message.enqueued_at == box.world.clock.now() - SECOND
    assert message.delivery_count == 0
    (record, _) = message.records
    assert record.status.value == "Success"
    assert (record.device_id, record.device_generation_id) == (
        "dev",
        box.identity.generation_id,
    )


async def test_sixty_four_records_come_at_once(box: Box) -> None:
    for number in range(64):
        assert await receive(box) is None
        await settled(box, str(number))
    await settled(box, "one more")

    assert len((await some(box)).records) == 64
    assert await receive(box) is None


async def test_a_feedback_message_is_held_by_one_and_then_settled(box: Box) -> None:
    await settled(box, "a")
    box.world.clock.move(15 * SECOND)
    first = await some(box)
    assert await receive(box) is None
    box.world.clock.move(LOCK)

    again = await some(box)

    assert names(again) == ["a"]
    for token in (first.lock_token, "", "x" * 5000):
        with pytest.raises(LockLost):
            await box.queue.feedback.complete(box.world.hub, token)
        with pytest.raises(LockLost):
            await box.queue.feedback.abandon(box.world.hub, token)
    await box.queue.feedback.complete(box.world.hub, again.lock_token)
    with pytest.raises(LockLost):
        await box.queue.feedback.complete(box.world.hub, again.lock_token)
    box.world.clock.move(LOCK)
    assert await receive(box) is None


async def test_abandoned_feedback_comes_again_until_the_last_delivery(box: Box) -> None:
    box.settings = CloudToDeviceSettings(feedback=FeedbackSettings(max_delivery_count=3))
    await settled(box, "a")
    box.world.clock.move(15 * SECOND)
    for count in range(3):
        message = await some(box)
        assert message.delivery_count == count
        await box.queue.feedback.abandon(box.world.hub, message.lock_token)

    assert await receive(box) is None


async def test_lock_and_life_of_feedback_are_the_hubs(box: Box) -> None:
    box.settings = CloudToDeviceSettings(
        feedback=FeedbackSettings(ttl=timedelta(minutes=1), lock_duration=5 * SECOND)
    )
    await settled(box, "a")
    box.world.clock.move(15 * SECOND)
    await some(box)
    box.world.clock.move(5 * SECOND)
    assert names(await some(box)) == ["a"]
    box.world.clock.move(40 * SECOND)

    assert await receive(box) is None
    assert await box.told() == []
    await box.queue.housekeep([box.world.hub])
    box.settings = CloudToDeviceSettings()
    assert await box.told() == []


async def test_feedback_of_one_hub_is_not_anothers(box: Box) -> None:
    second = await box.world.hubs.hubs.create("second", "b.test")
    await settled(box, "a")
    box.world.clock.move(15 * SECOND)

    assert await box.queue.feedback.receive(second) is None
    message = await some(box)
    with pytest.raises(LockLost):
        await box.queue.feedback.complete(second, message.lock_token)
    await box.queue.feedback.complete(box.world.hub, message.lock_token)


async def test_feedback_goes_with_its_device(box: Box) -> None:
    await settled(box, "a")
    await box.world.hubs.devices.delete(box.world.hub, "dev")
    box.world.clock.move(15 * SECOND)

    assert await receive(box) is None
