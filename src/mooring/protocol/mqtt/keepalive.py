"""Keep-alive arithmetic; times are seconds of one monotonic clock, passed in by the caller."""

from __future__ import annotations

from mooring.protocol.mqtt.limits import MAX_KEEP_ALIVE_S

SERVER_PATIENCE = 1.5
"""How many keep-alive intervals of silence a server bears [MQTT-3.1.2-24]."""


def silence_limit_s(keep_alive_s: int, *, cap_s: float | None = None) -> float | None:
    """Return after how many seconds of silence a server closes; None for never.

    Args:
        keep_alive_s: As the client's CONNECT has it; 0 asks for no limit.
        cap_s: Longest that this server bears, also of clients that ask for no limit
            (Azure: 1767 s).
    """
    if keep_alive_s == 0:
        return cap_s
    limit_s = SERVER_PATIENCE * keep_alive_s
    return limit_s if cap_s is None else min(limit_s, cap_s)


class KeepAlive:
    """Tells a client when to send PINGREQ and when to give the server up.

    A ping is due when for one interval nothing was sent, as the specification demands
    [MQTT-3.1.2-23], or nothing was received: a client that only sends would else not notice that
    nobody listens.
    """

    __slots__ = ("_answer_s", "_interval_s", "_ping_sent_at", "_received_at", "_sent_at")

    def __init__(self, interval_s: int, *, now: float, answer_s: float | None = None) -> None:
        """Start with a packet sent and one received at `now`.

        Args:
            interval_s: The keep-alive of the CONNECT, 0 to 65535; 0 turns it off.
            now: When the CONNACK came.
            answer_s: How long PINGRESP may take; None for half an interval, which is where the
                server's own patience ends.

        Raises:
            ValueError: `interval_s` is out of range.
        """
        if not 0 <= interval_s <= MAX_KEEP_ALIVE_S:
            raise ValueError(f"keep-alive is {interval_s} s, not 0 to {MAX_KEEP_ALIVE_S}")
        self._interval_s = interval_s
        self._answer_s = interval_s / 2 if answer_s is None else answer_s
        self._sent_at = now
        self._received_at = now
        self._ping_sent_at: float | None = None

    def sent(self, now: float) -> None:
        """Note that bytes were sent."""
        self._sent_at = now

    def received(self, now: float) -> None:
        """Note that bytes came, which also answers an open ping."""
        self._received_at = now
        self._ping_sent_at = None

    def ping_sent(self, now: float) -> None:
        """Note that PINGREQ was sent."""
        self._sent_at = now
        self._ping_sent_at = now

    def next_ping_due(self) -> float | None:
        """Return when to send PINGREQ; None without keep-alive or while an answer is awaited."""
        if self._interval_s == 0 or self._ping_sent_at is not None:
            return None
        return min(self._sent_at, self._received_at) + self._interval_s

    def answer_due(self) -> float | None:
        """Return until when the server has to answer the open ping; None without one."""
        return None if self._ping_sent_at is None else self._ping_sent_at + self._answer_s
