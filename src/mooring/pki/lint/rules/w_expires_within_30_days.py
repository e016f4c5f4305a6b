"""A certificate that is over within a month, but not within a week."""

from __future__ import annotations

from datetime import timedelta

from mooring.pki.lint.facts import describe_time, subject_text
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import has_certificate


def _examine(context: LintContext) -> Breach | None:
    first = min(context.chain, key=lambda certificate: certificate.not_valid_after_utc)
    left = first.not_valid_after_utc - context.now
    if not timedelta(days=7) <= left < timedelta(days=30):
        return None
    return Breach(
        f"Certificate: {subject_text(first)} expires at "
        f"{describe_time(first.not_valid_after_utc)}, in {left.days} days."
    )


RULE = Rule(
    rule_id="w_expires_within_30_days",
    severity=Severity.WARNING,
    field=Field.CERTIFICATE,
    citation="RFC 5280 §4.1.2.5; openssl req -x509 gives 30 days unless -days says more",
    description="No certificate expires within 30 days.",
    remedy="Make the next certificate now, and put it into the enrollment's secondary slot.",
    applies=has_certificate,
    examine=_examine,
)
