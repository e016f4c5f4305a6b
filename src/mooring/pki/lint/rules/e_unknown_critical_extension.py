"""A critical extension that no verifier here knows."""

from __future__ import annotations

from cryptography import x509

from mooring.pki.lint.facts import subject_text
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import has_certificate


def _examine(context: LintContext) -> Breach | None:
    for certificate in context.chain:
        for extension in certificate.extensions:
            if extension.critical and isinstance(extension.value, x509.UnrecognizedExtension):
                return Breach(
                    f"Certificate: {subject_text(certificate)} has the critical extension "
                    f"{extension.oid.dotted_string}, which verifiers do not know and must refuse."
                )
    return None


RULE = Rule(
    rule_id="e_unknown_critical_extension",
    severity=Severity.ERROR,
    field=Field.CERTIFICATE,
    citation="RFC 5280 §4.2: an unrecognized critical extension must be rejected",
    description="Critical extensions are ones that verifiers know.",
    remedy="Issue the certificate again without that extension, or not as critical.",
    applies=has_certificate,
    examine=_examine,
)
