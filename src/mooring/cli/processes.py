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

from mooring.cli.output import CommandError

READY_TIMEOUT_S = 60.0
"""A first start makes keys and tables; a slow board needs tens of seconds for that."""

STOP_TIMEOUT_S = 20.0
"""Longer than the drain of either program, so that only one that hangs is killed."""

LIFELINE_VARIABLE = "MOORING_LIFELINE_FD"
"""Names the descriptor whose end of file tells a child that its parent is gone."""


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
        output = sys.stderr.fileno() if self._log is None else _open_log(self._log)
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

    def log_tail(self, lines: int = 12) -> str:
        """Return the last lines of the log file, for an error message."""
        if self._log is None or not self._log.exists():
            return ""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])


async def wait_ready(
    child: Child, health_url: Callable[[], str | None], *, timeout_s: float = READY_TIMEOUT_S
) -> None:
    """Wait until `child` answers its health check.

    Args:
        child: The started program.
        health_url: Tells where to ask, None as long as the program has not written that down.
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
                    f"The {child.name} ended with status {child.returncode} while starting.\n"
                    f"{child.log_tail()}".rstrip(),
                    "Mend what its last lines say, then start again.",
                )
            url = health_url()
            if url is not None:
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.get(url)).is_success:
                        return
            await asyncio.sleep(0.05)
    raise CommandError(
        f"{child.name}-not-ready",
        f"The {child.name} did not answer within {timeout_s:.0f} s.\n{child.log_tail()}".rstrip(),
        "See its log in the state folder.",
    )


async def stop_requested() -> asyncio.Event:
    """Return an event that is set by Ctrl-C, SIGTERM, or the end of a supervising parent."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
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


def _open_log(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
