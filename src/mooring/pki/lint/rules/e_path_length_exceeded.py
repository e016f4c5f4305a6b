"""More intermediates below a CA than it allows."""

from __future__ import annotations

from cryptography import x509

from mooring.pki.certificates import is_self_issued
from mooring.pki.lint.facts import extension, subject_text
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import is_path


def _examine(context: LintContext) -> Breach | None:
    for position, issuer in enumerate(context.chain[1:], start=1):
        constraints = extension(issuer, x509.BasicConstraints)
        limit = constraints.path_length if constraints is not None else None
        # RFC 5280 §4.2.1.9: neither the last certificate nor self-issued ones count.
        below = sum(not is_self_issued(c) for c in context.chain[1:position])
        if limit is not None and below > limit:
            return Breach(
                f"Certificate: the CA {subject_text(issuer)} allows {limit} intermediate "
                f"certificates below it; the chain has {below}."
            )
    return None


RULE = Rule(
    rule_id="e_path_length_exceeded",
    severity=Severity.ERROR,
    field=Field.CERTIFICATE,
    citation="RFC 5280 §4.2.1.9 (pathLenConstraint), §6.1.4 (l)",
    description="No CA of a chain has more intermediates below it than its path length allows.",
    remedy="Issue the device certificate from a CA higher up, or make the CA again with a "
    "greater path length.",
    applies=is_path,
    examine=_examine,
)
