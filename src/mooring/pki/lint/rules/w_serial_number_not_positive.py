"""A serial number that newer readers refuse."""

from __future__ import annotations

from mooring.pki.lint.facts import subject_text
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import has_certificate


def _examine(context: LintContext) -> Breach | None:
    for certificate in context.chain:
        if certificate.serial_number <= 0:
            return Breach(
                f"Certificate: {subject_text(certificate)} has the serial number "
                f"{certificate.serial_number}, which is not positive; newer software refuses it."
            )
    return None


RULE = Rule(
    rule_id="w_serial_number_not_positive",
    severity=Severity.WARNING,
    field=Field.CERTIFICATE,
    citation="RFC 5280 §4.1.2.2: serial numbers are positive integers",
    description="The serial number of every certificate is positive.",
    remedy="Issue the certificate again with a random serial number.",
    applies=has_certificate,
    examine=_examine,
)
