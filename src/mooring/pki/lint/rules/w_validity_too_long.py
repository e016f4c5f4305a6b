"""A device certificate that outlives what its key should be trusted for."""

from __future__ import annotations

from datetime import timedelta

from mooring.pki.lint.facts import describe_time, is_ca
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import is_device

LONGEST_DEVICE_VALIDITY = timedelta(days=3 * 366)
"""Three years, leap days allowed for."""


def _applies(context: LintContext) -> bool:
    # A root that serves as device (the guide's individual way) is long-lived as a CA must be.
    return is_device(context) and not is_ca(context.leaf)


def _examine(context: LintContext) -> Breach | None:
    leaf = context.leaf
    length = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    if length <= LONGEST_DEVICE_VALIDITY:
        return None
    return Breach(
        f"Certificate: valid for {length.days} days, until "
        f"{describe_time(leaf.not_valid_after_utc)}; a stolen key would open the door as long."
    )


RULE = Rule(
    rule_id="w_validity_too_long",
    severity=Severity.WARNING,
    field=Field.CERTIFICATE,
    citation="NIST SP 800-57 Part 1 Rev. 5 §5.3.6, table 1: private signature key, 1 to 3 years",
    description="A device certificate is valid for three years at most.",
    remedy="Make device certificates for one year, and renew them.",
    applies=_applies,
    examine=_examine,
)
