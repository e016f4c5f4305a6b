"""An extended key usage that leaves client authentication out, on the device or above it."""

from __future__ import annotations

from cryptography import x509

from mooring.pki.chainfacts import extended_usage_fault
from mooring.pki.lint.facts import extended_key_usages, extension, subject_text
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import is_device


def _examine(context: LintContext) -> Breach | None:
    for certificate in context.chain:
        usage = extension(certificate, x509.ExtendedKeyUsage)
        if usage is not None and extended_usage_fault(certificate):
            return Breach(
                f"Certificate: {subject_text(certificate)} has an extended key usage without "
                f"clientAuth ({', '.join(extended_key_usages(usage))})."
            )
    return None


RULE = Rule(
    rule_id="e_eku_without_client_auth",
    severity=Severity.ERROR,
    field=Field.CERTIFICATE,
    citation="RFC 5280 §4.2.1.12 (id-kp-clientAuth); on a CA it limits what is issued below it",
    description="A certificate of the device's chain that has an extended key usage asserts "
    "clientAuth.",
    remedy="Make the certificate again with the extended key usage clientAuth, or without any.",
    applies=is_device,
    examine=_examine,
)
