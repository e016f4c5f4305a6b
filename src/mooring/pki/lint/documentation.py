"""The reference page of the rules, made from the catalogue.

``python -m mooring.pki.lint.documentation docs/lint.md`` writes it; a test keeps it fresh.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mooring.pki.lint.catalogue import CATALOGUE
from mooring.pki.lint.model import Field, Rule, Severity

_MEANING = {
    Severity.ERROR: "the connection will fail; Apply and Connect are refused",
    Severity.WARNING: "the connection may fail, or fail soon",
    Severity.NOTE: "worth knowing; nothing has to be done",
}


def render() -> str:
    """Return the page as Markdown."""
    lines = [
        "# Certificate checks",
        "",
        "What `mooring cert check` and the gateway's Apply look for. Every check is one file under",
        "`src/mooring/pki/lint/rules/`, named like its id; the first letter is the severity.",
        "",
        "This page is made from the catalogue:",
        "`python -m mooring.pki.lint.documentation docs/lint.md`.",
        "",
        "| severity | means | checks |",
        "|---|---|---|",
    ]
    for severity in reversed(Severity):
        count = sum(rule.severity is severity for rule in CATALOGUE)
        lines.append(f"| {severity.value} | {_MEANING[severity]} | {count} |")
    lines += [
        "",
        "Under *strict subject rules* (`mooring cert check --strict`, or the connection's setting)",
        "the checks marked “error when strict” are errors.",
    ]
    for part in Field:
        rules = [rule for rule in CATALOGUE if rule.field is part]
        lines += ["", f"## {part.value.replace('_', ' ').capitalize()}"]
        for rule in rules:
            lines += ["", *_rule_lines(rule)]
    return "\n".join(lines) + "\n"


def _rule_lines(rule: Rule) -> list[str]:
    strict = f" ({rule.strict_severity.value} when strict)" if rule.strict_severity else ""
    return [
        f"### `{rule.rule_id}`",
        "",
        rule.description,
        "",
        f"- Severity: {rule.severity.value}{strict}",
        f"- Source: {rule.citation}",
        f"- Remedy: {rule.remedy}",
    ]


def main() -> None:
    """Write the page to the file named on the command line."""
    Path(sys.argv[1]).write_text(render(), encoding="utf-8")


if __name__ == "__main__":  # pragma: no cover - `main` is tested by itself
    main()
