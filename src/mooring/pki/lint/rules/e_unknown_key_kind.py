"""A key that is neither RSA nor elliptic curve."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from mooring.pki.lint.facts import describe_public_key, public_key, subject_text
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import has_certificate


def _examine(context: LintContext) -> Breach | None:
    for certificate in context.chain:
        key = public_key(certificate)
        if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
            return Breach(
                f"Certificate: {subject_text(certificate)} has a key of the kind "
                f"{describe_public_key(certificate)}, neither RSA nor elliptic curve."
            )
    return None


RULE = Rule(
    rule_id="e_unknown_key_kind",
    severity=Severity.ERROR,
    field=Field.CERTIFICATE,
    citation="Azure: TLS support in IoT Hub and DPS: RSA and ECDSA cipher suites only",
    description="Keys are RSA or elliptic curve.",
    remedy="Make the certificate again with a new key: RSA 2048, or EC P-256.",
    applies=has_certificate,
    examine=_examine,
)
