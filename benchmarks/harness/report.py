"""What a benchmark found: figures beside each other, ratios, goals; as a table and as JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Goal:
    """A ratio or figure that is to be reached; `at_most` tells on which side of the limit."""

    text: str
    value: float
    limit: float
    at_most: bool

    @property
    def is_met(self) -> bool:
        """True when the value is on the right side of the limit."""
        return self.value <= self.limit if self.at_most else self.value >= self.limit


@dataclass(slots=True)
class Section:
    """One table: `rows` hold a name and one cell per column."""

    name: str
    title: str
    columns: Sequence[str]
    rows: list[tuple[str, ...]] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)


def median(values: Iterable[float]) -> float:
    """Return the median of some runs."""
    return statistics.median(values)


def spread(values: Sequence[float]) -> str:
    """Return how far the runs lie apart, in percent of their median."""
    middle = statistics.median(values)
    return f"±{(max(values) - min(values)) / 2 / middle * 100:.0f} %" if middle else "-"


def print_section(section: Section, console: Console) -> None:
    """Print the table, its goals and its notes."""
    table = Table(title=section.title, title_justify="left", title_style="bold")
    left = 1 + (section.columns[1] == "server")
    for number, column in enumerate(section.columns):
        table.add_column(column, no_wrap=True, justify="right" if number >= left else "left")
    for row in section.rows:
        table.add_row(*row)
    console.print()
    console.print(table)
    for goal in section.goals:
        sign = "≤" if goal.at_most else "≥"
        verdict = "[green]met[/]" if goal.is_met else "[red]missed[/]"
        console.print(f"  {verdict}  {goal.text}: {goal.value:.2f} (goal {sign} {goal.limit:g})")
    for note in section.notes:
        console.print(f"  [dim]{note}[/]")


def write_results(sections: Sequence[Section], folder: Path) -> Path:
    """Write all sections with the machine's facts to a dated file in `folder`; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    document = {
        "at": now.isoformat(timespec="seconds"),
        "machine": {
            "python": platform.python_version(),
            "system": platform.platform(),
            "cores": len(os.sched_getaffinity(0)),
        },
        "sections": [
            asdict(section)
            | {"goals": [asdict(goal) | {"is_met": goal.is_met} for goal in section.goals]}
            for section in sections
        ],
    }
    path = folder / f"{now:%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps(document, indent=2) + "\n")
    return path
