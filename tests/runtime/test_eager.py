"""Eager starts: no task where nothing waits, and nothing lost where something does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mooring.runtime.eager import Done, Waiting, start_eagerly


async def resume(waiting: Any) -> Any:
    """Go on with a coroutine in a task."""
    return await waiting


async def test_coroutine_that_never_waits_is_done_at_once() -> None:
    async def inner() -> int:
        return 7

    async def outer() -> int:
        return await inner() + 1

    started = start_eagerly(outer())

    assert isinstance(started, Done)
    assert started.value == 8


async def test_coroutine_that_waits_goes_on_in_a_task_and_returns_its_value() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    steps: list[str] = []

    async def work() -> int:
        steps.append("begun")
        first = await future
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        steps.append("woken")
        return first + 1

    started = start_eagerly(work())
    assert isinstance(started, Waiting)
    assert steps == ["begun"]

    task = asyncio.create_task(resume(started))
    await asyncio.sleep(0)
    future.set_result(41)

    assert await task == 42
    assert steps == ["begun", "woken"]


async def test_future_that_is_done_before_the_task_begins_is_not_missed() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def work() -> int:
        return await future

    started = start_eagerly(work())
    future.set_result(5)

    assert await asyncio.create_task(resume(started)) == 5


async def test_error_before_the_first_wait_is_raised_at_once() -> None:
    async def fail() -> None:
        raise KeyError("now")

    with pytest.raises(KeyError):
        start_eagerly(fail())


@pytest.mark.parametrize("caught", [True, False])
async def test_error_of_what_is_awaited_reaches_the_coroutine(caught: bool) -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def work() -> str:
        try:
            await future
        except KeyError:
            if not caught:
                raise
        return "caught"

    started = start_eagerly(work())
    future.set_exception(KeyError("later"))
    task = asyncio.create_task(resume(started))

    if caught:
        assert await task == "caught"
    else:
        with pytest.raises(KeyError):
            await task


async def test_cancelling_the_task_reaches_the_coroutine() -> None:
    cleaned: list[bool] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cleaned.append(True)

    task = asyncio.create_task(resume(start_eagerly(work())))
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned == [True]
