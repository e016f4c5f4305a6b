"""A CA certificate in a device's hands."""

from __future__ import annotations

from mooring.pki.lint.facts import is_ca, subject_text
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import is_device


def _examine(context: LintContext) -> Breach | None:
    if not is_ca(context.leaf):
        return None
    return Breach(
        f"Certificate: {subject_text(context.leaf)} is a CA certificate (CA:TRUE) and will be "
        "presented as the device's own."
    )


RULE = Rule(
    rule_id="n_ca_certificate_as_device",
    severity=Severity.NOTE,
    field=Field.CERTIFICATE,
    citation="RFC 5280 §4.2.1.9; ESF guide, Provision Device Using IoT Hub DPS Individual "
    "Enrollment",
    description="A device presents a certificate of its own, not that of a CA.",
    remedy="Right for an individual enrollment made with this very certificate. For an "
    "enrollment group, give the device certificate that the CA issued.",
    applies=is_device,
    examine=_examine,
)
