"""A chain that ends before it reaches a CA that the other side knows."""

from __future__ import annotations

from mooring.pki.lint.facts import is_signed_by, issuer_text, subject_text
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import has_certificate


def _applies(context: LintContext) -> bool:
    return has_certificate(context) and bool(context.known_cas)


def _examine(context: LintContext) -> Breach | None:
    top = context.chain[-1]
    for certificate in context.chain:
        if certificate in context.known_cas:
            return None
    if any(is_signed_by(top, known) is not False for known in context.known_cas):
        return None
    return Breach(
        f"Certificate: the chain ends with {subject_text(top)}, issued by {issuer_text(top)}, "
        "and reaches none of the known CAs."
    )


RULE = Rule(
    rule_id="w_chain_incomplete",
    severity=Severity.WARNING,
    field=Field.CERTIFICATE,
    citation="Azure: X.509 attestation, Device certificate chain; RFC 5246 §7.4.2",
    description="The chain reaches a CA that the other side knows.",
    remedy="Append the intermediate certificates between the leaf and the CA, leaf first.",
    applies=_applies,
    examine=_examine,
)
