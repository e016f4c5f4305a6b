"""What the demo shows: stages with their times, the ways side by side."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

CONNECTING = "Connect to Connected"
"""The stage that is held against what DPS orders; the connection's own stages are parts of it."""

_MARKS = {True: "[green]✓[/]", False: "[bold red]✗[/]", None: "[yellow]…[/]"}


@dataclass
class StageResult:
    """One stage: `seconds` goes on as long as `ok` is None."""

    name: str
    ok: bool | None = None
    detail: str = ""
    part_of: str | None = None
    began: float = field(default_factory=time.monotonic)
    took_s: float | None = None

    @property
    def seconds(self) -> float:
        """Return how long it took, or takes so far."""
        return time.monotonic() - self.began if self.took_s is None else self.took_s

    def to_json(self) -> dict[str, Any]:
        """Return the stage as JSON-ready values."""
        return {
            "name": self.name,
            "seconds": round(self.seconds, 3),
            "ok": bool(self.ok),
            "detail": self.detail,
            "part_of": self.part_of,
        }


@dataclass
class Progress:
    """One way of the procedure (or what is done around all of them) and how far it has come."""

    name: str
    title: str
    stages: list[StageResult] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    ok: bool | None = None
    seconds: float = 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator[StageResult]:
        """Time a stage; an error marks it failed and goes on upwards."""
        row = StageResult(name)
        self.stages.append(row)
        try:
            yield row
        except BaseException:
            row.ok = False
            raise
        else:
            row.ok = True
        finally:
            row.took_s = row.seconds

    def find(self, name: str) -> StageResult | None:
        """Return the stage of that name, None if it was not reached."""
        return next((stage for stage in self.stages if stage.name == name), None)

    def failure(self) -> tuple[str, str]:
        """Return where it failed (the part rather than the whole), and why."""
        failed = [stage for stage in self.stages if stage.ok is False]
        part = next((stage for stage in failed if stage.part_of), None)
        whole = next((stage for stage in failed if not stage.part_of), None)
        where, why = part or whole, whole or part
        return ("", "") if where is None or why is None else (where.name, why.detail)

    def to_json(self) -> dict[str, Any]:
        """Return the way as JSON-ready values."""
        connecting = self.find(CONNECTING)
        return {
            "way": self.name,
            "title": self.title,
            "ok": bool(self.ok),
            "seconds": round(self.seconds, 3),
            "connect_seconds": None
            if connecting is None or not connecting.ok
            else round(connecting.seconds, 3),
            **self.facts,
            "stages": [stage.to_json() for stage in self.stages],
        }


def demo_view(setup: Progress, ways: Sequence[Progress], *, whole: bool) -> RenderableType:
    """Return the table: a row for each stage, a column for each way.

    Without `whole` the parts of `CONNECTING` are left out, so that a small terminal can hold the
    table while it is live.
    """
    table = Table(
        title="From a bare key to Connected: seconds of each stage",
        title_justify="left",
        title_style="bold",
        header_style="dim",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
    )
    table.add_column("stage", no_wrap=True)
    for way in ways:
        table.add_column(escape(way.title), justify="right")
    for key in _merged([way.stages for way in ways]):
        if key.part_of is not None and not whole:
            continue
        indent = "  " if key.part_of else ""
        table.add_row(
            f"[dim]{indent}{escape(key.name)}[/]" if indent else escape(key.name),
            *(_cell(way.stages, key) for way in ways),
        )
    around = Table.grid(padding=(0, 2))
    for stage in setup.stages:
        around.add_row(
            f"{_MARKS[stage.ok]} {escape(stage.name)}",
            f"{stage.seconds:.3f} s",
            f"[dim]{escape(stage.detail)}[/]",
        )
    return Group(around, Text(), table)


def _cell(stages: Sequence[StageResult], key: StageResult) -> str:
    found = [s for s in stages if (s.name, s.part_of) == (key.name, key.part_of)]
    if not found:
        return "[dim]–[/]"
    # A stage that came twice (a second try) is one row: its times together, its last outcome.
    return f"{sum(stage.seconds for stage in found):.3f} {_MARKS[found[-1].ok]}"


def _merged(columns: Sequence[Sequence[StageResult]]) -> list[StageResult]:
    """Return each stage that any way has, once, in an order that fits all of them."""
    merged: list[StageResult] = []
    for stages in columns:
        at = 0
        for stage in stages:
            places = [
                number
                for number, known in enumerate(merged)
                if (known.name, known.part_of) == (stage.name, stage.part_of)
            ]
            if places:
                at = places[0] + 1
            else:
                merged.insert(at, stage)
                at += 1
    return merged
