"""No common name, hence no identity."""

from __future__ import annotations

from mooring.pki.certificates import common_names
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import is_named


def _examine(context: LintContext) -> Breach | None:
    if any(name.strip() for name in common_names(context.leaf)):
        return None
    return Breach("Certificate: the subject has no Common Name (CN), so it identifies nobody.")


RULE = Rule(
    rule_id="e_common_name_missing",
    severity=Severity.ERROR,
    field=Field.CERTIFICATE,
    citation="Azure: DPS, X.509 attestation: the leaf's subject common name is the registration id",
    description="The subject holds a Common Name: the registration id or the verification code.",
    remedy="Make the certificate again with the device's id as its Common Name.",
    applies=is_named,
    examine=_examine,
)
