"""A chain that leads through a certificate that may not issue."""

from __future__ import annotations

from mooring.pki.lint.facts import is_ca, subject_text
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import is_path


def _examine(context: LintContext) -> Breach | None:
    for issuer in context.chain[1:]:
        if not is_ca(issuer):
            return Breach(
                f"Certificate: {subject_text(issuer)} stands in the chain as an issuer, but is "
                "not marked as a CA (basic constraints CA:TRUE)."
            )
    return None


RULE = Rule(
    rule_id="e_issuer_not_ca",
    severity=Severity.ERROR,
    field=Field.CERTIFICATE,
    citation="RFC 5280 §4.2.1.9, §6.1.4 (k)",
    description="Every certificate of a chain after the first is a CA certificate.",
    remedy="Issue the certificate from a CA certificate.",
    applies=is_path,
    examine=_examine,
)
