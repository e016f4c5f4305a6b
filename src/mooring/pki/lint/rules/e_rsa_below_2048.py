"""An RSA key that is too short."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import rsa

from mooring.pki.keys import MIN_RSA_BITS
from mooring.pki.lint.facts import public_key, subject_text
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import has_certificate


def _examine(context: LintContext) -> Breach | None:
    for certificate in context.chain:
        key = public_key(certificate)
        if isinstance(key, rsa.RSAPublicKey) and key.key_size < MIN_RSA_BITS:
            return Breach(
                f"Certificate: {subject_text(certificate)} has an RSA key of {key.key_size} "
                f"bits, fewer than {MIN_RSA_BITS}."
            )
    return None


RULE = Rule(
    rule_id="e_rsa_below_2048",
    severity=Severity.ERROR,
    field=Field.CERTIFICATE,
    citation="NIST SP 800-131A Rev. 2 §3: RSA below 2048 bits is disallowed",
    description="RSA keys have 2048 bits or more.",
    remedy="Make the certificate again with a new key: RSA 2048, or EC P-256.",
    applies=has_certificate,
    examine=_examine,
)
