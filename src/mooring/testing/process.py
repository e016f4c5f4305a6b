"""A cloud as a program of its own: `mooring cloud serve`, started, awaited, ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mooring.cloud.facts import FACTS_FILE
from mooring.runtime.lifeline import LIFELINE_VARIABLE
from mooring.runtime.statefolder import ensure_folder
from mooring.testing.errors import CloudNotRunning, CloudNotStarted

READY_TIMEOUT_S = 60.0
"""A first start makes keys and tables: under a second, but tens on a slow or crowded machine."""

STOP_TIMEOUT_S = 20.0
"""Longer than the cloud lets open connections finish, so that only one that hangs is killed."""

LAST_WORDS = 12
"""Lines of the log in an error message."""

OWN_VARIABLES = "MOORING_"
"""Variables of this prefix are for the clouds of whoever runs the tests, not for this one."""


class CloudProcess:
    """A cloud's process; it ends when the process that started it does, even if that is killed."""

    def __init__(
        self, state: Path, address: str, environment: Mapping[str, str] | None = None
    ) -> None:
        """Describe it: state folder, address, and settings as environment variables."""
        self.state = state
        self.address = address
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline: int | None = None
        self._log_start = 0

    @property
    def log_file(self) -> Path:
        """Return where its log lines go."""
        return self.state / "cloud.log"

    @property
    def pid(self) -> int:
        """Return the id of the running process.

        Raises:
            CloudNotRunning: There is none.
        """
        if self._process is None or not self.running:
            raise CloudNotRunning("The cloud does not run.", "Start it first.")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Return whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> dict[str, Any]:
        """Start it, wait until it serves, and return the facts that it wrote down.

        Raises:
            CloudNotStarted: It ended, or was not ready in `READY_TIMEOUT_S`; with its last words.
        """
        ensure_folder(self.state)
        read_end, self._lifeline = os.pipe()
        bare = {k: v for k, v in os.environ.items() if not k.startswith(OWN_VARIABLES)}
        with self.log_file.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "mooring", "cloud", "serve"),
                    *("--state", str(self.state), "--bind", self.address),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(read_end,),
                env={**bare, **self._environment, LIFELINE_VARIABLE: str(read_end)},
                start_new_session=True,  # Ctrl-C is for the tests, which then end it in order
            )
        os.close(read_end)
        return self._await_facts()

    def stop(self) -> int:
        """End it in good order, or kill it if it hangs; return its exit status."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        return self._ended()

    def kill(self) -> None:
        """End it as a power cut would, but for what the kernel holds."""
        assert self._process is not None
        self._process.kill()
        self._ended()

    def last_words(self) -> str:
        """Return the last lines that it logged since its start, indented."""
        with self.log_file.open("rb") as log:
            log.seek(self._log_start)
            lines = log.read().decode(errors="replace").splitlines()[-LAST_WORDS:]
        return "".join(f"\n  {line}" for line in lines)

    def _await_facts(self) -> dict[str, Any]:
        """Wait for its facts, which it writes last of all."""
        assert self._process is not None
        deadline = time.monotonic() + READY_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                status = self._ended()
                raise CloudNotStarted(
                    f"The cloud on {self.address} ended with status {status} while starting. "
                    f"Its last lines:{self.last_words() or ' none.'}",
                    f"Mend what they say; the whole log is {self.log_file}.",
                )
            facts = self._written_facts()
            if facts.get("pid") == self._process.pid:
                return facts
            time.sleep(0.02)
        words = self.last_words()
        self.kill()
        raise CloudNotStarted(
            f"The cloud on {self.address} was not ready within {READY_TIMEOUT_S:.0f} s. "
            f"Its last lines:{words or ' none.'}",
            f"Give the machine less to do, or see the whole log, {self.log_file}.",
        )

    def _written_facts(self) -> dict[str, Any]:
        try:
            facts: dict[str, Any] = json.loads((self.state / "cloud" / FACTS_FILE).read_text())
        except FileNotFoundError:
            return {}
        return facts

    def _ended(self) -> int:
        assert self._process is not None
        status = self._process.wait()
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None
        return status
