"""A verification certificate that carries another code than the one asked for."""

from __future__ import annotations

from mooring.pki.certificates import common_name
from mooring.pki.lint.facts import quoted
from mooring.pki.lint.model import Breach, Field, LintContext, Purpose, Rule, Severity


def _applies(context: LintContext) -> bool:
    return (
        bool(context.chain)
        and context.purpose is Purpose.VERIFICATION
        and context.verification_code is not None
    )


def _examine(context: LintContext) -> Breach | None:
    assert context.verification_code is not None
    name = common_name(context.leaf)
    if name is None or name == context.verification_code:
        return None
    return Breach(
        f"Certificate: the Common Name is {quoted(name)}, but the verification code is "
        f"{quoted(context.verification_code)}."
    )


RULE = Rule(
    rule_id="e_verification_code_mismatch",
    severity=Severity.ERROR,
    field=Field.CERTIFICATE,
    citation="Azure: How to do proof of possession for X.509 CA certificates with your DPS",
    description="The Common Name of a verification certificate is the verification code, exactly.",
    remedy="Make the verification certificate again with the code that is shown now: a newly "
    "generated code replaces the one before.",
    applies=_applies,
    examine=_examine,
)
