"""A certificate of version 1, which has no extensions."""

from __future__ import annotations

from cryptography import x509

from mooring.pki.lint.facts import subject_text
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import has_certificate


def _examine(context: LintContext) -> Breach | None:
    for certificate in context.chain:
        if certificate.version is x509.Version.v1:
            return Breach(
                f"Certificate: {subject_text(certificate)} is of X.509 version 1, without "
                "extensions; it says neither what it may be used for nor whether it is a CA."
            )
    return None


RULE = Rule(
    rule_id="w_x509_v1",
    severity=Severity.WARNING,
    field=Field.CERTIFICATE,
    citation="RFC 5280 §4.1.2.1; openssl x509 -req without -extfile makes version 1",
    description="Certificates are of X.509 version 3.",
    remedy="Make the certificate with mooring cert, or give openssl x509 -req an -extfile.",
    applies=has_certificate,
    examine=_examine,
)
