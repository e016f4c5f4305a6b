"""A chain that begins with an issuer."""

from __future__ import annotations

from mooring.pki.lint.facts import subject_text
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import is_path


def _examine(context: LintContext) -> Breach | None:
    first = context.leaf
    for certificate in context.chain[1:]:
        if certificate.issuer == first.subject and certificate.subject != first.subject:
            return Breach(
                f"Certificate: the chain begins with {subject_text(first)}, which issued "
                f"{subject_text(certificate)} further down."
            )
    return None


RULE = Rule(
    rule_id="e_leaf_not_first",
    severity=Severity.ERROR,
    field=Field.CERTIFICATE,
    citation="RFC 5246 §7.4.2, RFC 8446 §4.4.2: the sender's certificate must come first",
    description="The first certificate is the one whose key is held; it issued none of the others.",
    remedy="Put the leaf first, then its issuer, and so on upwards.",
    applies=is_path,
    examine=_examine,
)
