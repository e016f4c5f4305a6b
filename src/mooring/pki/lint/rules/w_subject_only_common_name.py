"""The guide's rule for the rest of the subject (procedure row C3)."""

from __future__ import annotations

from cryptography.x509.oid import NameOID

from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import is_identity


def _examine(context: LintContext) -> Breach | None:
    attributes = list(context.leaf.subject)
    if not attributes or any(
        attribute.oid != NameOID.COMMON_NAME and attribute.value for attribute in attributes
    ):
        return None
    return Breach(
        "Certificate: the subject holds nothing but the Common Name; the guide says that "
        "authentication at Azure then fails."
    )


RULE = Rule(
    rule_id="w_subject_only_common_name",
    severity=Severity.WARNING,
    field=Field.CERTIFICATE,
    citation="ESF guide “X.509 Provisioning and Connection”, Certificate Detail Fields",
    description="The subject of a device's identity holds one more field besides the Common Name.",
    remedy="Make the certificate again with one more field filled in, such as Organization.",
    applies=is_identity,
    examine=_examine,
    strict_severity=Severity.ERROR,
)
