"""Who may connect, and who may shake hands now: the counting side of a listener's limits."""

from __future__ import annotations

import enum
import ipaddress
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

from mooring.transport.limits import ListenerLimits


@dataclass(slots=True)
class ListenerCounters:
    """What a listener has seen since its start; each only grows, save `open_connections`."""

    accepted: int = 0
    open_connections: int = 0
    handshakes_ok: int = 0
    handshakes_failed: int = 0
    handshakes_timed_out: int = 0
    refused_by_connection_limit: int = 0
    refused_by_address_limit: int = 0
    refused_by_handshake_limit: int = 0
    slow_readers_aborted: int = 0
    application_errors: int = 0


class Turn(enum.Enum):
    """The answer to a client whose first bytes have arrived."""

    NOW = enum.auto()
    WAIT = enum.auto()
    REFUSED = enum.auto()


class Admission:
    """Counts connections and handshakes against the limits.

    A handshake counts from the peer's first bytes, not from the accept: a connection that says
    nothing costs a socket, which the connection limits bound, and cannot hold up the others.
    """

    def __init__(self, limits: ListenerLimits, counters: ListenerCounters) -> None:
        """Start with nothing admitted."""
        self._limits = limits
        self._counters = counters
        self._per_network: dict[str, int] = {}
        self._in_flight = 0
        self._shaking: Counter[str] = Counter()
        self._waiting: deque[tuple[Callable[[], None], str]] = deque()

    def admit(self, address: str) -> str | None:
        """Count a connection from `address` in; return why not, if a limit is reached."""
        self._counters.accepted += 1
        if self._counters.open_connections >= self._limits.max_connections:
            self._counters.refused_by_connection_limit += 1
            return f"the listener already has {self._limits.max_connections} connections"
        network = network_of(address)
        here = self._per_network.get(network, 0)
        if here >= self._limits.max_connections_per_address:
            self._counters.refused_by_address_limit += 1
            return f"{network} already has {here} connections"
        self._per_network[network] = here + 1
        self._counters.open_connections += 1
        return None

    def dismiss(self, address: str) -> None:
        """Count an admitted connection out."""
        network = network_of(address)
        left = self._per_network[network] - 1
        if left:
            self._per_network[network] = left
        else:
            del self._per_network[network]
        self._counters.open_connections -= 1

    def begin_handshake(self, start: Callable[[], None], address: str) -> Turn:
        """Ask for a handshake with `address`. On `Turn.WAIT`, `start` is called when it may begin.

        Each `Turn.NOW`, and each call of `start`, is to be matched by one `end_handshake`.
        """
        network = network_of(address)
        if self._has_room(network):
            self._count_in(network)
            return Turn.NOW
        if len(self._waiting) < self._limits.max_handshakes_waiting:
            self._waiting.append((start, network))
            return Turn.WAIT
        self._counters.refused_by_handshake_limit += 1
        return Turn.REFUSED

    def give_up_waiting(self, start: Callable[[], None], address: str) -> None:
        """Leave the queue; `start` will not be called."""
        self._waiting.remove((start, network_of(address)))

    def end_handshake(self, address: str) -> None:
        """Say that a handshake is over, well or not; the longest waiting that may begin does."""
        network = network_of(address)
        self._in_flight -= 1
        self._shaking[network] -= 1
        if not self._shaking[network]:
            del self._shaking[network]
        for waiting in self._waiting:
            start, network = waiting
            if self._has_room(network):
                self._waiting.remove(waiting)
                self._count_in(network)
                start()
                return

    def _has_room(self, network: str) -> bool:
        limits = self._limits
        return (
            self._in_flight < limits.max_handshakes_in_flight
            and self._shaking[network] < limits.max_handshakes_per_address
        )

    def _count_in(self, network: str) -> None:
        self._in_flight += 1
        self._shaking[network] += 1


def network_of(address: str) -> str:
    """Return what is counted as one peer: an IPv4 address, or the /64 of an IPv6 address.

    One subscriber commonly holds a whole /64 (RFC 6177), so single IPv6 addresses prove nothing.
    """
    if ":" not in address:
        return address
    return str(ipaddress.IPv6Network((address.partition("%")[0], 64), strict=False))
