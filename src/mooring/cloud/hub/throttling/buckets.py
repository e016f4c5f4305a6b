"""Token buckets: a rate with a burst of one window."""

from __future__ import annotations


class TokenBucket:
    """Lets `limit` of something pass per `window_s` seconds, all at once where none came before.

    More than the bucket holds passes when it is full, and is made up for by those behind. Times
    are monotonic seconds, given by the caller.
    """

    __slots__ = ("_at", "_tokens", "limit", "rate", "window_s")

    def __init__(self, limit: int, window_s: float, now: float) -> None:
        """Begin full."""
        self.limit = limit
        self.window_s = window_s
        self.rate = limit / window_s
        self._tokens = float(limit)
        self._at = now

    def take(self, count: int, now: float) -> float:
        """Take `count` and return 0, or take nothing and return the seconds until one may."""
        needed = min(count, self.limit)
        # Rounding must not make somebody wait for a billionth of a token.
        missing = needed - self.available(now) - 1e-9
        if missing > 0:
            return missing / self.rate
        self._tokens -= count
        return 0.0

    def book(self, count: int, now: float, *, longest_s: float) -> float | None:
        """Take `count` in advance; return the seconds until they may pass, behind all before.

        None, and nothing is taken, if they would wait for more than `longest_s`.
        """
        wait_s = max(0.0, (count - self.available(now)) / self.rate)
        if wait_s > longest_s:
            return None
        self._tokens -= count
        return wait_s

    def available(self, now: float) -> float:
        """Return how many may pass now; less than 0 if some were booked."""
        elapsed = max(0.0, now - self._at)
        self._at = now
        self._tokens = min(float(self.limit), self._tokens + elapsed * self.rate)
        return self._tokens
