"""Key text that cannot be taken, not even after repair."""

from __future__ import annotations

from mooring.pki.errors import InputEmpty, KeyEncrypted, PassphraseWrong, WrongBox
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import always


def _examine(context: LintContext) -> Breach | None:
    refusal = context.key_refusal
    # The four that are left out have rules of their own.
    if refusal is None or isinstance(
        refusal, InputEmpty | WrongBox | KeyEncrypted | PassphraseWrong
    ):
        return None
    return Breach(refusal.message, remedy=refusal.remedy)


RULE = Rule(
    rule_id="e_key_unreadable",
    severity=Severity.ERROR,
    field=Field.PRIVATE_KEY,
    citation="RFC 7468 §10, §11; RFC 5958; ESF guide, Whitespace Warning",
    description="The private key is PEM text (PKCS#8, PKCS#1 or SEC 1) that can be read.",
    remedy="Copy the key again, whole, from its BEGIN line to its END line.",
    applies=always,
    examine=_examine,
)
