"""Server processes pinned to one core, and what they cost: CPU seconds and resident memory."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
REST_S = 0.5
POLL_S = 0.005
"""Between two looks whether a server listens yet: start-ups are measured by it."""

OPEN_FILES = 65_536
"""Descriptors a server may open: thousands of connections must not end at the usual 1024."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Which cores server and load run on; one and the same when there is but one."""

    server: int
    load: int

    @property
    def are_apart(self) -> bool:
        """False when the load generator takes the server's time away."""
        return self.server != self.load


def choose_cores() -> Cores:
    """Return the first two cores that this process may use."""
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(allowed[0], allowed[1] if len(allowed) > 1 else allowed[0])


def busy_share(cores: Cores) -> float:
    """Return how much of the two cores other programs use, 0 to 1, watched for one second."""
    per_core = psutil.cpu_percent(interval=1.0, percpu=True)
    return max(per_core[core] for core in {cores.server, cores.load}) / 100


def free_port(host: str) -> int:
    """Return a TCP port that nothing listens on at `host` right now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


class ServerProcess:
    """A server under test: started pinned, waited for, measured, ended.

    Its output goes to `log_file`, whose end is shown when it does not come up.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        core: int,
        log_file: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start `command` on `core`; standard input stays open and silent."""
        self.log_file = log_file
        self._command = command
        self._core = core
        self._environment = None if environment is None else {**os.environ, **environment}
        log_file.unlink(missing_ok=True)
        self._start()

    def restart(self) -> None:
        """End the process and start the same command again; its connections are gone."""
        self.stop()
        self._start()

    def _start(self) -> None:
        self.started_at = time.monotonic()
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                preexec_fn=lambda: _settle(self._core),  # noqa: PLW1509  no threads run here
            )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def wait_until_listening(self, host: str, port: int) -> None:
        """Return as soon as the server accepts a connection.

        Raises:
            RuntimeError: It ended, or did not listen in time; the end of its log is in the message.
        """
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            if self._process.poll() is not None:
                raise RuntimeError(f"the server ended at once:\n{self.log_tail()}")
            with contextlib.suppress(OSError), socket.create_connection((host, port), 1):
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"the server does not listen:\n{self.log_tail()}")
            time.sleep(POLL_S)

    def wait_until_idle(self) -> None:
        """Return once the server has used no CPU for a while: what follows its start is done.

        Raises:
            RuntimeError: It never rests.
        """
        deadline = time.monotonic() + START_TIMEOUT_S
        before_s = -1.0
        while (now_s := self.cpu_s()) > before_s:
            if time.monotonic() > deadline:
                raise RuntimeError(f"the server never rests:\n{self.log_tail()}")
            before_s = now_s
            time.sleep(REST_S)

    def log_tail(self) -> str:
        """Return the last lines that the server wrote."""
        return self.log_file.read_text(errors="replace")[-2000:]

    def cpu_s(self) -> float:
        """Return user and system CPU seconds of the process with all its threads, until now."""
        # proc(5): the command name may hold blanks and brackets, so split after the last bracket.
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S

    def resident_bytes(self) -> int:
        """Return the resident set size."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("the server has ended")

    def stop(self) -> None:
        """End the process, by force when it does not go by itself."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process."""
        self.stop()


def _settle(core: int) -> None:
    os.sched_setaffinity(0, {core})
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
