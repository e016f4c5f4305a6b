"""The connection's state machine, as a table.

Rules:
- A connection is always in exactly one state; `MOVES` lists every move there is. A move that is
  not in the table is a defect of the caller, never a state that somebody sees.
- `DISABLED` means that it cannot be tried: its transport tab has not been applied yet. `IDLE`
  means that it could, and nobody asks for it: at start without auto-connect, or after
  Disconnect. Only from `IDLE` and the three waiting states does an attempt begin.
- An attempt is `LINTING`, then `PROVISIONING` and `ASSIGNED` unless the assignment is known,
  then `CONNECTING`. A hub that refuses a known assignment leads back to `PROVISIONING` once.
- `BACKOFF` comes back by itself; `FAILED_PERMANENT` waits for a changed configuration or for
  Connect, because no retry can mend it.
- `PROVISIONING` and `CONNECTING` have stages; the others have none.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class ConnectionState(StrEnum):
    """Where a cloud connection stands."""

    DISABLED = "DISABLED"
    IDLE = "IDLE"
    LINTING = "LINTING"
    PROVISIONING = "PROVISIONING"
    ASSIGNED = "ASSIGNED"
    CONNECTING = "CONNECTING"
    CONNECTED = "CONNECTED"
    DRAINING = "DRAINING"
    BACKOFF = "BACKOFF"
    FAILED_PERMANENT = "FAILED_PERMANENT"


class ConnectionStage(StrEnum):
    """A step of `PROVISIONING` (all of them) or of `CONNECTING` (the first four)."""

    DNS = "dns"
    TCP = "tcp"
    TLS = "tls"
    MQTT = "mqtt"
    REGISTER = "register"
    POLLING = "polling"


_S = ConnectionState

MOVES: Mapping[ConnectionState, frozenset[ConnectionState]] = {
    _S.DISABLED: frozenset({_S.IDLE}),
    _S.IDLE: frozenset({_S.DISABLED, _S.LINTING}),
    _S.LINTING: frozenset(
        {_S.PROVISIONING, _S.CONNECTING, _S.BACKOFF, _S.FAILED_PERMANENT, _S.IDLE}
    ),
    _S.PROVISIONING: frozenset({_S.ASSIGNED, _S.BACKOFF, _S.FAILED_PERMANENT, _S.IDLE}),
    _S.ASSIGNED: frozenset({_S.CONNECTING, _S.BACKOFF, _S.IDLE}),
    _S.CONNECTING: frozenset(
        {_S.CONNECTED, _S.PROVISIONING, _S.BACKOFF, _S.FAILED_PERMANENT, _S.IDLE}
    ),
    _S.CONNECTED: frozenset({_S.DRAINING, _S.BACKOFF}),
    _S.DRAINING: frozenset({_S.IDLE}),
    _S.BACKOFF: frozenset({_S.LINTING, _S.IDLE}),
    _S.FAILED_PERMANENT: frozenset({_S.LINTING, _S.IDLE}),
}
"""From each state, the states that may follow it."""

STAGES: Mapping[ConnectionState, tuple[ConnectionStage, ...]] = {
    _S.PROVISIONING: tuple(ConnectionStage),
    _S.CONNECTING: (
        ConnectionStage.DNS,
        ConnectionStage.TCP,
        ConnectionStage.TLS,
        ConnectionStage.MQTT,
    ),
}
"""The stages of the states that have any, in their order."""

ATTEMPTING = frozenset({_S.LINTING, _S.PROVISIONING, _S.ASSIGNED, _S.CONNECTING})
"""The states in which an attempt runs."""


def console_word(state: ConnectionState) -> str:
    """Return what the console's Status column says: ESF's two words."""
    return "Connected" if state is ConnectionState.CONNECTED else "Disconnected"
