"""Background tasks: failures are told, the end is joined."""

from __future__ import annotations

import asyncio

import structlog.testing

from mooring.runtime.tasks import TaskKeeper


async def test_close_when_tasks_run_cancels_and_joins_them() -> None:
    keeper = TaskKeeper()
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    task = keeper.spawn(work(), name="work")
    await asyncio.sleep(0)
    await keeper.close()

    assert ended.is_set()
    assert task.cancelled()


async def test_spawn_when_the_task_fails_logs_it_with_its_name() -> None:
    keeper = TaskKeeper()

    async def work() -> None:
        raise RuntimeError("broken")

    with structlog.testing.capture_logs() as lines:
        task = keeper.spawn(work(), name="fragile")
        await asyncio.wait([task])
        await asyncio.sleep(0)

    assert [(line["task"], line["log_level"]) for line in lines] == [("fragile", "error")]
