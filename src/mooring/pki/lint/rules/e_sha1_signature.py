"""A signature over a broken hash."""

from __future__ import annotations

from mooring.pki.certificates import is_self_issued
from mooring.pki.chainfacts import signature_weakness
from mooring.pki.lint.facts import subject_text
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import has_certificate


def _examine(context: LintContext) -> Breach | None:
    for certificate in context.chain:
        weakness = signature_weakness(certificate)
        # Nobody relies on a self-signature: trust in such a certificate comes from elsewhere.
        if weakness and not is_self_issued(certificate):
            return Breach(f"Certificate: {subject_text(certificate)} has a {weakness}.")
    return None


RULE = Rule(
    rule_id="e_sha1_signature",
    severity=Severity.ERROR,
    field=Field.CERTIFICATE,
    citation="RFC 9155; NIST SP 800-131A Rev. 2 §9: SHA-1 signatures are disallowed",
    description="No certificate is signed over SHA-1, MD5 or another hash below SHA-256.",
    remedy="Issue the certificate again over SHA-256 (openssl x509 -req -sha256).",
    applies=has_certificate,
    examine=_examine,
)
