"""The private key was left empty."""

from __future__ import annotations

from mooring.pki.errors import InputEmpty
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import always


def _examine(context: LintContext) -> Breach | None:
    refusal = context.key_refusal
    return Breach(refusal.message) if isinstance(refusal, InputEmpty) else None


RULE = Rule(
    rule_id="e_key_missing",
    severity=Severity.ERROR,
    field=Field.PRIVATE_KEY,
    citation="ESF guide, Create a X.509 cloud connection: Device Private Key; RFC 5246 §7.4.8",
    description="A device proves with the private key that the certificate is its own.",
    remedy="Paste the private key that was made together with the certificate.",
    applies=always,
    examine=_examine,
)
