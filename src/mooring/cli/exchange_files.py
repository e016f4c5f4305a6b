"""Files that records are exported to and imported from."""

from __future__ import annotations

import io
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Any, TextIO

import typer

from mooring.cli.json_arrays import write_objects
from mooring.cli.output import CommandError

NAMES_SHOWN = 10
"""Of a list of names in a sentence; --json has them all."""

ExportFile = Annotated[
    Path, typer.Argument(help="File to write; - is standard output.", show_default=True)
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace a file that is there already.")]
ImportFile = Annotated[Path, typer.Argument(help="File to read; - is standard input.")]
UpdateOption = Annotated[
    bool, typer.Option("--update", help="Replace those there already by what the file has.")
]


def check_free(file: Path, *, force: bool) -> None:
    """Return if `file` may be written; ``-`` is standard output.

    Raises:
        CommandError: It is there already, and not to be replaced.
    """
    if str(file) != "-" and file.exists() and not force:
        raise CommandError(
            "file-exists",
            f"{file} is there already.",
            "Choose another name, or replace it with --force.",
            field="FILE",
        )


def write_whole(
    records: Iterable[dict[str, Any]], file: Path, *, private: bool, lines: bool = False
) -> int:
    """Write `records` to `file`, all of them or nothing; return how many.

    Args:
        records: What is written.
        file: Where to.
        private: Only the user may read it.
        lines: As JSON Lines, not as an array.

    Raises:
        CommandError: It cannot be written.
    """
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666
        )
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as output:
                written = write_objects(records, output, lines=lines)
            temporary.replace(file)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise CommandError(
            "file-unwritable",
            f"{file} cannot be written ({error.strerror or error}).",
            "Choose a file that you may write, on a disk with room.",
            field="FILE",
        ) from None
    return written


@contextmanager
def opened_twice(file: Path) -> Iterator[TextIO]:
    """Open `file` so that it can be read twice; ``-`` is standard input.

    Raises:
        CommandError: It cannot be read.
    """
    try:
        data: IO[bytes]
        if str(file) == "-":
            # To the disk: a pipe is read once, and may be longer than the memory.
            data = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the text around it
            shutil.copyfileobj(sys.stdin.buffer, data)
            data.seek(0)
        else:
            data = file.open("rb")
    except OSError as error:
        raise CommandError(
            "file-unreadable",
            f"{file} cannot be read ({error.strerror or error}).",
            "Check the path and its permissions.",
            field="FILE",
        ) from None
    with io.TextIOWrapper(data, encoding="utf-8-sig") as source:
        yield source


def some_of(names: Sequence[str]) -> str:
    """Return the first few of `names`, and how many more there are."""
    shown = ", ".join(names[:NAMES_SHOWN])
    return shown if len(names) <= NAMES_SHOWN else f"{shown} and {len(names) - NAMES_SHOWN} more"
