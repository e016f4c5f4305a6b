"""Certificates that do not follow from one another."""

from __future__ import annotations

from itertools import pairwise

from mooring.pki.errors import CertificatesUnrelated
from mooring.pki.lint.facts import issuer_text, subject_text
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.rules import e_leaf_not_first
from mooring.pki.lint.scope import is_path


def _applies(context: LintContext) -> bool:
    if isinstance(context.certificate_refusal, CertificatesUnrelated):
        return True
    # One fault, one finding: a chain that begins with an issuer is that rule's.
    return is_path(context) and e_leaf_not_first.RULE.check(context) is None


def _examine(context: LintContext) -> Breach | None:
    if context.certificate_refusal is not None:
        return Breach(
            context.certificate_refusal.message, remedy=context.certificate_refusal.remedy
        )
    for certificate, issuer in pairwise(context.chain):
        if certificate.issuer != issuer.subject:
            return Breach(
                f"Certificate: {subject_text(certificate)} was issued by "
                f"{issuer_text(certificate)}, but is followed by {subject_text(issuer)}."
            )
    return None


RULE = Rule(
    rule_id="e_chain_order",
    severity=Severity.ERROR,
    field=Field.CERTIFICATE,
    citation="RFC 5246 §7.4.2: each following certificate must certify the one before it",
    description="Every certificate of a chain is followed by its issuer.",
    remedy="Give the leaf, then its issuer, and so on upwards, and nothing else.",
    applies=_applies,
    examine=_examine,
)
