"""One coarse timer for all connections.

A timer per connection would be re-armed at every packet. Here a packet only notes the time; the
wheel looks at a connection when its deadline could have come, and puts it back if it has not.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from mooring.runtime.clock import SYSTEM_CLOCK, Clock
from mooring.runtime.logs import get_logger

TICK_S = 1.0
"""Resolution: every timeout here is counted in tens of seconds."""

SLOTS = 2048
"""Ticks in one turn, above the longest keep-alive (1767 s); what lies beyond is looked at early."""

_log = get_logger("cloud.frontdoor.wheel")


class Watched(Protocol):
    """Something with a deadline. `wheel_slot` belongs to the wheel; it starts at -1."""

    wheel_slot: int

    def due(self, now: float) -> float | None:
        """Act if the deadline has come; return the next one (monotonic s), None if there is none.

        Called by the wheel only, never earlier than one tick before the deadline it was given,
        unless that lies more than a turn of the wheel ahead.
        """
        ...


class DeadlineWheel:
    """Holds watched things in slots of one tick; `now` is the time of the last tick."""

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK, tick_s: float = TICK_S) -> None:
        """Start empty and standing still."""
        self._clock = clock
        self._tick_s = tick_s
        self._slots: list[set[Watched]] = [set() for _ in range(SLOTS)]
        self._timer: asyncio.TimerHandle | None = None
        self.now = clock.monotonic()
        self._position = self._tick_of(self.now)

    def start(self) -> None:
        """Turn by itself on the running loop."""
        self._arm(asyncio.get_running_loop())

    def close(self) -> None:
        """Stand still and forget everything."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for slot in self._slots:
            slot.clear()

    def add(self, item: Watched, deadline: float) -> None:
        """Watch `item`, which is not in the wheel, until `deadline` (monotonic seconds)."""
        ahead = self._tick_of(deadline) - self._position + 1
        slot = (self._position + min(max(ahead, 1), SLOTS - 1)) % SLOTS
        item.wheel_slot = slot
        self._slots[slot].add(item)

    def remove(self, item: Watched) -> None:
        """Forget `item`, whether it was watched or not."""
        if item.wheel_slot >= 0:
            self._slots[item.wheel_slot].discard(item)
            item.wheel_slot = -1

    def move(self, item: Watched, deadline: float) -> None:
        """Watch `item` until another `deadline`."""
        self.remove(item)
        self.add(item, deadline)

    def turn(self) -> None:
        """Advance to the clock's time and call what is due."""
        self.now = self._clock.monotonic()
        target = self._tick_of(self.now)
        # After a long stall (a suspended machine) one turn visits every slot once.
        steps = min(target - self._position, SLOTS)
        first = target - steps + 1
        self._position = target
        for tick in range(first, target + 1):
            slot = self._slots[tick % SLOTS]
            if not slot:
                continue
            items = list(slot)
            slot.clear()
            for item in items:
                item.wheel_slot = -1
                self._visit(item)

    def _visit(self, item: Watched) -> None:
        try:
            deadline = item.due(self.now)
        except Exception as error:  # noqa: BLE001 - one connection must not stop the wheel
            _log.error("deadline handler failed", exc_info=error)
            return
        if deadline is not None and item.wheel_slot < 0:
            self.add(item, deadline)

    def _tick_of(self, moment: float) -> int:
        return int(moment / self._tick_s)

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(self._tick_s, self._run, loop)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        self._arm(loop)
        self.turn()
