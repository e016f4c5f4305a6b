"""How a cloud connection is shown: its state, its identity, what the check found."""

from __future__ import annotations

from typing import Any

from rich.markup import escape

from mooring.cli.output import console, print_facts
from mooring.cli.rendering import short_time


def state_text(found: dict[str, Any]) -> str:
    stage = f" ({found['stage']})" if found.get("stage") else ""
    return f"{found['state'].lower().replace('_', ' ')}{stage}"


def print_status(found: dict[str, Any]) -> None:
    colour = "green" if found["status"] == "Connected" else "red"
    state = state_text(found)
    more = "" if state == str(found["status"]).lower() else f" [dim]{escape(state)}[/]"
    console.print(f"[bold {colour}]{found['status']}[/]{more}")
    link = found.get("link") or {}
    facts = {
        "hub": link.get("hub"),
        "device id": link.get("device_id"),
        "secured by": link and f"{link['tls_version']} {link['cipher']}",
        "failed stage": found["failed_stage"],
        "cause": found["cause"],
        "remedy": found["remedy"],
    }
    print_facts({name: value for name, value in facts.items() if value})
    print_outlook(found)


def print_outlook(found: dict[str, Any]) -> None:
    if found["state"] == "CONNECTED":
        return
    if found["next_attempt_at"]:
        console.print(
            f"[dim]next attempt ({found['attempt_number']}) at "
            f"{found['next_attempt_at'][11:19]} UTC[/]"
        )
    elif found["paused"]:
        console.print("[dim]stays down until `connect` or a restart of the gateway[/]")
    elif not found["will_reconnect"]:
        console.print("[dim]will not try again by itself[/]")


def print_identity(identity: dict[str, Any] | None) -> None:
    if identity is not None:
        print_facts(
            {
                "registers as": identity["registers_as"],
                "certificate": identity["subject_name"],
                "issuer": identity["issuer_name"],
                "expires": short_time(identity["not_after"]),
                "SHA-256 thumbprint": identity["sha256_thumbprint"],
                "chain": f"{identity['chain_length']} certificate(s)",
            }
        )


def print_findings(findings: Any) -> None:
    """Print what the check found, worst first, each with its remedy."""
    for row in findings:
        style = {"error": "bold red", "warning": "yellow"}.get(row["severity"], "dim")
        console.print(
            f"[{style}]{escape(row['severity'])}[/] [dim]{escape(row['field'])}[/] "
            f"{escape(row['message'])}\n  [bold]remedy[/] {escape(row['remedy'])}",
            soft_wrap=True,
        )
