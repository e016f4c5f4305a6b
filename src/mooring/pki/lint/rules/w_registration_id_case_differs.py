"""The right id, spelled in other letters."""

from __future__ import annotations

from mooring.pki.certificates import common_name
from mooring.pki.lint.facts import quoted
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import is_identity


def _applies(context: LintContext) -> bool:
    return context.registration_id is not None and is_identity(context)


def _examine(context: LintContext) -> Breach | None:
    assert context.registration_id is not None
    name = common_name(context.leaf)
    if (
        not name
        or name == context.registration_id
        or name.lower() != context.registration_id.lower()
    ):
        return None
    return Breach(
        f"Certificate: the Common Name {quoted(name)} and the registration id "
        f"{quoted(context.registration_id)} differ in upper and lower case."
    )


RULE = Rule(
    rule_id="w_registration_id_case_differs",
    severity=Severity.WARNING,
    field=Field.CERTIFICATE,
    citation="ESF guide, Note the Common Name (exact match); Azure: registration ids ignore case, "
    "IoT Hub device ids do not",
    description="The Common Name and the registration id are spelled alike.",
    remedy="Spell both alike, in lower case.",
    applies=_applies,
    examine=_examine,
)
