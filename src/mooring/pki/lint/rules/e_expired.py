"""A certificate whose validity is over."""

from __future__ import annotations

from mooring.pki.lint.facts import describe_time, subject_text
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import has_certificate


def _examine(context: LintContext) -> Breach | None:
    for certificate in context.chain:
        if context.now > certificate.not_valid_after_utc:
            return Breach(
                f"Certificate: {subject_text(certificate)} expired at "
                f"{describe_time(certificate.not_valid_after_utc)}; it is now "
                f"{describe_time(context.now)}."
            )
    return None


RULE = Rule(
    rule_id="e_expired",
    severity=Severity.ERROR,
    field=Field.CERTIFICATE,
    citation="RFC 5280 §4.1.2.5, §6.1.3 (a)(2)",
    description="The validity of no certificate is over.",
    remedy="Make a new certificate (openssl req -x509 gives 30 days unless -days says more) and "
    "put it into the enrollment as well.",
    applies=has_certificate,
    examine=_examine,
)
