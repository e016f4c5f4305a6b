"""A CA whose key usage does not let it sign certificates."""

from __future__ import annotations

from cryptography import x509

from mooring.pki.lint.facts import extension, is_ca, key_usages, subject_text
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import has_certificate


def _examine(context: LintContext) -> Breach | None:
    for certificate in context.chain:
        usage = extension(certificate, x509.KeyUsage)
        if is_ca(certificate) and usage is not None and not usage.key_cert_sign:
            return Breach(
                f"Certificate: the CA {subject_text(certificate)} has a key usage without "
                f"keyCertSign ({', '.join(key_usages(usage)) or 'none'})."
            )
    return None


RULE = Rule(
    rule_id="e_ca_key_usage_without_cert_sign",
    severity=Severity.ERROR,
    field=Field.CERTIFICATE,
    citation="RFC 5280 §4.2.1.3 (keyCertSign), §6.1.4 (n)",
    description="A CA certificate that has a key usage asserts keyCertSign.",
    remedy="Make the CA certificate again with the key usage keyCertSign.",
    applies=has_certificate,
    examine=_examine,
)
