"""A program on a pseudo-terminal, talked to as a person would: wait for a question, answer it."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ANSWER_TIMEOUT_S = 60.0
"""For one question to appear. Generous: the machine may be busy; nothing is measured by it."""

_ESCAPE = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """The keyboard and the screen of one running program."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        """Take over the terminal's other end, `descriptor`."""
        self._process = process
        self._descriptor = descriptor
        self._unread = ""
        self.screen = ""

    def expect(self, text: str) -> None:
        """Wait until `text` is shown, after whatever was waited for before."""
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        while text not in self._unread:
            assert self._read(deadline), f"{text!r} never came; the screen is:\n{self.screen}"
        self._unread = self._unread.partition(text)[2]

    def type(self, line: str) -> None:
        """Type `line` and Enter."""
        os.write(self._descriptor, line.encode() + b"\n")

    def press(self, key: bytes) -> None:
        """Type a control character, such as ``b"\\x04"`` for Ctrl-D."""
        os.write(self._descriptor, key)

    def answer(self, question: str, line: str) -> None:
        """Wait for `question`, then type `line`."""
        self.expect(question)
        self.type(line)

    def answer_hidden(self, question: str, line: str) -> None:
        """Wait for `question` and for the echo to be off, then type `line`.

        Python's getpass throws away what was typed before it had switched the echo off.
        """
        self.expect(question)
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        while termios.tcgetattr(self._descriptor)[3] & termios.ECHO:
            assert time.monotonic() < deadline, f"the echo stays on at {question!r}"
            time.sleep(0.01)
        self.type(line)

    def finish(self) -> int:
        """Read to the end and return the exit code."""
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        while self._read(deadline):
            pass
        return self._process.wait(timeout=ANSWER_TIMEOUT_S)

    def _read(self, deadline: float) -> bool:
        """Add what is shown to the screen; False at its end or at the deadline."""
        ready, _, _ = select.select(
            [self._descriptor], [], [], max(0.0, deadline - time.monotonic())
        )
        data = b""
        if ready:
            with contextlib.suppress(OSError):  # EIO: the program has closed its side
                data = os.read(self._descriptor, 4096)
        text = _ESCAPE.sub(b"", data).decode("utf-8", "replace").replace("\r\n", "\n")
        self.screen += text
        self._unread += text
        return bool(data)


@contextlib.contextmanager
def program_on_terminal(command: Sequence[str], *, folder: Path) -> Iterator[Terminal]:
    """Run `command` in `folder` on a terminal of its own; killed if it outstays."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        # A width at which no sentence that is waited for is broken into two lines.
        env={**os.environ, "COLUMNS": "200", "TERM": "xterm"},
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(ours)


@contextlib.contextmanager
def mooring_on_terminal(*arguments: str, folder: Path) -> Iterator[Terminal]:
    """Run `mooring ARGUMENTS` in `folder` on a terminal of its own; killed if it outstays."""
    command = [sys.executable, "-m", "mooring", *arguments]
    with program_on_terminal(command, folder=folder) as terminal:
        yield terminal
