"""An elliptic curve that not both sides know."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec

from mooring.pki.keys import STRONG_CURVES
from mooring.pki.lint.facts import public_key, subject_text
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import has_certificate


def _examine(context: LintContext) -> Breach | None:
    for certificate in context.chain:
        key = public_key(certificate)
        if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name not in STRONG_CURVES:
            return Breach(
                f"Certificate: {subject_text(certificate)} has a key on the curve "
                f"{key.curve.name}, which is none of P-256, P-384, P-521."
            )
    return None


RULE = Rule(
    rule_id="e_unknown_curve",
    severity=Severity.ERROR,
    field=Field.CERTIFICATE,
    citation="RFC 8446 §4.2.3: TLS 1.3 signs with P-256, P-384 and P-521 only",
    description="Elliptic-curve keys are on a NIST curve that TLS stacks agree on.",
    remedy="Make the certificate again with a new key on P-256 or P-384.",
    applies=has_certificate,
    examine=_examine,
)
