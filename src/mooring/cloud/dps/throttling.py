"""Azure's limits on the rate of requests, for whoever wants to rehearse them; off by default.

A request over a limit is answered 429 with the time to wait, and nothing else comes of it: an
operation that is under way goes on, and its next poll brings what this one would have.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from dataclasses import dataclass
from enum import StrEnum

from mooring.cloud.dps.errors import Throttled
from mooring.protocol.azure.identifiers import fold_registration_id
from mooring.runtime.clock import SYSTEM_CLOCK, Clock

MIN_RETRY_AFTER_S = 2
MAX_RETRY_AFTER_S = 5
"""Azure's Java SDK takes 2 to 5 seconds, and makes 2 of anything else: a longer wait, though it
may be the true one, would bring the device back the sooner."""

MAX_POLLING_DEVICES = 50_000
"""Devices whose polls are counted at one time, some 400 bytes each: as many as may be connected.
Of more, those that polled longest ago are forgotten, and so let through."""


class ThrottlingMode(StrEnum):
    """Which limits hold."""

    OFF = "off"
    AZURE = "azure"


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `limit` requests in any `window_s` seconds."""

    limit: int
    window_s: float


# Azure: "Quotas and limits in the Device Provisioning Service".
REGISTRATIONS = Rate(1_000, 60.0)
SERVICE_OPERATIONS = Rate(1_000, 60.0)
POLLS = Rate(5, 10.0)


class _Window:
    """When the latest requests were let through; exact, since limits are small."""

    __slots__ = ("_passed",)

    def __init__(self, rate: Rate) -> None:
        """Begin empty, for `rate`."""
        self._passed: deque[float] = deque(maxlen=rate.limit)

    @property
    def latest(self) -> float:
        """Return when the latest was let through."""
        return self._passed[-1]

    def wait_s(self, rate: Rate, now: float) -> float:
        """Let a request through and return 0, or return how long until one may be."""
        if len(self._passed) == rate.limit:
            wait = self._passed[0] + rate.window_s - now
            if wait > 0:
                return wait
        self._passed.append(now)
        return 0.0


class Throttling:
    """Counts the requests of one provisioning service."""

    def __init__(
        self,
        mode: ThrottlingMode = ThrottlingMode.OFF,
        *,
        clock: Clock = SYSTEM_CLOCK,
        max_polling_devices: int = MAX_POLLING_DEVICES,
    ) -> None:
        """Hold the limits of `mode`."""
        self._on = mode is ThrottlingMode.AZURE
        self._clock = clock
        self._registrations = _Window(REGISTRATIONS)
        self._service_operations = _Window(SERVICE_OPERATIONS)
        self._polls: OrderedDict[str, _Window] = OrderedDict()
        self._max_polling_devices = max_polling_devices

    @property
    def polling_devices(self) -> int:
        """Return how many devices' polls are counted now."""
        return len(self._polls)

    def admit_registration(self) -> None:
        """Count a register request of any device.

        Raises:
            Throttled: The service has had its registrations for now.
        """
        if self._on:
            self._admit(self._registrations, REGISTRATIONS, "device registrations")

    def admit_service_operation(self) -> None:
        """Count a request to the service API.

        Raises:
            Throttled: The service has had its operations for now.
        """
        if self._on:
            self._admit(self._service_operations, SERVICE_OPERATIONS, "service operations")

    def admit_poll(self, registration_id: str) -> None:
        """Count a poll of a device that has proved to be `registration_id`.

        Raises:
            Throttled: The device has had its polls for now.
        """
        if not self._on:
            return
        now = self._clock.monotonic()
        self._forget_idle(now)
        key = fold_registration_id(registration_id)
        window = self._polls.pop(key, None) or _Window(POLLS)
        self._polls[key] = window  # now the latest
        self._admit(window, POLLS, f"polls of {registration_id!r}")

    def _admit(self, window: _Window, rate: Rate, what: str) -> None:
        wait = window.wait_s(rate, self._clock.monotonic())
        if wait:
            retry_after = min(max(math.ceil(wait), MIN_RETRY_AFTER_S), MAX_RETRY_AFTER_S)
            raise Throttled(
                f"There were {rate.limit} {what} within {rate.window_s:.0f} s, which is the limit.",
                "Wait as long as retry-after says; or start the service with throttling off.",
                retry_after_s=retry_after,
            )

    def _forget_idle(self, now: float) -> None:
        """Drop devices that have not polled for a window's time, and the oldest beyond the bound.

        The order is that of the latest request, let through or not; one that was not leaves the
        time of the one before, so that it is dropped a little late, never early.
        """
        while self._polls:
            oldest = next(iter(self._polls.values()))
            if (
                oldest.latest + POLLS.window_s > now
                and len(self._polls) < self._max_polling_devices
            ):
                return
            self._polls.popitem(last=False)
