"""Trust that begins with a certificate made by hand (procedure row C9)."""

from __future__ import annotations

from mooring.pki.lint.facts import is_self_signed, subject_text
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import is_identity


def _examine(context: LintContext) -> Breach | None:
    top = context.chain[-1]
    if not is_self_signed(top):
        return None
    return Breach(
        f"Certificate: {subject_text(top)} is self-signed, as in the guide, whose certificates "
        "are for testing and development only."
    )


RULE = Rule(
    rule_id="n_testing_only",
    severity=Severity.NOTE,
    field=Field.CERTIFICATE,
    citation="ESF guide “X.509 Provisioning and Connection”, Testing Use Only",
    description="In production, identities come from a CA whose key is kept off the device.",
    remedy="Nothing while testing. For deployment, have device certificates issued by a CA that "
    "is run for the purpose.",
    applies=is_identity,
    examine=_examine,
)
