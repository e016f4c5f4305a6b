"""A device certificate whose extended key usage leaves client authentication out."""

from __future__ import annotations

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from mooring.pki.lint.facts import extended_key_usages, extension
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import is_device


def _examine(context: LintContext) -> Breach | None:
    usage = extension(context.leaf, x509.ExtendedKeyUsage)
    if usage is None or ExtendedKeyUsageOID.CLIENT_AUTH in usage:
        return None
    return Breach(
        "Certificate: its extended key usage lacks clientAuth (it has "
        f"{', '.join(extended_key_usages(usage))})."
    )


RULE = Rule(
    rule_id="e_eku_without_client_auth",
    severity=Severity.ERROR,
    field=Field.CERTIFICATE,
    citation="RFC 5280 §4.2.1.12 (id-kp-clientAuth)",
    description="A device certificate that has an extended key usage asserts clientAuth.",
    remedy="Make the certificate again with the extended key usage clientAuth.",
    applies=is_device,
    examine=_examine,
)
