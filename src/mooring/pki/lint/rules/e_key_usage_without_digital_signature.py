"""A device certificate whose key usage does not let it sign a handshake."""

from __future__ import annotations

from cryptography import x509

from mooring.pki.lint.facts import extension, key_usages
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import is_device


def _examine(context: LintContext) -> Breach | None:
    usage = extension(context.leaf, x509.KeyUsage)
    if usage is None or usage.digital_signature:
        return None
    return Breach(
        "Certificate: its key usage lacks digitalSignature (it has "
        f"{', '.join(key_usages(usage)) or 'none'}), so the key may not sign a TLS handshake."
    )


RULE = Rule(
    rule_id="e_key_usage_without_digital_signature",
    severity=Severity.ERROR,
    field=Field.CERTIFICATE,
    citation="RFC 5246 §7.4.6, RFC 8446 §4.4.2.2: digitalSignature where a key usage is present; "
    "RFC 5280 §4.2.1.3",
    description="A device certificate that has a key usage asserts digitalSignature.",
    remedy="Make the certificate again with the key usage digitalSignature.",
    applies=is_device,
    examine=_examine,
)
