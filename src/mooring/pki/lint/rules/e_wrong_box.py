"""A certificate where the key belongs, or the reverse."""

from __future__ import annotations

from mooring.pki.errors import WrongBox
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import always


def _examine(context: LintContext) -> Breach | None:
    certificate, key = context.certificate_refusal, context.key_refusal
    if isinstance(certificate, WrongBox) and isinstance(key, WrongBox):
        return Breach(
            f"{certificate.message} {key.message}",
            remedy="Paste each into its own field; the two may simply be swapped.",
        )
    if isinstance(certificate, WrongBox):
        return Breach(certificate.message, remedy=certificate.remedy)
    if isinstance(key, WrongBox):
        return Breach(key.message, remedy=key.remedy, field=Field.PRIVATE_KEY)
    return None


RULE = Rule(
    rule_id="e_wrong_box",
    severity=Severity.ERROR,
    field=Field.CERTIFICATE,
    citation="RFC 7468 §5, §10: the label of the BEGIN line says what a text is",
    description="The certificate field takes certificates, the key field takes a private key.",
    remedy="Paste the certificate into the certificate field and the key into the key field.",
    applies=always,
    examine=_examine,
)
