"""Any order of sending, taking, settling, going away and time passing, against a plain model."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.cloud.hub.devicebound.test_queue import Box, make_device
from tests.support.cloudworld import CloudWorld
from tests.support.stores import BACK_ENDS

from mooring.cloud.hub.devicebound.errors import LockLost, QueueFull
from mooring.cloud.hub.devicebound.model import CloudToDeviceSettings

DEVICES = ("dev", "Dev")
QUEUE = 50
MAX_DELIVERIES = 3
LOCK_S = 60
LATEST = datetime.max.replace(tzinfo=UTC)


@dataclass
class Expected:
    """A message as the model has it."""

    name: str
    expires_at: datetime
    deliveries: int = 0
    token: str | None = None
    locked_until: datetime | None = None
    holder: object | None = None

    def unlock(self) -> None:
        self.token = self.locked_until = self.holder = None


@dataclass
class Model:
    """One device's queue, and the tokens that are worth nothing any more."""

    queue: list[Expected] = field(default_factory=list)
    told: list[tuple[str, str]] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)

    def pass_time(self, now: datetime) -> None:
        """End locks, then give up what has expired and nobody holds."""
        for item in self.queue:
            if item.locked_until is not None and item.locked_until <= now:
                assert item.token is not None
                self.stale.append(item.token)
                item.unlock()
        for item in [m for m in self.queue if m.token is None and m.expires_at <= now]:
            self.end(item, "Expired")

    def end(self, item: Expected, status: str) -> None:
        self.queue.remove(item)
        self.told.append((item.name, status))
        if item.token is not None:
            self.stale.append(item.token)


class Queues(RuleBasedStateMachine):
    """Two devices, whose ids differ in case only, and two holders of each."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.stack = AsyncExitStack()
        self.models = {name: Model() for name in DEVICES}
        self.boxes: dict[str, Box] = {}
        self.holders = {name: (object(), object(), None) for name in DEVICES}
        self.sent = 0

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    @initialize()
    def open(self) -> None:
        self.run(self._open())

    async def _open(self) -> None:
        folder = self.stack.enter_context(tempfile.TemporaryDirectory())
        stores = await self.stack.enter_async_context(BACK_ENDS["sqlite"](Path(folder)))
        self.world = await CloudWorld.open(stores)
        rules = CloudToDeviceSettings(max_delivery_count=MAX_DELIVERIES)
        for name in DEVICES:
            self.boxes[name] = Box(self.world, await make_device(self.world, name), rules)
        self.boxes["Dev"].queue = self.boxes["dev"].queue

    def teardown(self) -> None:
        self.run(self.stack.aclose())
        self.loop.close()

    @rule(name=st.sampled_from(DEVICES), ttl_s=st.sampled_from([1, 30, 90, 3600]))
    def send(self, name: str, ttl_s: int) -> None:
        model, now = self.models[name], self.world.clock.now()
        self.sent += 1
        body = str(self.sent)
        expires_at = now + timedelta(seconds=ttl_s)
        model.pass_time(now)
        try:
            self.run(self.boxes[name].send(body, expires_at=expires_at))
        except QueueFull:
            assert len(model.queue) == QUEUE
            return
        assert len(model.queue) < QUEUE
        model.queue.append(Expected(body, expires_at))

    @rule(name=st.sampled_from(DEVICES), limit=st.integers(0, 5), holder=st.sampled_from([0, 1, 2]))
    def take(self, name: str, limit: int, holder: int) -> None:
        model, now = self.models[name], self.world.clock.now()
        model.pass_time(now)
        who = self.holders[name][holder]
        box = self.boxes[name]

        async def work() -> Any:
            return box.take(limit, who)

        taken = self.run(work())
        free = [item for item in model.queue if item.token is None][:limit]
        assert [(m.message.body.decode(), m.message.delivery_count) for m in taken] == [
            (item.name, item.deliveries) for item in free
        ]
        for locked, item in zip(taken, free, strict=True):
            item.token, item.holder = locked.lock_token, who
            # Who is told of when it goes has its locks until then.
            item.locked_until = LATEST if who is not None else now + timedelta(seconds=LOCK_S)

    @precondition(lambda self: any(m.token for box in self.models.values() for m in box.queue))
    @rule(how=st.sampled_from(["complete", "reject", "abandon"]), data=st.data())
    def settle(self, how: str, data: st.DataObject) -> None:
        now = self.world.clock.now()
        for model in self.models.values():
            model.pass_time(now)
        held = [(n, m) for n, model in self.models.items() for m in model.queue if m.token]
        if not held:
            return
        name, item = data.draw(st.sampled_from(held))
        model = self.models[name]
        assert item.token is not None
        self.run(self.boxes[name].settle(how, item.token))
        if how == "complete":
            model.end(item, "Success")
        elif how == "reject":
            model.end(item, "Rejected")
        else:
            model.stale.append(item.token)
            item.deliveries += 1
            if item.deliveries == MAX_DELIVERIES:
                model.end(item, "DeliveryCountExceeded")
            item.unlock()

    @precondition(lambda self: any(box.stale for box in self.models.values()))
    @rule(how=st.sampled_from(["complete", "reject", "abandon"]), data=st.data())
    def settle_stale(self, how: str, data: st.DataObject) -> None:
        tokens = [token for model in self.models.values() for token in model.stale]
        token = data.draw(st.sampled_from(tokens))
        for name in DEVICES:
            try:
                self.run(self.boxes[name].settle(how, token))
            except LockLost:
                continue
            raise AssertionError("a lock that is over settled a message")

    @precondition(lambda self: any(m.token for m in self.models["dev"].queue))
    @rule(how=st.sampled_from(["complete", "reject", "abandon"]))
    def settle_anothers(self, how: str) -> None:
        token = next(m.token for m in self.models["dev"].queue if m.token)
        try:
            self.run(self.boxes["Dev"].settle(how, token))
        except LockLost:
            return
        raise AssertionError("a device settled another's message")

    @rule(name=st.sampled_from(DEVICES), holder=st.sampled_from([0, 1]))
    def release(self, name: str, holder: int) -> None:
        model = self.models[name]
        model.pass_time(self.world.clock.now())
        who = self.holders[name][holder]
        self.boxes[name].queue.release(who)
        for item in model.queue:
            if item.holder is who:
                assert item.token is not None
                model.stale.append(item.token)
                item.unlock()

    @rule(seconds=st.sampled_from([1, 29, 59, 60, 61]))
    def pass_time(self, seconds: int) -> None:
        self.world.clock.move(timedelta(seconds=seconds))

    @rule()
    def housekeep(self) -> None:
        self.run(self.boxes["dev"].queue.housekeep([self.world.hub]))

    @rule(name=st.sampled_from(DEVICES))
    def purge(self, name: str) -> None:
        model = self.models[name]
        model.pass_time(self.world.clock.now())
        purged = self.run(self.boxes[name].queue.purge(self.world.hub, name))
        now = self.world.clock.now()
        assert purged == len([item for item in model.queue if item.expires_at > now])
        for item in list(model.queue):
            model.end(item, "Purged" if item.expires_at > now else "Expired")

    @rule()
    def restart(self) -> None:
        now = self.world.clock.now()
        restarted = Box(self.world, self.boxes["dev"].identity, self.boxes["dev"].settings)
        for name, box in self.boxes.items():
            self.models[name].pass_time(now)
            box.queue = restarted.queue
            for item in self.models[name].queue:
                if item.token is not None:
                    self.models[name].stale.append(item.token)
                    item.unlock()
            self.models[name].pass_time(now)

    @invariant()
    def the_queue_is_what_the_model_says(self) -> None:
        if not self.boxes:
            return
        now = self.world.clock.now()
        told = sorted(self.run(self.boxes["dev"].told()))
        for name, model in self.models.items():
            model.pass_time(now)
            states = self.run(self.boxes[name].states())
            assert states == [
                (item.name, "Enqueued" if item.token is None else "Invisible")
                for item in model.queue
            ]
            assert self.boxes[name].count == len(
                [item for item in model.queue if item.expires_at > now]
            )
        # What expired may be told a little later, all else at once; what is told is so.
        expected = sorted(fact for model in self.models.values() for fact in model.told)
        assert [fact for fact in told if fact[1] != "Expired"] == [
            fact for fact in expected if fact[1] != "Expired"
        ]
        assert set(told) <= set(expected)


Queues.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestQueues = Queues.TestCase
