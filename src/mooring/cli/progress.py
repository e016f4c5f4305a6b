"""Progress of long work, on standard error, where somebody looks at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mooring.cli.output import error_console


@contextmanager
def counting(
    what: str, *, total: int | None = None, quiet: bool = False
) -> Iterator[Callable[[int], None]]:
    """Yield what is called with the number of things done besides; nothing is left on the screen.

    Args:
        what: What is being done, e.g. ``"importing"``.
        total: How many there are, None if nobody knows.
        quiet: Show nothing.
    """
    if quiet or not error_console.is_terminal:
        yield lambda _: None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=error_console, transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda more: progress.advance(task, more)
