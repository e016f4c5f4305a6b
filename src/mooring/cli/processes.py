"""Child processes: the cloud and the gateway as programs of their own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx

from mooring.cli.api_access import read_facts
from mooring.cli.output import CommandError
from mooring.runtime.lifeline import LIFELINE_VARIABLE

READY_TIMEOUT_S = 60.0
"""A first start makes keys and tables; a slow board needs tens of seconds for that."""

STOP_TIMEOUT_S = 20.0
"""Longer than the drain of either program, so that only one that hangs is killed."""


class Child:
    """A `mooring` subprocess that ends when its parent does.

    The parent holds the write end of a pipe; the child stops in good order when it reads the
    pipe's end, even if the parent was killed and could not send a signal.
    """

    def __init__(self, name: str, arguments: Sequence[str], *, log: Path | None = None) -> None:
        """Describe the child: `name` for messages, `arguments` of the `mooring` command."""
        self.name = name
        self._arguments = arguments
        self._log = log
        self._log_start = 0
        self._lifeline: int | None = None
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Return the process id of the running child."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Return the exit status, None while it runs or before it was started."""
        return None if self._process is None else self._process.returncode

    async def start(self) -> None:
        """Start the program; its output goes to the log file, else to our standard error."""
        read_end, self._lifeline = os.pipe()
        output = sys.stderr.fileno()
        if self._log is not None:
            output = _open_log(self._log)
            self._log_start = os.fstat(output).st_size
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "mooring",
                *self._arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(read_end,),
                env={**os.environ, LIFELINE_VARIABLE: str(read_end)},
                start_new_session=True,  # Ctrl-C reaches the supervisor alone, which orders the end
            )
        finally:
            os.close(read_end)
            if self._log is not None:
                os.close(output)

    async def wait(self) -> int:
        """Wait for the child's end and return its exit status."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return await self._process.wait()

    async def stop(self) -> int | None:
        """Ask the child to end, wait, and kill it if it hangs; returns its exit status."""
        process = self._process
        if process is None:
            return None
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
            except TimeoutError:
                process.kill()
                await process.wait()
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None
        return process.returncode

    def last_words(self, lines: int = 12) -> str:
        """Return the last lines that it logged since its start, indented, for an error message."""
        if self._log is None or not self._log.exists():
            return ""
        with self._log.open("rb") as log:
            log.seek(self._log_start)
            said = log.read().decode(errors="replace").splitlines()[-lines:]
        return "".join(f"\n  {line}" for line in said)


async def wait_ready(child: Child, state: Path, *, timeout_s: float = READY_TIMEOUT_S) -> None:
    """Wait until `child`, a cloud or gateway in `state`, answers its health check.

    Args:
        child: The started program.
        state: The state folder, where it writes down where it listens.
        timeout_s: How long to wait, seconds.

    Raises:
        CommandError: It ended or did not answer in time; its last words are in the message.
    """
    deadline = time.monotonic() + timeout_s
    async with httpx.AsyncClient(timeout=2.0, trust_env=False, verify=False) as client:  # noqa: S501 - liveness only, nothing is sent or believed
        while time.monotonic() < deadline:
            if child.returncode is not None:
                raise CommandError(
                    f"{child.name}-ended",
                    f"The {child.name} ended with status {child.returncode} while starting. "
                    f"Its last lines:{child.last_words() or ' none.'}",
                    "Mend what its last lines say, then start again.",
                )
            url = _health_url(state, child)
            if url is not None:
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.get(url)).is_success:
                        return
            await asyncio.sleep(0.05)
    raise CommandError(
        f"{child.name}-not-ready",
        f"The {child.name} did not answer within {timeout_s:.0f} s. "
        f"Its last lines:{child.last_words() or ' none.'}",
        "See its log in the state folder.",
    )


def on_end_signals(call: Callable[[], None]) -> None:
    """Call `call` on the running loop at Ctrl-C, SIGTERM, or when the terminal is closed."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # nohup sets SIGHUP to be ignored, a shell SIGINT for what runs in its background.
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, call)


async def stop_requested() -> asyncio.Event:
    """Return an event set by Ctrl-C, SIGTERM, a closed terminal, or a supervising parent's end."""
    stop = asyncio.Event()
    on_end_signals(stop.set)
    loop = asyncio.get_running_loop()
    lifeline = os.environ.pop(LIFELINE_VARIABLE, None)
    if lifeline is not None and lifeline.isdecimal():
        descriptor = int(lifeline)

        def parent_gone() -> None:
            loop.remove_reader(descriptor)
            os.close(descriptor)
            stop.set()

        with contextlib.suppress(OSError):
            os.fstat(descriptor)
            loop.add_reader(descriptor, parent_gone)
    return stop


def _health_url(state: Path, child: Child) -> str | None:
    try:
        facts = read_facts(state, child.name)
    except CommandError:
        return None
    # An earlier run may have left its facts behind.
    return f"{facts['api_url']}/health" if facts.get("pid") == child.pid else None


def _open_log(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
