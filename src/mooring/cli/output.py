"""What every command shares: how results, errors and exit codes look.

Exit codes: 0 done, 1 the thing failed, 2 the command was wrong, 130 ended by Ctrl-C.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NoReturn, TextIO

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

EXIT_FAILED = 1
EXIT_USAGE = 2

EXIT_INTERRUPTED = 130
"""The shell's number for a program that Ctrl-C ended."""

PIPED_WIDTH = 200
"""Columns where there is no terminal: what is piped is searched and cut, not looked at."""


def _width(stream: TextIO | None) -> int | None:
    is_terminal = stream is not None and stream.isatty()  # None where it was closed
    return None if is_terminal or "COLUMNS" in os.environ else PIPED_WIDTH


console = Console(highlight=False, width=_width(sys.stdout))
"""Results, on standard output."""

error_console = Console(stderr=True, highlight=False, width=_width(sys.stderr))
"""Errors and progress, on standard error, so that output can be piped."""

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document instead of text.")
]


class CommandError(Exception):
    """A command could not do its work: `message` says what, `remedy` what to do about it."""

    exit_code = EXIT_FAILED

    def __init__(self, code: str, message: str, remedy: str, *, field: str | None = None) -> None:
        """Keep the parts; the sentence is made when it is shown."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.remedy = remedy
        self.field = field


class UsageError(CommandError):
    """The command itself was wrong, not the thing: exit code 2."""

    exit_code = EXIT_USAGE


def emit_json(document: Any) -> None:
    """Print one JSON document on standard output."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def exit_with_error(
    error: BaseException, *, as_json: bool = False, exit_code: int | None = None
) -> NoReturn:
    """Show `error` in the words of the surface and end the command.

    Any exception with ``code``, ``message`` and ``remedy`` (and perhaps ``field`` and
    ``exit_code``) is shown with them; another one by its text.
    """
    parts: dict[str, Any] = {
        "code": str(getattr(error, "code", "failed")),
        "message": str(getattr(error, "message", "") or str(error) or type(error).__name__),
        "field": getattr(error, "field", None),
        "remedy": str(getattr(error, "remedy", "") or ""),
    }
    if as_json:
        emit_json({"error": parts})
    else:
        # The field is nearly always in the sentence already; an option's name may not be.
        field = str(parts["field"] or "")
        named = f"{field}: " if field.startswith("--") and field not in parts["message"] else ""
        error_console.print(f"[bold red]error[/] [dim]({escape(parts['code'])})[/] ", end="")
        error_console.print(named + parts["message"], markup=False, soft_wrap=True)
        if parts["remedy"]:
            error_console.print("[bold]remedy[/] ", end="")
            error_console.print(parts["remedy"], markup=False, soft_wrap=True)
    if exit_code is None:
        exit_code = int(getattr(error, "exit_code", EXIT_FAILED))
    raise typer.Exit(exit_code)


def print_hint(text: str) -> None:
    """Print what to do next, on one line so that a command in it can be copied."""
    console.print(text, style="dim", markup=False, soft_wrap=True)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print `rows` under `columns`; says so when there are none."""
    if not rows:
        console.print(f"[dim]{escape(title)}: none.[/]")
        return
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="dim",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        # A title is folded to the table's width, letter by letter if need be.
        min_width=len(title),
    )
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else escape(str(cell)) for cell in row))
    console.print(table)


def print_facts(facts: Mapping[str, object]) -> None:
    """Print name and value, one fact a line, values ready to be copied."""
    width = max((len(name) for name in facts), default=0)
    for name, value in facts.items():
        console.print(f"[dim]{escape(name.ljust(width))}[/]  ", end="")
        console.print("" if value is None else str(value), markup=False, soft_wrap=True)
