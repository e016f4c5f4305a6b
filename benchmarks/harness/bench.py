"""The frame of a benchmark: options, cores, credentials, servers that run side by side."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias, TypeVar

from rich.console import Console

from harness.credentials import ClientCredentials, Credentials, make_credentials
from harness.load import Load, LoadFailed
from harness.paths import RESULTS
from harness.processes import Cores, busy_share, choose_cores
from harness.report import Section, print_section, write_results
from harness.servers import Server
from harness.tools import ToolMissing, build_load_generator

QUIET_SHARE = 0.1
"""Above this share of a core taken by others, a run says little."""

MIN_WIDTH = 140
"""Characters of the widest table."""

StartedT = TypeVar("StartedT")
ServerFactory: TypeAlias = Callable[[Path, Credentials, int], AbstractContextManager[StartedT]]


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure: `runs` of about `seconds` each per server and cell.

    `quick` asks for small numbers wherever a number is not the length of a run.
    """

    runs: int
    seconds: float
    quick: bool = False


class Bench:
    """Everything a measurement needs, cleaned up at the end."""

    def __init__(self, effort: Effort) -> None:
        """Prepare; nothing runs before entering."""
        self.effort = effort
        self.console = Console(stderr=True)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Build the generator and make the credentials."""
        self.cores: Cores = choose_cores()
        self.busy_share = busy_share(self.cores)
        self.generator = build_load_generator()
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="mooring-bench-"))
        self.folder = Path(folder)
        self.credentials = make_credentials(self.folder)
        return self

    def start(self, factory: ServerFactory[StartedT]) -> StartedT:
        """Start a server that runs until the end of the benchmark."""
        return self._stack.enter_context(factory(self.folder, self.credentials, self.cores.server))

    def client(self, kind: str) -> ClientCredentials:
        """Return the credentials of the device with this kind of key."""
        return self.credentials.clients[kind]

    def load(self, server: Server, mode: str, *, client: str = "ec", **options: Any) -> Load:
        """Return a run of the generator against `server`, not yet started.

        All its clients show the certificate of `client`, unless `options` give `credentials`.
        """
        if "credentials" not in options:
            own = self.client(client)
            options |= {"cert": own.chain_file, "key": own.key_file}
        options = {"topic": server.topic} | options
        return Load(
            self.generator,
            mode,
            core=self.cores.load,
            host=server.host,
            port=server.port,
            client_id=server.client_id,
            user=server.user,
            **options,
        )

    def progress(self, text: str) -> None:
        """Say what is being measured."""
        self.console.print(f"[dim]{text}[/]")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the servers, delete the credentials."""
        self._stack.close()


def notes_on(bench: Bench, *, bottleneck: bool) -> list[str]:
    """Return what a reader must know about the run."""
    notes = []
    if not bench.cores.are_apart:
        notes.append("There is only one core: server and load share it, rates mean little.")
    if bench.busy_share > QUIET_SHARE:
        notes.append(
            f"Other programs used {bench.busy_share:.0%} of a core before the run, which is in "
            "the figures. Repeat it on a quiet machine."
        )
    if bottleneck:
        notes.append("In runs marked * the load generator had no time to spare: use the CPU.")
    return notes


def main(*measures: Callable[[Bench], Section]) -> int:
    """Parse the command line, run the measurements, print and keep what they found.

    Returns:
        Exit status: 0 measured (with ``--check``: and every goal met), 1 not.
    """
    parser = argparse.ArgumentParser(
        description="Measure Mooring beside named peers, in one run, on the same core."
    )
    parser.add_argument("--runs", type=int, default=3, help="runs per server and cell (3)")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a run (3)")
    parser.add_argument("--quick", action="store_true", help="one run of one second each")
    parser.add_argument(
        "--results", type=Path, default=RESULTS, help="folder of the JSON (benchmarks/results)"
    )
    parser.add_argument("--check", action="store_true", help="fail if a goal is missed")
    arguments = parser.parse_args()
    if arguments.runs < 1 or arguments.seconds <= 0:
        parser.error("--runs and --seconds must be above 0")
    effort = (
        Effort(1, 1.0, quick=True) if arguments.quick else Effort(arguments.runs, arguments.seconds)
    )
    # As wide as the tables are, also into a file: cut-off figures tell nothing.
    console = Console(soft_wrap=True, width=max(MIN_WIDTH, Console().width))
    sections = []
    try:
        for measure in measures:
            # Servers of one measurement never burden the next.
            with Bench(effort) as bench:
                section = measure(bench)
            print_section(section, console)
            sections.append(section)
    except (ToolMissing, LoadFailed, RuntimeError) as error:
        print(f"benchmark failed: {error}", file=sys.stderr)
        return 1
    console.print(f"\nresults: {write_results(sections, arguments.results)}")
    missed = any(not goal.is_met for section in sections for goal in section.goals)
    return 1 if arguments.check and missed else 0
