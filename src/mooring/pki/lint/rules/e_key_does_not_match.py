"""A private key that belongs to another certificate."""

from __future__ import annotations

from mooring.pki.keys import spki_sha256
from mooring.pki.lint.facts import subject_text
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import has_readable_key
from mooring.pki.pem import key_matches


def _applies(context: LintContext) -> bool:
    return context.key is not None and has_readable_key(context)


def _examine(context: LintContext) -> Breach | None:
    assert context.key is not None
    if key_matches(context.leaf, context.key):
        return None
    return Breach(
        f"Private key: does not belong to the certificate {subject_text(context.leaf)}. "
        f"SHA-256 of the public key: certificate {spki_sha256(context.leaf)}, "
        f"private key {spki_sha256(context.key)}."
    )


RULE = Rule(
    rule_id="e_key_does_not_match",
    severity=Severity.ERROR,
    field=Field.PRIVATE_KEY,
    citation="RFC 5246 §7.4.8, RFC 8446 §4.4.3 (CertificateVerify): signed with the leaf's key",
    description="The private key is the counterpart of the public key in the first certificate.",
    remedy="Give the key file that was written together with this certificate.",
    applies=_applies,
    examine=_examine,
)
