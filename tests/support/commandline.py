"""The command `mooring`, in a folder and with a state of its own.

As a process (`CommandLine`), where processes, signals and pipes are what is tried; or inside the
test's own process (`QuickCommandLine`), where the answers are: starting Python takes half a second.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import psutil

from mooring.cli.main import main
from mooring.cli.output import console, error_console
from mooring.runtime.loopback import lend_loopback_address

COMMAND_TIMEOUT_S = 120.0
WAIT_TIMEOUT_S = 60.0

COMMAND = (sys.executable, "-m", "mooring")


@dataclass
class CommandLine:
    """Runs `mooring` with `state` as state folder and `folder` as working folder."""

    state: Path
    folder: Path
    address: str = ""
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of every command."""
        bare = {name: v for name, v in os.environ.items() if not name.startswith("MOORING_")}
        bare |= {"MOORING_STATE": str(self.state), "COLUMNS": "120", "PYTHONWARNINGS": ""}
        # The interpreter's own name for the command stands first, for blocks of documentation.
        bare["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{bare['PATH']}"
        return bare | self.variables

    def run(self, *arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command to its end; nothing it can do may end in a traceback."""
        result = subprocess.run(
            [*COMMAND, *map(str, arguments)],
            cwd=self.folder,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
        )
        assert "Traceback" not in result.stderr, result.stderr
        assert "(unexpected)" not in result.stderr, result.stderr
        return result

    def start(self, *arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
        """Start a command and leave it running; the caller ends it."""
        return subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
            **options,
        )

    def text(self, *arguments: str | Path, stdin: str = "") -> str:
        """Run a command that must succeed and return what it prints."""
        result = self.run(*arguments, stdin=stdin)
        assert result.returncode == 0, f"{arguments}: {result.stdout}{result.stderr}"
        return result.stdout

    def json(self, *arguments: str | Path, exit_code: int = 0) -> Any:
        """Run a command with ``--json`` and return the one document that it prints."""
        result = self.run(*arguments, "--json")
        assert result.returncode == exit_code, f"{arguments}: {result.stdout}{result.stderr}"
        return json.loads(result.stdout)

    def refusal(self, *arguments: str | Path, exit_code: int = 1) -> dict[str, Any]:
        """Run a command that must be refused, and return code, message, field and remedy.

        The same refusal is shown to a person on standard error, with nothing on standard output.
        """
        error: dict[str, Any] = self.json(*arguments, exit_code=exit_code)["error"]
        assert error["code"]
        assert error["message"]
        assert error["remedy"]
        return error


class QuickCommandLine(CommandLine):
    """Runs `mooring` in this process, by the same entry point; it talks to the same real house."""

    def run(self, *arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command to its end; nothing it can do may end in a traceback."""
        output, errors = io.StringIO(), io.StringIO()
        words = ["mooring", *map(str, arguments)]
        # Made when they were imported, for the terminal (or none) of the test run.
        console.width = error_console.width = int(self.environment["COLUMNS"])
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            with (
                mock.patch.dict(os.environ, self.environment, clear=True),
                mock.patch.object(sys, "argv", words),
                mock.patch.object(sys, "stdin", io.StringIO(stdin)),
                contextlib.redirect_stdout(output),
                contextlib.redirect_stderr(errors),
                warnings.catch_warnings(),
            ):
                try:
                    main()
                    code = 0
                except SystemExit as end:
                    code = end.code if isinstance(end.code, int) else 1
        finally:
            os.chdir(before)
        assert "(unexpected)" not in errors.getvalue(), errors.getvalue()
        return subprocess.CompletedProcess(words, code, output.getvalue(), errors.getvalue())

    @classmethod
    def of(cls, other: CommandLine, folder: Path) -> QuickCommandLine:
        """Return one that talks to the same house, in `folder`."""
        return cls(other.state, folder, other.address, dict(other.variables))


@contextmanager
def house_up(folder: Path, **variables: str) -> Iterator[CommandLine]:
    """Run cloud and gateway by `mooring up --detach` on an address of their own, and end them."""
    with lend_loopback_address() as address:
        here = CommandLine(folder / "state", folder, address, variables)
        here.text("up", "--detach", "--bind", address)
        try:
            yield here
        finally:
            here.text("down")


def wait_until(condition: Callable[[], Any], what: str) -> Any:
    """Return the first true answer of `condition`; fails the test if none comes."""
    deadline = time.monotonic() + WAIT_TIMEOUT_S
    while not (found := condition()):
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.05)
    return found


def processes_of(folder: Path) -> list[psutil.Process]:
    """Return the processes on whose command line `folder` stands."""
    found = []
    for process in psutil.process_iter():
        try:
            line = process.cmdline()
        except psutil.Error:
            continue
        if process.pid != os.getpid() and any(str(folder) in word for word in line):
            found.append(process)
    return found
