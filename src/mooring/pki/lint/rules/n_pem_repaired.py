"""Text that had to be mended before it could be read."""

from __future__ import annotations

from mooring.pki.lint.model import CHAIN_REORDERED, Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import always


def _examine(context: LintContext) -> Breach | None:
    # The order of the chain is another matter: n_chain_reordered.
    certificate = [r.text for r in context.certificate_repairs if r.code != CHAIN_REORDERED]
    key = [r.text for r in context.key_repairs]
    parts = [
        f"{label}: {' '.join(texts)}"
        for label, texts in (("Certificate", certificate), ("Private key", key))
        if texts
    ]
    if not parts:
        return None
    return Breach(" ".join(parts), field=Field.CERTIFICATE if certificate else Field.PRIVATE_KEY)


RULE = Rule(
    rule_id="n_pem_repaired",
    severity=Severity.NOTE,
    field=Field.CERTIFICATE,
    citation="ESF guide, Whitespace Warning; RFC 7468 §2 (parsers may be lax), §3 (strict form)",
    description="Pasted PEM holds nothing but the block, in the form that every reader takes.",
    remedy="Nothing: the repaired text is used. Other programs may refuse the original.",
    applies=always,
    examine=_examine,
)
