"""The certificate was left empty."""

from __future__ import annotations

from mooring.pki.errors import InputEmpty
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import always


def _examine(context: LintContext) -> Breach | None:
    refusal = context.certificate_refusal
    return Breach(refusal.message) if isinstance(refusal, InputEmpty) else None


RULE = Rule(
    rule_id="e_certificate_missing",
    severity=Severity.ERROR,
    field=Field.CERTIFICATE,
    citation="ESF guide, Create a X.509 cloud connection: Device Certificate; RFC 5246 §7.4.6",
    description="A device that connects by X.509 presents a certificate.",
    remedy="Paste the whole certificate, from its BEGIN line to its END line.",
    applies=always,
    examine=_examine,
)
