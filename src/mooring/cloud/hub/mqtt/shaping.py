"""Telemetry of a connection to a hub that keeps limits: it waits its turn, and is not refused.

What may not pass yet is kept, with all that came behind it in the same read, and nothing more is
read from the device meanwhile: TCP holds it up. So what waits on a connection is one read, and
nothing is acknowledged that is not on disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from mooring.cloud.frontdoor.link import DeviceLink, Ending
from mooring.cloud.hub.errors import HubError
from mooring.cloud.hub.mqtt.endings import BACKLOG_FULL, QUOTA_EXCEEDED
from mooring.cloud.hub.mqtt.telemetry import TelemetrySender
from mooring.cloud.hub.throttling.service import HubThrottle
from mooring.protocol.mqtt.packets import Packet, Publish


class TelemetryShaper:
    """Lets one connection's packets pass in order, telemetry at the hub's rate."""

    __slots__ = (
        "_booked",
        "_flow",
        "_held",
        "_is_over",
        "_link",
        "_prefix",
        "_take",
        "_throttle",
        "_timer",
    )

    def __init__(
        self,
        throttle: HubThrottle,
        link: DeviceLink,
        flow: TelemetrySender,
        prefix: str,
        take: Callable[[Sequence[Packet]], None],
    ) -> None:
        """Give what may pass to `take`; telemetry is what goes to topics with `prefix`."""
        self._throttle = throttle
        self._link = link
        self._flow = flow
        self._prefix = prefix
        self._take = take
        self._held: list[Packet] = []
        self._booked = 0
        self._timer: asyncio.TimerHandle | None = None
        self._is_over = False

    @property
    def is_holding(self) -> bool:
        """Return whether something waits, so that nothing is read."""
        return self._timer is not None

    def receive(self, packets: Sequence[Packet]) -> None:
        """Take the packets of one read."""
        if self._is_over:
            return
        if self._timer is not None:  # what TLS or WebSocket had taken in already
            self._held.extend(packets)
            return
        if not self._throttle.is_on:  # switched off since
            self._booked = 0
            self._take(packets)
            return
        numbers = [number for number, packet in enumerate(packets) if self._is_telemetry(packet)]
        for rank, number in enumerate(numbers):
            try:
                self._throttle.check_quota()
            except HubError:
                self._end(packets[:number], QUOTA_EXCEEDED)
                return
            if not self._booked:
                booking = self._throttle.book_sends(len(numbers) - rank)
                if booking is None:
                    self._end(packets[:number], BACKLOG_FULL)
                    return
                self._booked, wait_s = booking
                if wait_s:
                    self._hold(packets, number, wait_s)
                    return
            self._booked -= 1
            packet = packets[number]
            assert isinstance(packet, Publish)
            self._throttle.charge(len(packet.payload) + len(packet.topic) - len(self._prefix))
        self._take(packets)

    def stop(self) -> None:
        """Drop what waits: none of it was acknowledged, and the connection is ending."""
        self._is_over = True
        self._held = []
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _is_telemetry(self, packet: Packet) -> bool:
        return isinstance(packet, Publish) and packet.topic.startswith(self._prefix)

    def _hold(self, packets: Sequence[Packet], number: int, wait_s: float) -> None:
        """Let pass what is before `number`, and the rest in `wait_s`."""
        self._held = list(packets[number:])
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._go_on)
        self._flow.hold()
        if number:
            self._take(packets[:number])

    def _go_on(self) -> None:
        self._timer = None
        packets, self._held = self._held, []
        self.receive(packets)
        if not (self.is_holding or self._is_over):
            self._flow.release()

    def _end(self, packets: Sequence[Packet], ending: Ending) -> None:
        """Let `packets` pass, and end the connection once they are acknowledged."""
        self.stop()
        self._flow.hold()
        if packets:
            self._take(packets)
        self._flow.drain(lambda: self._link.end(ending))
