"""The bounds of a listener: what one peer, or all together, may cost."""

from __future__ import annotations

from dataclasses import dataclass, fields

MAX_HANDSHAKES_IN_FLIGHT = 512
"""Half-done handshakes hold about 60 KB each, so this bounds them at about 30 MB."""

MAX_HANDSHAKES_PER_ADDRESS = 128
"""A quarter of all, so that one peer that begins handshakes and does not go on with them cannot
shut the others out; a plant behind one address still gets some thousand done in a second."""

MAX_HANDSHAKES_WAITING = 1024
"""Clients whose first bytes wait for a free handshake; at about 1 ms of CPU each, more than
these would time out in the queue anyway."""

HANDSHAKE_TIMEOUT_S = 30.0
"""From accept to the end of the handshake: generous for a device behind a satellite link."""

MAX_CONNECTIONS = 50_000
"""At about 36 KB each this is 1.8 GB; lowered further by the limit of open files."""

MAX_CONNECTIONS_PER_ADDRESS = 10_000
"""High, since a whole plant may sit behind one translated address; it keeps a single address
from taking all connections."""

WRITE_HIGH_WATER_BYTES = 64 * 1024
"""Unsent bytes at which the application is asked to pause; asyncio's own default."""

WRITE_LIMIT_BYTES = 4 * 1024 * 1024
"""Unsent bytes at which a peer that does not read is cut off. Well above what one burst of the
application can be (an MQTT packet of 256 KiB and its neighbours)."""

CLOSE_LINGER_S = 5.0
"""How long a closed connection waits for the peer to read the last bytes and to close too."""


@dataclass(frozen=True, slots=True)
class ListenerLimits:
    """Bounds of one listener. Sizes in bytes, times in seconds, all above 0.

    Attributes:
        max_handshakes_in_flight: Handshakes begun (first bytes seen) and not yet done.
        max_handshakes_per_address: The same for one IPv4 address or one IPv6 /64 network.
        max_handshakes_waiting: Clients whose first bytes wait for one of those; more are refused.
        handshake_timeout_s: From accept to the end of the handshake, waiting included.
        max_connections: All connections, in every state.
        max_connections_per_address: The same for one IPv4 address or one IPv6 /64 network.
        write_high_water_bytes: Unsent bytes at which the application's `pause_writing` is called;
            `resume_writing` follows at a quarter of it.
        write_limit_bytes: Unsent bytes at which the connection is aborted.
        close_linger_s: How long an orderly close may take before it becomes an abort.
    """

    max_handshakes_in_flight: int = MAX_HANDSHAKES_IN_FLIGHT
    max_handshakes_per_address: int = MAX_HANDSHAKES_PER_ADDRESS
    max_handshakes_waiting: int = MAX_HANDSHAKES_WAITING
    handshake_timeout_s: float = HANDSHAKE_TIMEOUT_S
    max_connections: int = MAX_CONNECTIONS
    max_connections_per_address: int = MAX_CONNECTIONS_PER_ADDRESS
    write_high_water_bytes: int = WRITE_HIGH_WATER_BYTES
    write_limit_bytes: int = WRITE_LIMIT_BYTES
    close_linger_s: float = CLOSE_LINGER_S

    def __post_init__(self) -> None:
        """Refuse bounds that contradict themselves.

        Raises:
            ValueError: A bound is not above 0 (waiting may be 0), or the write limit is below
                the high-water mark.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "max_handshakes_waiting":
                if value < 0:
                    raise ValueError(f"{field.name} must not be negative, as {value} is")
            elif value <= 0:
                raise ValueError(f"{field.name} must be above 0, not {value}")
        if self.write_limit_bytes < self.write_high_water_bytes:
            raise ValueError(
                f"write_limit_bytes ({self.write_limit_bytes}) is below "
                f"write_high_water_bytes ({self.write_high_water_bytes})"
            )
