"""Runs a coroutine at once, up to where it first has to wait.

Most coroutines on the device path find what they need in memory and never wait; a task for each
would cost more than their work. (Python 3.12 has this as ``eager_start``; 3.11 has not.)
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Done(Generic[T]):
    """A coroutine that has ended; `value` is what it returned."""

    __slots__ = ("value",)

    def __init__(self, value: T) -> None:
        """Keep the value."""
        self.value = value


class Waiting(Generic[T]):
    """A coroutine that waits; to be awaited once, by a task, which goes on with it."""

    __slots__ = ("_awaited", "_coroutine")

    def __init__(self, coroutine: Coroutine[Any, Any, T], awaited: Any) -> None:
        """Keep the coroutine and what it handed out when it first waited."""
        self._coroutine = coroutine
        self._awaited = awaited

    def __await__(self) -> Generator[Any, Any, T]:
        """Hand out what the coroutine waits for, then go on as ``yield from`` would."""
        awaited = self._awaited
        while True:
            try:
                sent = yield awaited
            except BaseException as error:  # noqa: BLE001 - passed in, as `yield from` does
                failure: BaseException | None = error
            else:
                failure = None
            try:
                if failure is None:
                    awaited = self._coroutine.send(sent)
                else:
                    awaited = self._coroutine.throw(failure)
            except StopIteration as stop:
                value: T = stop.value
                return value


def start_eagerly(coroutine: Coroutine[Any, Any, T]) -> Done[T] | Waiting[T]:
    """Run `coroutine` until it ends or first waits.

    Until then it is in no task: it must not ask for the current one (no ``asyncio.timeout``, no
    task group) before it first waits. What it raises is raised here.
    """
    try:
        awaited = coroutine.send(None)
    except StopIteration as stop:
        return Done(stop.value)
    return Waiting(coroutine, awaited)
