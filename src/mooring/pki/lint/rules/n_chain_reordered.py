"""Certificates that were not given leaf first."""

from __future__ import annotations

from mooring.pki.lint.model import CHAIN_REORDERED, Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import always


def _examine(context: LintContext) -> Breach | None:
    texts = [r.text for r in context.certificate_repairs if r.code == CHAIN_REORDERED]
    return Breach(f"Certificate: {' '.join(texts)}") if texts else None


RULE = Rule(
    rule_id="n_chain_reordered",
    severity=Severity.NOTE,
    field=Field.CERTIFICATE,
    citation="RFC 5246 §7.4.2 (certificate_list), RFC 8446 §4.4.2: the sender's own comes first",
    description="A chain is given leaf first, each certificate followed by its issuer.",
    remedy="Nothing: the chain is used in the right order.",
    applies=always,
    examine=_examine,
)
