"""Settings from the command line, and running the cloud or the gateway in the foreground."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

import pydantic
import uvloop
from pydantic_settings import BaseSettings, SettingsError

from mooring.cli.output import CommandError, UsageError, exit_with_error
from mooring.cli.processes import stop_requested
from mooring.runtime.logs import LOG_LEVELS, configure_logs

Settings = TypeVar("Settings", bound=BaseSettings)


def checked_settings(kind: type[Settings], given: Mapping[str, Any]) -> Settings:
    """Return settings of `kind` from the options that were `given` (None: not), and the rest.

    Raises:
        UsageError: A value is wrong; names its option, or its environment variable.
    """
    chosen = {name: value for name, value in given.items() if value is not None}
    prefix = str(kind.model_config.get("env_prefix", ""))
    try:
        return kind(**chosen)
    except SettingsError as error:
        raise UsageError(
            "setting-wrong", f"{error}", f"Correct the variable {prefix}…; see docs/settings.md."
        ) from None
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        fault = str(first["msg"]).removeprefix("Value error, ")
        source = f"--{name.replace('_', '-')}" if name in chosen else f"{prefix}{name.upper()}"
        if not name:
            raise UsageError(
                "settings-conflict", f"{fault}.", "Change one of them; see docs/settings.md."
            ) from None
        raise UsageError(
            "setting-wrong", f"{source}: {fault}.", f"Correct {source}.", field=source
        ) from None


def run_program(
    kind: type[Settings],
    given: Mapping[str, Any],
    serve: Callable[[Settings, asyncio.Event], Coroutine[None, None, None]],
    *,
    log_level: str,
    log_json: bool,
) -> None:
    """Run `serve` on the fast event loop until Ctrl-C, SIGTERM or the end of the parent.

    Wrong settings end the command with status 2, a program that cannot start with status 1; both
    say what and what to do.
    """
    try:
        if log_level.lower() not in LOG_LEVELS:
            raise UsageError(
                "log-level-unknown",
                f"--log-level is {log_level!r}.",
                f"Give one of {', '.join(LOG_LEVELS)}.",
                field="--log-level",
            )
        settings = checked_settings(kind, given)
    except CommandError as error:
        exit_with_error(error)
    configure_logs(json=log_json, level=log_level)

    async def run() -> None:
        await serve(settings, await stop_requested())

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run())
    except Exception as error:
        if not hasattr(error, "remedy"):
            raise
        exit_with_error(error)
