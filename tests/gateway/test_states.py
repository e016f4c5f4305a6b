"""The table of states, and the machine that runs it."""

from __future__ import annotations

import pytest

from mooring.gateway.connections.machine import MAX_HISTORY, MoveForbidden, StateMachine
from mooring.gateway.connections.model import Transition
from mooring.gateway.connections.states import (
    ATTEMPTING,
    MOVES,
    STAGES,
    ConnectionStage,
    ConnectionState,
    console_word,
)
from mooring.runtime.clock import SYSTEM_CLOCK


def machine_in(state: ConnectionState) -> tuple[StateMachine, list[Transition]]:
    """Return a machine led to `state` by the shortest way, and what it tells from then on."""
    told: list[Transition] = []
    machine = StateMachine(SYSTEM_CLOCK, told.append)
    ways: dict[ConnectionState, list[ConnectionState]] = {machine.state: []}
    frontier = [machine.state]
    while state not in ways:
        here = frontier.pop(0)
        for there in sorted(MOVES[here]):
            if there not in ways:
                ways[there] = [*ways[here], there]
                frontier.append(there)
    for step in ways[state]:
        machine.move(step)
    told.clear()
    return machine, told


@pytest.mark.parametrize("state", list(ConnectionState))
def test_move_when_the_table_has_it_is_made_and_told(state: ConnectionState) -> None:
    for following in MOVES[state]:
        machine, told = machine_in(state)
        machine.move(following, detail="because")
        assert (machine.state, machine.stage) == (following, None)
        assert [(t.state, t.detail) for t in told] == [(following, "because")]


@pytest.mark.parametrize("state", list(ConnectionState))
def test_move_when_the_table_lacks_it_is_refused_and_changes_nothing(
    state: ConnectionState,
) -> None:
    for following in set(ConnectionState) - MOVES[state]:
        machine, told = machine_in(state)
        with pytest.raises(MoveForbidden):
            machine.move(following)
        assert machine.state is state
        assert told == []


@pytest.mark.parametrize("state", list(ConnectionState))
def test_stage_when_not_of_the_state_is_refused(state: ConnectionState) -> None:
    for stage in ConnectionStage:
        machine, _ = machine_in(state)
        if stage in STAGES.get(state, ()):
            machine.enter(stage)
            assert machine.stage is stage
        else:
            with pytest.raises(MoveForbidden):
                machine.enter(stage)


def test_every_state_can_be_reached_and_left() -> None:
    for state in ConnectionState:
        machine_in(state)
        assert MOVES[state]


def test_every_attempting_state_can_be_interrupted() -> None:
    assert all(ConnectionState.IDLE in MOVES[state] for state in ATTEMPTING)


def test_history_when_long_keeps_the_last_fifty() -> None:
    machine, _ = machine_in(ConnectionState.IDLE)
    for _ in range(40):
        machine.move(ConnectionState.LINTING)
        machine.move(ConnectionState.IDLE)
    assert len(machine.history) == MAX_HISTORY == 50
    assert machine.revision == 81


def test_console_word_is_one_of_the_two_of_the_guide() -> None:
    words = {state: console_word(state) for state in ConnectionState}
    assert words.pop(ConnectionState.CONNECTED) == "Connected"
    assert set(words.values()) == {"Disconnected"}
