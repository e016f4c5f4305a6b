"""How records of the APIs are shown to a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.markup import escape

from mooring.cli.output import CommandError, console

MAX_FILE_BYTES = 1 << 20
"""No certificate file comes near a mebibyte; a wrong file is not sent through the API."""


def read_text(path: Path) -> str:
    """Return a certificate file as text; DER is turned into base64, which the API takes too.

    Raises:
        CommandError: It cannot be read or is too large.
    """
    import base64

    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)  # /dev/zero has no end
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
            f"{path} has more than {MAX_FILE_BYTES} bytes; a certificate has a few thousand.",
            "Give the certificate file.",
            field=str(path),
        )
    try:
        return data.decode()
    except UnicodeDecodeError:
        return base64.b64encode(data).decode()


def short_time(value: str | None) -> str | None:
    """Return a timestamp of an API (always UTC) for reading: ``2030-01-02 03:04:05Z``."""
    return None if value is None else f"{value[:10]} {value[11:19]}Z"


def print_https_fallback(fallback: Mapping[str, Any] | None) -> None:
    """Print why HTTPS is not on 443, how to have it there, and what cannot be used until then."""
    if fallback is None:
        return
    console.print(f"\n[yellow]{escape(fallback['cause'])}.[/]", soft_wrap=True)
    console.print(f"  {escape(fallback['remedy'])}", soft_wrap=True)
    console.print("  Until then these SDKs, which dial 443 whatever they are told, cannot be used:")
    for client in fallback["unusable"]:
        console.print(f"  - {escape(client)}", soft_wrap=True)


def short_datetime(value: datetime) -> str:
    """Return an aware time for reading, as `short_time` does."""
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


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
            f"{escape(attempt['kind'])}  [dim]{short_time(attempt['started_at'])}  "
            f"{escape(attempt['attempt_id'])}[/]",
            soft_wrap=True,
        )
        _print_stages(attempt["stages"])
        if failure := attempt["failure"]:
            for name, value in (
                ("stage ", failure["stage"]),
                ("cause ", f"{failure['cause']} ({failure['code']})"),
                ("remedy", failure["remedy"]),
            ):
                console.print(f"  [bold]{name}[/] {escape(value)}", soft_wrap=True)


def _print_stages(stages: Sequence[Mapping[str, Any]]) -> None:
    """Print stages with their times: a line for ``provisioning`` with its ``provisioning.tls``.

    Lines are broken between stages, never inside one.
    """
    grouped = any("." in stage["name"] for stage in stages)
    groups: dict[str, list[str]] = {}
    for stage in stages:
        group, _, name = str(stage["name"]).partition(".")
        group, name = (group, f"{name} ".lstrip()) if grouped else ("", f"{group} ")
        mark = "✓" if stage["outcome"] == "passed" else "✗"
        groups.setdefault(group, []).append(f"{mark} {name}{stage['duration_ms']:.0f} ms")
    margin = max((len(group) for group in groups), default=0)
    for group, cells in groups.items():
        line = f"  {group.ljust(margin)}"
        for number, cell in enumerate(cells):
            if number > 0 and len(line) + 2 + len(cell) > console.width:
                console.print(line, markup=False, soft_wrap=True)
                line = " " * (margin + 2)
            line += f"  {cell}" if margin or number else cell
        console.print(line, markup=False, soft_wrap=True)
