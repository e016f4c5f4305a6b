"""Exponential back-off with full jitter, which honours a server's retry hint.

Full jitter spreads a fleet that lost its server at the same moment; a fixed period makes it
come back in lock-step.
"""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """Delays between attempts: random in [base/2, base · 2^n], capped, never below a retry hint."""

    def __init__(
        self,
        *,
        base_s: float,
        cap_s: float,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """Start with no failures counted.

        Args:
            base_s: Upper bound of the first delay, seconds, above 0.
            cap_s: Upper bound of every delay, seconds, at least `base_s`.
            uniform: Source of randomness; tests pass their own.

        Raises:
            ValueError: The bounds contradict each other.
        """
        if base_s <= 0 or cap_s < base_s:
            raise ValueError(f"back-off needs 0 < base ({base_s} s) <= cap ({cap_s} s)")
        self._base_s = base_s
        self._cap_s = cap_s
        self._uniform = uniform
        self.failures = 0

    def next_delay_s(self, *, retry_after_s: float | None = None) -> float:
        """Count one more failure and return how long to wait, in seconds.

        `retry_after_s` is the server's own hint: the wait is never shorter, even above the cap,
        and up to a quarter of it is added so that a fleet does not return in one instant.
        """
        ceiling = min(self._cap_s, self._base_s * 2.0 ** min(self.failures, 32))
        self.failures += 1
        delay = self._uniform(min(self._base_s / 2, ceiling), ceiling)
        if retry_after_s is None:
            return delay
        return max(delay, retry_after_s + self._uniform(0.0, retry_after_s / 4))

    def reset(self) -> None:
        """Forget the failures, after a connection has proved stable."""
        self.failures = 0
