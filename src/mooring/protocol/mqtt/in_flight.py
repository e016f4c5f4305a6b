"""Packet identifiers of what was sent and waits for its answer (MQTT 3.1.1 §2.3.1).

Each side numbers its own packets; the two number spaces are independent of one another.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Generic, TypeVar

from mooring.protocol.mqtt.errors import InFlightWindowFull
from mooring.protocol.mqtt.limits import MAX_IN_FLIGHT_WINDOW, MAX_PACKET_ID

T = TypeVar("T")


class InFlight(Generic[T]):
    """Up to `window` things under a packet identifier each, oldest first.

    Identifiers are dealt in turn, so that one is not used again soon after it came free: a late
    answer to the old use would otherwise be taken for one to the new.
    """

    __slots__ = ("_last_id", "_waiting", "window")

    def __init__(self, window: int) -> None:
        """Start empty.

        Args:
            window: Most things at once, 1 to `MAX_IN_FLIGHT_WINDOW`.

        Raises:
            ValueError: `window` is out of range.
        """
        if not 0 < window <= MAX_IN_FLIGHT_WINDOW:
            raise ValueError(f"in-flight window is {window}, not 1 to {MAX_IN_FLIGHT_WINDOW}")
        self.window = window
        self._last_id = 0
        self._waiting: dict[int, T] = {}

    def __contains__(self, packet_id: int) -> bool:
        """Return whether something waits under `packet_id`."""
        return packet_id in self._waiting

    def __iter__(self) -> Iterator[T]:
        """Iterate over what waits, oldest first."""
        return iter(self._waiting.values())

    @property
    def free(self) -> int:
        """Return how many more fit."""
        return self.window - len(self._waiting)

    def check_room(self) -> None:
        """Refuse when nothing more may wait.

        Raises:
            InFlightWindowFull: So it is.
        """
        if len(self._waiting) >= self.window:
            raise InFlightWindowFull(self.window)

    def next_id(self, *, taken: Collection[int] = ()) -> int:
        """Return a free identifier, 1 to 65535, for the next `add`.

        Args:
            taken: Identifiers of the same side that are in use elsewhere, at most
                `MAX_PENDING_REQUESTS`.
        """
        packet_id = self._last_id
        while True:
            packet_id = packet_id % MAX_PACKET_ID + 1
            if packet_id not in self._waiting and packet_id not in taken:
                self._last_id = packet_id
                return packet_id

    def add(self, packet_id: int, thing: T) -> None:
        """Let `thing` wait under `packet_id`, for which there is room."""
        self._waiting[packet_id] = thing

    def take(self, packet_id: int) -> T:
        """Return what waits under `packet_id` and free it.

        Raises:
            KeyError: Nothing does.
        """
        return self._waiting.pop(packet_id)
