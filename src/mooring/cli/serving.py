"""Running the cloud or the gateway in the foreground."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TypeVar

import pydantic
import uvloop

from mooring.cli.output import EXIT_USAGE, CommandError, exit_with_error
from mooring.cli.processes import stop_requested
from mooring.runtime.logs import LOG_LEVELS, configure_logs

Settings = TypeVar("Settings")


def run_program(
    settings: Callable[[], Settings],
    serve: Callable[[Settings, asyncio.Event], Coroutine[None, None, None]],
    *,
    log_level: str,
    log_json: bool,
) -> None:
    """Run `serve` on the fast event loop until Ctrl-C, SIGTERM or the end of the parent.

    Wrong settings end the command with status 2, a program that cannot start with status 1; both
    say what and what to do.
    """
    if log_level.lower() not in LOG_LEVELS:
        exit_with_error(
            CommandError(
                "log-level-unknown",
                f"--log-level is {log_level!r}.",
                f"Give one of {', '.join(LOG_LEVELS)}.",
                field="--log-level",
            ),
            exit_code=EXIT_USAGE,
        )
    configure_logs(json=log_json, level=log_level)
    try:
        checked = settings()
    except pydantic.ValidationError as error:
        exit_with_error(_settings_error(error), exit_code=EXIT_USAGE)

    async def run() -> None:
        await serve(checked, await stop_requested())

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run())
    except Exception as error:
        if not hasattr(error, "remedy"):
            raise
        exit_with_error(error)


def _settings_error(error: pydantic.ValidationError) -> CommandError:
    first = error.errors(include_url=False)[0]
    name = ".".join(str(part) for part in first["loc"]) or "settings"
    return CommandError(
        "setting-wrong",
        f"{name}: {first['msg'].removeprefix('Value error, ')}",
        "Correct the option or the environment variable of that name.",
        field=name,
    )
