"""Applies the table of states to one connection and remembers how it came here."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime

from mooring.gateway.connections.model import Fault, Transition
from mooring.gateway.connections.states import (
    MOVES,
    STAGES,
    ConnectionStage,
    ConnectionState,
)
from mooring.runtime.clock import Clock

MAX_HISTORY = 50
"""Transitions kept: some four whole attempts with all their stages."""


class MoveForbidden(RuntimeError):
    """A move that the table does not have: a defect in the caller."""


class StateMachine:
    """One connection's state, stage and history; tells `on_change` of every transition."""

    def __init__(self, clock: Clock, on_change: Callable[[Transition], None]) -> None:
        """Start as `DISABLED`."""
        self._clock = clock
        self._on_change = on_change
        self._history: deque[Transition] = deque(maxlen=MAX_HISTORY)
        self.state = ConnectionState.DISABLED
        self.stage: ConnectionStage | None = None
        self.since: datetime = clock.now()
        self.revision = 0
        self._history.append(Transition(self.since, self.state))

    @property
    def history(self) -> tuple[Transition, ...]:
        """Return the last `MAX_HISTORY` transitions, oldest first."""
        return tuple(self._history)

    @property
    def detail(self) -> str:
        """Return what the last transition said beyond state and stage."""
        return self._history[-1].detail

    def move(self, state: ConnectionState, *, detail: str = "", fault: Fault | None = None) -> None:
        """Go to `state`.

        Raises:
            MoveForbidden: The table has no such move.
        """
        if state not in MOVES[self.state]:
            raise MoveForbidden(f"no move from {self.state} to {state}")
        self.state = state
        self.stage = None
        self.since = self._clock.now()
        self._keep(Transition(self.since, state, None, detail, fault))

    def enter(self, stage: ConnectionStage, *, detail: str = "") -> None:
        """Go to `stage` of the present state.

        Raises:
            MoveForbidden: The state has no such stage.
        """
        if stage not in STAGES.get(self.state, ()):
            raise MoveForbidden(f"{self.state} has no stage {stage}")
        self.stage = stage
        self._keep(Transition(self._clock.now(), self.state, stage, detail))

    def _keep(self, transition: Transition) -> None:
        self._history.append(transition)
        self.revision += 1
        self._on_change(transition)
