"""What a look at a configuration finds, in the words of its own properties."""

from __future__ import annotations

from dataclasses import dataclass

from mooring.pki.lint import Severity


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault or remark. `field` is a property id; `citation` names the rule's source."""

    rule_id: str
    severity: Severity
    field: str
    message: str
    remedy: str
    citation: str = ""

    def to_json(self) -> dict[str, str]:
        """Return the finding as JSON-ready values."""
        return {
            "rule_id": self.rule_id,
            "severity": self.severity.value,
            "field": self.field,
            "message": self.message,
            "remedy": self.remedy,
            "citation": self.citation,
        }


def has_errors(findings: list[Finding]) -> bool:
    """Return whether any of `findings` forbids to go on."""
    return any(finding.severity is Severity.ERROR for finding in findings)
