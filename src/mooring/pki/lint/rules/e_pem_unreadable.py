"""Certificate text that cannot be taken, not even after repair."""

from __future__ import annotations

from mooring.pki.errors import CertificatesUnrelated, InputEmpty, WrongBox
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import always


def _examine(context: LintContext) -> Breach | None:
    refusal = context.certificate_refusal
    # The three that are left out have rules of their own.
    if refusal is None or isinstance(refusal, InputEmpty | WrongBox | CertificatesUnrelated):
        return None
    return Breach(refusal.message, remedy=refusal.remedy)


RULE = Rule(
    rule_id="e_pem_unreadable",
    severity=Severity.ERROR,
    field=Field.CERTIFICATE,
    citation="RFC 7468 §3, §5; ESF guide, Whitespace Warning",
    description="The certificate is PEM text that can be read, or repaired without guessing.",
    remedy="Copy the certificate again, whole, from its BEGIN line to its END line.",
    applies=always,
    examine=_examine,
)
