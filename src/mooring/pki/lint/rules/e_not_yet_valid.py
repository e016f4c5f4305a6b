"""A certificate whose validity has not begun."""

from __future__ import annotations

from mooring.pki.lint.clock import is_clock_sane
from mooring.pki.lint.facts import describe_time, subject_text
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import has_certificate


def _applies(context: LintContext) -> bool:
    # With a clock in 1970 every certificate is in the future; e_clock_not_sane says the cause.
    return has_certificate(context) and is_clock_sane(context)


def _examine(context: LintContext) -> Breach | None:
    for certificate in context.chain:
        if context.now < certificate.not_valid_before_utc:
            return Breach(
                f"Certificate: {subject_text(certificate)} is valid from "
                f"{describe_time(certificate.not_valid_before_utc)}; it is now "
                f"{describe_time(context.now)}."
            )
    return None


RULE = Rule(
    rule_id="e_not_yet_valid",
    severity=Severity.ERROR,
    field=Field.CERTIFICATE,
    citation="RFC 5280 §4.1.2.5, §6.1.3 (a)(2)",
    description="The validity of every certificate has begun.",
    remedy="Check the clocks of this machine and of the one that made the certificate; wait, or "
    "make the certificate again.",
    applies=_applies,
    examine=_examine,
)
