"""What became of the records of an imported file, and how that is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import typer

from mooring.cli.calls import Call
from mooring.cli.exchange_files import some_of
from mooring.cli.output import EXIT_FAILED, CommandError, console, emit_json, error_console


@dataclass(slots=True)
class Outcome:
    """What became of the records of a file; `new_keys` are those created with keys of their own."""

    created: int = 0
    updated: int = 0
    new_keys: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    failed: list[dict[str, str]] = field(default_factory=list)

    @property
    def done(self) -> int:
        """Return how many the service has answered."""
        return self.created + self.updated + len(self.unchanged) + len(self.failed)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready values."""
        return {
            "created": self.created,
            "updated": self.updated,
            "new_keys": self.new_keys,
            "unchanged": self.unchanged,
            "failed": self.failed,
        }


def broken_off(error: CommandError, outcome: Outcome, total: int) -> CommandError:
    """Return `error` with how far the import had come."""
    message = f"{error.message} {outcome.done} of {total} were done by then."
    remedy = f"{error.remedy} Then run the import again: what is done is not done twice."
    return CommandError(error.code, message, remedy, field=error.field)


def report(call: Call, outcome: Outcome, id_member: str) -> None:
    """Show what became of a file's records, which `id_member` names; exit code 1 if some failed."""
    if call.as_json:
        emit_json(outcome.to_json())
    else:
        for row in outcome.failed:
            error_console.print("[bold red]failed[/] ", end="")
            error_console.print(f"{row[id_member]}: {row['message']}", markup=False, soft_wrap=True)
        if outcome.new_keys:
            error_console.print(
                f"new keys were made for {some_of(outcome.new_keys)}: the file has none. "
                "Devices with the former keys are refused; an export --with-keys keeps them.",
                markup=False,
                soft_wrap=True,
            )
        parts = [f"{outcome.created} added"]
        if outcome.updated:
            parts.append(f"{outcome.updated} replaced")
        if outcome.unchanged:
            parts.append(
                f"{len(outcome.unchanged)} there already and left as they are (--update replaces)"
            )
        if outcome.failed:
            parts.append(f"{len(outcome.failed)} failed")
        console.print(f"{', '.join(parts)}.", markup=False, soft_wrap=True)
    if outcome.failed:
        raise typer.Exit(EXIT_FAILED)
