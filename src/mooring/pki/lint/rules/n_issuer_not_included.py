"""A certificate on its own, issued by somebody who is not in the text."""

from __future__ import annotations

from mooring.pki.certificates import is_self_issued
from mooring.pki.lint.facts import issuer_text, subject_text
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import is_device


def _applies(context: LintContext) -> bool:
    # Where the CAs are known, w_chain_incomplete gives the answer instead of a hint.
    return is_device(context) and len(context.chain) == 1 and not context.known_cas


def _examine(context: LintContext) -> Breach | None:
    if is_self_issued(context.leaf):
        return None
    return Breach(
        f"Certificate: {subject_text(context.leaf)} stands alone; its issuer "
        f"{issuer_text(context.leaf)} is not included."
    )


RULE = Rule(
    rule_id="n_issuer_not_included",
    severity=Severity.NOTE,
    field=Field.CERTIFICATE,
    citation="Azure: X.509 attestation, Device certificate chain; RFC 5246 §7.4.2 (the root may "
    "be left out)",
    description="A device sends the intermediates between its certificate and the verified CA.",
    remedy="Right when the issuer itself is the verified CA of the enrollment group. If it is an "
    "intermediate, append its certificate after the device's.",
    applies=_applies,
    examine=_examine,
)
