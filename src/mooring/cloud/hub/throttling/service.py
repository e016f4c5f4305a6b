"""Counts what is asked of each hub, and says when it is too much.

Counters are in memory, and begin anew when the cloud does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date

from mooring.cloud.hub.model import Hub
from mooring.cloud.hub.settings.model import HubSettings, HubThrottling
from mooring.cloud.hub.throttling.buckets import TokenBucket
from mooring.cloud.hub.throttling.errors import NotInThisTier, QuotaExceeded, Throttled
from mooring.cloud.hub.throttling.limits import (
    CHARGED,
    DEVICES,
    STANDARD_ONLY,
    block_bytes,
    is_basic,
    limits_of,
)
from mooring.cloud.hub.throttling.model import KIB, METHOD_METER_BYTES, WINDOWS_S, HubLimit
from mooring.runtime.clock import Clock

LONGEST_WAIT_S = 20.0
"""What telemetry may wait for its turn, with all that came before it on the hub: the bound of the
queue that Azure speaks of. A third of the keep-alive of Azure's SDK for Python, the shortest."""

BOOKED_AT_ONCE_S = 0.05
"""Messages of one connection pass in groups of this length, so that a quick hub needs no timer for
each of them."""


class Usage:
    """What came of one limit since the cloud started."""

    __slots__ = ("counted", "delayed", "refused")

    def __init__(self) -> None:
        """Begin with nothing."""
        self.counted = self.delayed = self.refused = 0


class HubThrottle:
    """The counters of one hub.

    Attributes:
        is_on: Whether the limits hold now; nothing is counted otherwise. The only thing that a
            fast path asks.
        settings: Those that it was set up by.
        usage: What came of each rate.
    """

    __slots__ = ("_blocks", "_buckets", "_clock", "_day", "is_on", "limits", "settings", "usage")

    def __init__(self, settings: HubSettings, clock: Clock) -> None:
        """Hold the limits of `settings`."""
        self._clock = clock
        self._day: date | None = None
        self._blocks = 0
        self._buckets: dict[HubLimit, TokenBucket] = {}
        self.usage = {limit: Usage() for limit in WINDOWS_S}
        self.set_up(settings)

    def set_up(self, settings: HubSettings) -> None:
        """Hold the limits of `settings` from now on; a rate that changed begins anew."""
        self.settings = settings
        self.limits = limits_of(settings)
        is_on = settings.throttling is HubThrottling.AZURE
        if not is_on:
            self._buckets.clear()
        now = self._clock.monotonic()
        for limit, window_s in WINDOWS_S.items():
            bucket = self._buckets.get(limit)
            if bucket is None or bucket.limit != self.limits[limit]:
                self._buckets[limit] = TokenBucket(self.limits[limit], window_s, now)
        self.is_on = is_on

    # -- requests ------------------------------------------------------------------------------

    def admit(self, limit: HubLimit, *, count: int = 1) -> None:
        """Let `count` operations pass, or refuse them; charge them by `charge` when they are done.

        Raises:
            NotInThisTier: The hub's tier has no such operation.
            QuotaExceeded: The messages of the day are used up.
            Throttled: There were as many as may be, for now.
        """
        if not self.is_on:
            return
        if limit in STANDARD_ONLY:
            self.check_tier()
        if limit in CHARGED:
            self.check_quota()
        bucket, usage = self._buckets[limit], self.usage[limit]
        wait_s = bucket.take(count, self._clock.monotonic())
        if wait_s:
            usage.refused += count
            retry_after_s = math.ceil(wait_s)
            raise Throttled(
                f"{limit}: hub limit of {bucket.limit} within {bucket.window_s} s.",
                f"Wait {retry_after_s} s; or change the hub's sku, limits or throttling.",
                retry_after_s=retry_after_s,
            )
        usage.counted += count

    def admit_method(self, payload_bytes: int) -> None:
        """Let a direct method pass; raises what `admit` does."""
        meters = max(1, math.ceil(payload_bytes / METHOD_METER_BYTES))
        self.admit(HubLimit.DIRECT_METHOD_KILOBYTES, count=meters * METHOD_METER_BYTES // KIB)

    def charge(self, *sizes: int) -> None:
        """Count messages of so many bytes each, as messages of the day; empty ones count too."""
        if not self.is_on:
            return
        self._turn_day()
        block = block_bytes(self.settings.sku)
        self._blocks += sum(max(1, -(-size // block)) for size in sizes)

    def check_tier(self) -> None:
        """Return if the tier is more than basic. Raises NotInThisTier."""
        if self.is_on and is_basic(self.settings.sku):
            raise NotInThisTier(
                f"Hubs of {self.settings.sku} have no cloud-to-device messages, twins and direct "
                "methods.",
                "Give the hub a sku of the standard tier, S1 to S3, or the free one.",
            )

    def check_quota(self) -> None:
        """Return if there are messages left for today. Raises QuotaExceeded."""
        if self.is_on and self.messages_today >= self.limits[HubLimit.MESSAGES_PER_DAY]:
            raise QuotaExceeded(
                f"The hub had its {self.limits[HubLimit.MESSAGES_PER_DAY]} messages of today.",
                "Wait until 00:00 UTC; or change the hub's sku, limits or throttling.",
            )

    # -- telemetry over MQTT, which is shaped --------------------------------------------------

    def book_sends(self, wanted: int) -> tuple[int, float] | None:
        """Book up to `wanted` messages of one connection, at least one.

        Returns:
            How many, and the seconds until they may pass; None if the queue is full.
        """
        bucket, usage = self._buckets[HubLimit.DEVICE_TO_CLOUD_SENDS], self._sends
        now = self._clock.monotonic()
        at_once = max(int(bucket.available(now)), int(bucket.rate * BOOKED_AT_ONCE_S))
        count = min(wanted, max(1, at_once))
        wait_s = bucket.book(count, now, longest_s=LONGEST_WAIT_S)
        if wait_s is None:
            usage.refused += 1
            return None
        usage.counted += count
        if wait_s:
            usage.delayed += count
        return count, wait_s

    @property
    def _sends(self) -> Usage:
        return self.usage[HubLimit.DEVICE_TO_CLOUD_SENDS]

    # -- to look at ----------------------------------------------------------------------------

    @property
    def messages_today(self) -> int:
        """Return the messages of the day so far, in blocks."""
        self._turn_day()
        return self._blocks

    def available(self, limit: HubLimit) -> float:
        """Return how much of a rate may pass at once now."""
        return max(0.0, self._buckets[limit].available(self._clock.monotonic()))

    def _turn_day(self) -> None:
        today = self._clock.now().date()
        if today != self._day:
            self._day, self._blocks = today, 0


class ThrottlingService:
    """The counters of all hubs; few, made when they are first asked for."""

    def __init__(self, settings_of: Callable[[Hub], HubSettings], clock: Clock) -> None:
        """Count nothing yet; `changed` is to be told of new settings."""
        self._settings_of = settings_of
        self._clock = clock
        self._throttles: dict[int, HubThrottle] = {}

    def of(self, hub: Hub) -> HubThrottle:
        """Return the counters of `hub`: the same object as long as the cloud runs."""
        throttle = self._throttles.get(hub.hub_id)
        if throttle is None:
            throttle = HubThrottle(self._settings_of(hub), self._clock)
            self._throttles[hub.hub_id] = throttle
        return throttle

    def changed(self, hub: Hub, settings: HubSettings) -> None:
        """Hold the new settings of `hub` from now on."""
        self.of(hub).set_up(settings)

    def device_limit(self, hub: Hub) -> int:
        """Return how many devices `hub` may hold."""
        throttle = self.of(hub)
        return throttle.limits[HubLimit.DEVICES] if throttle.is_on else DEVICES
