"""Running the catalogue over a case."""

from __future__ import annotations

from mooring.pki.lint.catalogue import CATALOGUE
from mooring.pki.lint.model import Finding, LintContext


def lint(context: LintContext) -> list[Finding]:
    """Return what the rules found, the weightiest first, else in the order of the catalogue."""
    findings = [finding for rule in CATALOGUE if (finding := rule.check(context)) is not None]
    return sorted(findings, key=lambda finding: -finding.severity.rank)
