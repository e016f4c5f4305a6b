"""An issuer of the right name with another key."""

from __future__ import annotations

from itertools import pairwise

from mooring.pki.lint.facts import is_signed_by, subject_text
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import is_path


def _examine(context: LintContext) -> Breach | None:
    for certificate, issuer in pairwise(context.chain):
        if certificate.issuer == issuer.subject and is_signed_by(certificate, issuer) is False:
            return Breach(
                f"Certificate: {subject_text(issuer)} has the name of the issuer of "
                f"{subject_text(certificate)}, but another key signed it."
            )
    return None


RULE = Rule(
    rule_id="e_chain_signature_wrong",
    severity=Severity.ERROR,
    field=Field.CERTIFICATE,
    citation="RFC 5280 §6.1.3 (a)(1)",
    description="Every certificate of a chain is signed by the key of the next one.",
    remedy="Give the issuer's certificate that was in use when the certificate was signed; a CA "
    "made again under the same name has another key.",
    applies=is_path,
    examine=_examine,
)
