"""An encrypted key, and no passphrase to open it."""

from __future__ import annotations

from mooring.pki.errors import KeyEncrypted
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import always


def _examine(context: LintContext) -> Breach | None:
    refusal = context.key_refusal
    if not isinstance(refusal, KeyEncrypted):
        return None
    return Breach(refusal.message, remedy=refusal.remedy)


RULE = Rule(
    rule_id="e_key_encrypted_without_passphrase",
    severity=Severity.ERROR,
    field=Field.PASSPHRASE,
    citation="RFC 5958 §3 (EncryptedPrivateKeyInfo); ESF guide, Unencrypted Private Key File",
    description="An encrypted private key comes with the passphrase that opens it.",
    remedy="Give the passphrase of the key.",
    applies=always,
    examine=_examine,
)
