"""What a connection sends: a bounded queue in memory, a window, and re-delivery after a loss.

The contract: a message is delivered at least once while this process lives. `publish` returns
after the hub's acknowledgement, which the hub gives when it has stored the message. A message
that was under way when a link was lost is sent again, marked as a possible duplicate, on the
next one; its message id tells duplicates apart. Order is that of `publish`, except that what is
sent again may overtake nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from mooring.gateway.connections.ports import HubLink
from mooring.gateway.data.message import TelemetryMessage
from mooring.gateway.errors import ConnectionRemoved, NotAcknowledged, QueueFull
from mooring.runtime.clock import Clock

MAX_WAITING_BYTES = 64 * 1024 * 1024
"""Bodies held in memory per connection: a small gateway has a few hundred megabytes in all."""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The hub has acknowledged a message."""

    message_id: str | None
    queued_at: datetime
    acknowledged_at: datetime
    sends: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready values."""
        return {
            "message_id": self.message_id,
            "queued_at": self.queued_at.isoformat(),
            "acknowledged_at": self.acknowledged_at.isoformat(),
            "sends": self.sends,
            "seconds": round(self.seconds, 6),
        }


class _Entry:
    __slots__ = ("confirmed", "message", "queued_at", "sends", "started")

    def __init__(self, message: TelemetryMessage, clock: Clock) -> None:
        self.message = message
        self.queued_at = clock.now()
        self.started = clock.monotonic()
        self.sends = 0
        self.confirmed: asyncio.Future[Confirmation] = asyncio.get_running_loop().create_future()


class DataService:
    """The messages of one connection."""

    def __init__(self, clock: Clock, *, window: int, capacity: int) -> None:
        """Start without a link.

        Args:
            clock: Source of time.
            window: Messages sent and not acknowledged at any time.
            capacity: Messages held in all.
        """
        self._clock = clock
        self._window = window
        self._capacity = capacity
        self._waiting: deque[_Entry] = deque()
        self._under_way: dict[_Entry, asyncio.Future[None]] = {}
        self._bytes = 0
        self._link: HubLink | None = None
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._closed = False
        self.confirmed_count = 0

    def configure(self, *, window: int, capacity: int) -> None:
        """Use another window and capacity from now on; nothing that is held is dropped."""
        self._window = window
        self._capacity = capacity
        self._pump()

    @property
    def is_attached(self) -> bool:
        """Return whether there is a link."""
        return self._link is not None

    def counters(self) -> dict[str, int]:
        """Return how many messages wait, are under way, and were confirmed since the start."""
        return {
            "waiting": len(self._waiting),
            "in_flight": len(self._under_way),
            "confirmed": self.confirmed_count,
            "bytes": self._bytes,
        }

    async def publish(self, message: TelemetryMessage, *, timeout_s: float) -> Confirmation:
        """Send `message` as soon as there is a link, and return its confirmation.

        Raises:
            MessageMalformed, MessageTooLarge: The hub would not take it.
            QueueFull: As many messages as may be are held already.
            NotAcknowledged: No acknowledgement within `timeout_s` seconds; the message says
                whether it may still be delivered.
            ConnectionRemoved: The connection is gone for good.
        """
        message.check()
        if self._closed:
            raise _removed()
        held = len(self._waiting) + len(self._under_way)
        if held >= self._capacity or self._bytes + len(message.body) > MAX_WAITING_BYTES:
            raise QueueFull(
                f"{held} messages ({self._bytes} bytes) wait for their acknowledgement already.",
                "Wait until the connection is up and has caught up, or raise store.capacity in "
                "the DataService tab.",
            )
        entry = _Entry(message, self._clock)
        self._waiting.append(entry)
        self._bytes += len(message.body)
        self._quiet.clear()
        self._pump()
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(entry.confirmed)
        except TimeoutError:
            raise self._give_up(entry, timeout_s) from None
        except asyncio.CancelledError:
            self._withdraw(entry)
            raise

    def attach(self, link: HubLink) -> None:
        """Begin to use `link`: first what was under way on the one before."""
        self._link = link
        self._pump()

    def detach(self) -> None:
        """Stop using the link; what it has not acknowledged waits for the next one."""
        self._link = None
        for entry, acknowledged in reversed(self._under_way.items()):
            acknowledged.cancel()
            self._waiting.appendleft(entry)
        self._under_way.clear()

    async def drain(self, timeout_s: float) -> int:
        """Wait until all is acknowledged, at most `timeout_s`; return how many are left."""
        if self._link is not None:
            # Without a link nothing can be acknowledged, so neither is it waited for.
            quiet = asyncio.ensure_future(self._quiet.wait())
            either: set[asyncio.Future[Any]] = {quiet, self._link.lost}
            await asyncio.wait(either, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            quiet.cancel()
        return len(self._waiting) + len(self._under_way)

    def close(self) -> None:
        """Fail everything that waits; nothing is taken any more."""
        self._closed = True
        self.detach()
        for entry in self._waiting:
            if not entry.confirmed.done():
                entry.confirmed.set_exception(_removed())
                # Nobody may be left to look at it.
                entry.confirmed.exception()
        self._waiting.clear()
        self._bytes = 0
        self._quiet.set()

    def _pump(self) -> None:
        link = self._link
        while (
            link is not None
            and self._waiting
            and len(self._under_way) < self._window
            and not link.lost.done()
        ):
            entry = self._waiting.popleft()
            acknowledged = link.send(entry.message, again=entry.sends > 0)
            entry.sends += 1
            self._under_way[entry] = acknowledged
            acknowledged.add_done_callback(partial(self._settle, entry))

    def _settle(self, entry: _Entry, acknowledged: asyncio.Future[None]) -> None:
        if acknowledged.cancelled() or self._under_way.get(entry) is not acknowledged:
            return
        del self._under_way[entry]
        self._bytes -= len(entry.message.body)
        self.confirmed_count += 1
        if not entry.confirmed.done():
            entry.confirmed.set_result(
                Confirmation(
                    message_id=entry.message.message_id,
                    queued_at=entry.queued_at,
                    acknowledged_at=self._clock.now(),
                    sends=entry.sends,
                    seconds=self._clock.monotonic() - entry.started,
                )
            )
        if not self._waiting and not self._under_way:
            self._quiet.set()
        self._pump()

    def _give_up(self, entry: _Entry, timeout_s: float) -> NotAcknowledged:
        if self._withdraw(entry):
            return NotAcknowledged(
                f"The message was not sent within {timeout_s:g} s and was taken back.",
                "See how the connection stands, then publish again.",
            )
        return NotAcknowledged(
            f"The hub did not acknowledge the message within {timeout_s:g} s; it was sent "
            f"{entry.sends} times and may still be delivered.",
            "Compare message ids at the hub before publishing again.",
        )

    def _withdraw(self, entry: _Entry) -> bool:
        """Take `entry` back if it was never sent; return whether it could be."""
        if entry.sends or entry not in self._waiting:
            return False
        self._waiting.remove(entry)
        self._bytes -= len(entry.message.body)
        if not self._waiting and not self._under_way:
            self._quiet.set()
        return True


def _removed() -> ConnectionRemoved:
    return ConnectionRemoved(
        "The connection was deleted, or the gateway ends, before the hub acknowledged.",
        "Publish again over another connection, or when the gateway is back.",
    )
