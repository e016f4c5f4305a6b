"""A certificate for somebody else than who is enrolled."""

from __future__ import annotations

from mooring.pki.certificates import common_name
from mooring.pki.lint.facts import quoted
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import is_identity


def _applies(context: LintContext) -> bool:
    return context.registration_id is not None and is_identity(context)


def _examine(context: LintContext) -> Breach | None:
    assert context.registration_id is not None
    name = common_name(context.leaf)
    # Azure compares registration ids without regard to case.
    if not name or name.lower() == context.registration_id.lower():
        return None
    return Breach(
        f"Certificate: the Common Name is {quoted(name)}, but the registration id is "
        f"{quoted(context.registration_id)}."
    )


RULE = Rule(
    rule_id="e_registration_id_mismatch",
    severity=Severity.ERROR,
    field=Field.CERTIFICATE,
    citation="Azure: DPS, X.509 attestation: CN equals the registration id (else 401002); "
    "ESF guide, Note the Common Name",
    description="The Common Name equals the registration id under which the device is enrolled.",
    remedy="Enroll the device under the certificate's Common Name, or make a certificate whose "
    "Common Name is the registration id.",
    applies=_applies,
    examine=_examine,
)
