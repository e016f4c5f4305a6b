"""A passphrase that does not open the key."""

from __future__ import annotations

from mooring.pki.errors import PassphraseWrong
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import always


def _examine(context: LintContext) -> Breach | None:
    refusal = context.key_refusal
    if not isinstance(refusal, PassphraseWrong):
        return None
    return Breach(refusal.message, remedy=refusal.remedy)


RULE = Rule(
    rule_id="e_passphrase_wrong",
    severity=Severity.ERROR,
    field=Field.PASSPHRASE,
    citation="RFC 5958 §3; RFC 8018 §6.2 (a wrong password shows in the padding)",
    description="The passphrase opens the private key that it was given with.",
    remedy="Give the passphrase that the key was encrypted with.",
    applies=always,
    examine=_examine,
)
