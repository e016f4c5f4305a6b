"""Runs the compiled load generator: started, held until told to go, its result read."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness.servers import Server

BOTTLENECK_SHARE = 0.97
"""Above this share of its core the generator, not the server, sets the rate."""


class LoadFailed(Exception):
    """The generator gave up; the message is its own."""


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What the generator did: how many, in how long, and what it needed itself.

    `p50_ms` and `p99_ms` are times of one of them, 0 in modes that do not take them.
    """

    count: int
    seconds: float
    own_cpu_s: float
    p50_ms: float = 0
    p99_ms: float = 0

    @property
    def rate(self) -> float:
        """Per second of wall time."""
        return self.count / self.seconds

    @property
    def is_bottleneck(self) -> bool:
        """True when the generator had no time to spare."""
        return self.own_cpu_s > BOTTLENECK_SHARE * self.seconds


class Load:
    """One run of the generator; between entering and `go` everything is connected and waits."""

    def __init__(self, binary: Path, mode: str, *, core: int, **options: Any) -> None:
        """Prepare ``binary mode --option value …``; True makes a bare ``--option``."""
        self._command = [str(binary), mode]
        for name, value in options.items():
            flag = "--" + name.replace("_", "-")
            if value is True:
                self._command.append(flag)
            elif value is not None and value is not False:
                self._command += [flag, str(value)]
        self._core = core

    def __enter__(self) -> Self:
        """Start it and wait until it is ready."""
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {self._core}),  # noqa: PLW1509  no threads
        )
        self.ready = self._read_line()
        return self

    def go(self) -> dict[str, Any]:
        """Let it run and return its result."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._read_line()

    def run(self) -> LoadResult:
        """Let it run and return its result, counted and timed."""
        result = self.go()
        return LoadResult(
            result["count"],
            result["seconds"],
            result["cpu_s"],
            result.get("p50_ms", 0),
            result.get("p99_ms", 0),
        )

    def _read_line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        line = self._process.stdout.readline()
        if not line:
            raise LoadFailed(self._process.stderr.read().strip() or "the generator ended")
        document: dict[str, Any] = json.loads(line)
        return document

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""
        if error is not None:
            self._process.kill()
        self._process.communicate()


@dataclass(frozen=True, slots=True)
class Measured:
    """A run, and what each of its `load.count` cost the server."""

    load: LoadResult
    cpu_us: float


def measure_load(server: Server, load: Load) -> Measured:
    """Let `load` run and take the server's CPU."""
    with load:
        before_s = server.process.cpu_s()
        result = load.run()
        cpu_s = server.process.cpu_s() - before_s
    return Measured(result, cpu_s / result.count * 1e6)
