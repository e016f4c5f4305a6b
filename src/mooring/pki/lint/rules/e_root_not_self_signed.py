"""A root that somebody else issued."""

from __future__ import annotations

from mooring.pki.lint.facts import is_self_signed, issuer_text, subject_text
from mooring.pki.lint.model import Breach, Field, LintContext, Purpose, Rule, Severity


def _applies(context: LintContext) -> bool:
    return bool(context.chain) and context.purpose is Purpose.ROOT


def _examine(context: LintContext) -> Breach | None:
    if is_self_signed(context.leaf):
        return None
    return Breach(
        f"Certificate: {subject_text(context.leaf)} is not self-signed (issuer "
        f"{issuer_text(context.leaf)}), so it is no root."
    )


RULE = Rule(
    rule_id="e_root_not_self_signed",
    severity=Severity.ERROR,
    field=Field.CERTIFICATE,
    citation="RFC 5280 §3.2 (self-signed certificates)",
    description="A root certificate is signed by its own key.",
    remedy="Give the root itself, or check the file with --purpose intermediate.",
    applies=_applies,
    examine=_examine,
)
