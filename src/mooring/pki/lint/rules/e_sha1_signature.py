"""A signature over a broken hash."""

from __future__ import annotations

from mooring.pki.lint.facts import is_self_signed, signature_hash, subject_text
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import has_certificate

_BROKEN_HASHES = frozenset({"md5", "sha1"})


def _examine(context: LintContext) -> Breach | None:
    for certificate in context.chain:
        broken = signature_hash(certificate) in _BROKEN_HASHES
        # Nobody relies on a self-signature: trust in such a certificate comes from elsewhere.
        if broken and not is_self_signed(certificate):
            return Breach(
                f"Certificate: {subject_text(certificate)} is signed over "
                f"{(signature_hash(certificate) or '').upper()}, which can be forged."
            )
    return None


RULE = Rule(
    rule_id="e_sha1_signature",
    severity=Severity.ERROR,
    field=Field.CERTIFICATE,
    citation="RFC 9155; NIST SP 800-131A Rev. 2 §9: SHA-1 signatures are disallowed",
    description="No certificate is signed over SHA-1 or MD5.",
    remedy="Issue the certificate again over SHA-256 (openssl x509 -req -sha256).",
    applies=has_certificate,
    examine=_examine,
)
