"""How records of the APIs are shown to a person."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape

from mooring.cli.output import CommandError, console, emit_json, print_facts

MAX_FILE_BYTES = 1 << 20
"""No certificate file comes near a mebibyte; a wrong file is not sent through the API."""


def read_text(path: Path) -> str:
    """Return a certificate file as text; DER is turned into base64, which the API takes too.

    Raises:
        CommandError: It cannot be read or is too large.
    """
    import base64

    try:
        data = path.read_bytes()
    except OSError as error:
        raise CommandError(
            "file-unreadable",
            f"{path}: {error.strerror or error}.",
            "Check the path and its permissions.",
            field=str(path),
        ) from None
    if len(data) > MAX_FILE_BYTES:
        raise CommandError(
            "file-too-large",
            f"{path} has {len(data)} bytes; a certificate has a few thousand.",
            "Give the certificate file.",
            field=str(path),
        )
    try:
        return data.decode()
    except UnicodeDecodeError:
        return base64.b64encode(data).decode()


def short_time(value: str | None) -> str | None:
    """Return a wire timestamp without its fraction."""
    return None if value is None else value.split(".")[0].removesuffix("Z").replace("T", " ")


def show_all(found: Mapping[str, Any]) -> dict[str, object]:
    """Return every scalar of `found`, for a record that is plain enough."""
    return {
        name: value for name, value in found.items() if not isinstance(value, dict | list | None)
    }


def show(
    found: dict[str, Any], as_json: bool, facts: Callable[[dict[str, Any]], Mapping[str, object]]
) -> None:
    """Print one record, as JSON whole or as the facts a person wants."""
    if as_json:
        emit_json(found)
    else:
        print_facts({name: value for name, value in facts(found).items() if value is not None})


def print_attempts(attempts: Sequence[Mapping[str, Any]]) -> None:
    """Print attempt records, each with its stages and, where it failed, cause and remedy."""
    if not attempts:
        console.print("[dim]no attempts.[/]")
    for attempt in attempts:
        context = attempt["context"]
        who = context.get("registration_id") or context.get("device_id") or "unknown"
        times = f" ×{attempt['count']}" if attempt.get("count", 1) > 1 else ""
        colour = {"succeeded": "green", "failed": "red"}.get(attempt["result"], "yellow")
        console.print(
            f"[{colour}]{attempt['result']}[/]{times}  [bold]{escape(who)}[/]  "
            f"{escape(attempt['kind'])}  [dim]{attempt['started_at'][:19]}  "
            f"{attempt['attempt_id']}[/]"
        )
        stages = "  ".join(
            f"{'✓' if stage['outcome'] == 'passed' else '✗'} {stage['name']} "
            f"{stage['duration_ms']:.0f} ms"
            for stage in attempt["stages"]
        )
        console.print(f"  {escape(stages)}", soft_wrap=True)
        if failure := attempt["failure"]:
            console.print(f"  [bold]stage[/]  {escape(failure['stage'])}", soft_wrap=True)
            console.print(
                f"  [bold]cause[/]  {escape(failure['cause'])} [dim]({failure['code']})[/]",
                soft_wrap=True,
            )
            console.print(f"  [bold]remedy[/] {escape(failure['remedy'])}", soft_wrap=True)
