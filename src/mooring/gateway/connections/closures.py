"""Recognises another client with the same identity from how connections end.

Azure allows one live connection per device: a newer one closes the older socket without a word
(MQTT 3.1.1 has no DISCONNECT from the server). Two live clients of one identity therefore throw
each other out for ever, which looks like "connected, then dropped".
"""

from __future__ import annotations

from collections import deque

from mooring.gateway.connections.model import Fault

SHORT_LIFE_S = 60.0
"""A connection that the hub closes sooner is suspicious; SDKs come back within seconds."""

WINDOW_S = 600.0
"""Closures further apart than this have nothing to do with one another."""

CLOSURES_NEEDED = 2
"""One such closure is a restart of the hub as likely as anything else."""

CLOSED_BY_SERVER = "closed-by-server"
"""Code of the fault of a link that the hub closed in order."""

CONNECTION_LOST = "connection-lost"
"""Code of the fault of a link that was cut; some servers throw a client out in this way."""

TAKEN_OVER = "taken-over"
"""Code of the fault once the pattern is recognised."""


class ClosureHistory:
    """The recent connections of one device that the hub closed soon after accepting them."""

    def __init__(self) -> None:
        """Start with none."""
        self._closed_at: deque[float] = deque(maxlen=CLOSURES_NEEDED)

    def judge(self, fault: Fault, *, connected_s: float, now_s: float) -> Fault:
        """Return `fault`, or the fault that the pattern of closures points to.

        Args:
            fault: Why the link was lost.
            connected_s: How long it had been up.
            now_s: The present on a monotonic clock.
        """
        if fault.code not in (CLOSED_BY_SERVER, CONNECTION_LOST) or connected_s >= SHORT_LIFE_S:
            self._closed_at.clear()
            return fault
        self._closed_at.append(now_s)
        recent = [at for at in self._closed_at if now_s - at <= WINDOW_S]
        if len(recent) < CLOSURES_NEEDED:
            return fault
        return Fault(
            stage=fault.stage,
            code=TAKEN_OVER,
            cause=(
                f"The hub closed the connection {len(recent)} times shortly after accepting it, "
                "the last time after "
                f"{connected_s:.0f} s: most likely another client is connected with the same "
                "device id, and each throws the other out."
            ),
            remedy=(
                "Stop the other client, or give each device a certificate with a common name of "
                "its own. If there is none, look in the hub's log for why it closes."
            ),
            # Waiting out the other client's turn is all that can be done meanwhile.
            retry_after_s=fault.retry_after_s,
        )
