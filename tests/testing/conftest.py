"""Users' test suites: a folder of tests, run by pytest as a program of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

TIMEOUT_S = 180.0
NOT_OF_A_USER = ("MOORING_", "PYTEST_", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_")


@dataclass
class Suite:
    """A user's tests in an empty folder."""

    folder: Path
    prefix: tuple[str, ...] = ()

    def write(self, source: str, *, ini: str = "") -> None:
        """Write the tests, and lines of the section ``[pytest]``."""
        (self.folder / "test_mine.py").write_text(textwrap.dedent(source))
        head = "[pytest]\naddopts = -p no:cacheprovider -p no:asyncio\n"
        (self.folder / "pytest.ini").write_text(head + textwrap.dedent(ini))

    def command(self, *arguments: str) -> list[str]:
        """Return the command that runs them."""
        return [*self.prefix, sys.executable, "-m", "pytest", "-q", *arguments]

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables of a user: none of our own clouds and tests, no trust of its own."""
        bare = {k: v for k, v in os.environ.items() if not k.startswith(NOT_OF_A_USER)}
        paths = bare.get("PYTHONPATH", "").split(os.pathsep)
        return {**bare, "PYTHONPATH": os.pathsep.join(str(Path(p).absolute()) for p in paths if p)}

    def run(self, *arguments: str, exit_code: int = 0) -> str:
        """Run them to their end and return what was printed."""
        return self.run_command(self.command(*arguments), exit_code=exit_code)

    def run_command(self, command: Sequence[str], *, exit_code: int = 0) -> str:
        """Run `command` in their folder."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        said = done.stdout + done.stderr
        assert done.returncode == exit_code, said
        return said


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    """Return a folder for a user's tests, outside the checkout."""
    folder = tmp_path / "suite"
    folder.mkdir()
    return Suite(folder)
