"""A certificate meant to issue others that may not."""

from __future__ import annotations

from mooring.pki.lint.facts import is_ca, subject_text
from mooring.pki.lint.model import Breach, Field, LintContext, Purpose, Rule, Severity
from mooring.pki.lint.scope import is_ca as is_ca_case


def _examine(context: LintContext) -> Breach | None:
    # Of a path only the first certificate is judged here; its issuers are e_issuer_not_ca's.
    judged = context.chain if context.purpose is Purpose.CHAIN else context.chain[:1]
    for certificate in judged:
        if not is_ca(certificate):
            return Breach(
                f"Certificate: {subject_text(certificate)} is not marked as a CA (basic "
                "constraints CA:TRUE), so nothing that it signs is trusted."
            )
    return None


RULE = Rule(
    rule_id="e_ca_flag_missing",
    severity=Severity.ERROR,
    field=Field.CERTIFICATE,
    citation="RFC 5280 §4.2.1.9, §6.1.4 (k)",
    description="A root or intermediate certificate has basic constraints with CA:TRUE.",
    remedy="Make the CA certificate again (mooring cert root, mooring cert intermediate).",
    applies=is_ca_case,
    examine=_examine,
)
