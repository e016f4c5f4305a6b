"""An ID scope that does not look like one."""

from __future__ import annotations

import re

from mooring.pki.lint.facts import quoted
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity

_USUAL_SHAPE = re.compile(r"0ne[0-9A-Fa-f]{8}")


def _applies(context: LintContext) -> bool:
    return context.scope_id is not None and bool(context.scope_id.strip())


def _examine(context: LintContext) -> Breach | None:
    assert context.scope_id is not None
    text = context.scope_id.strip()
    if _USUAL_SHAPE.fullmatch(text):
        return None
    return Breach(f"Scope ID: {quoted(text)} is not of the usual shape, 0ne and 8 hex digits.")


RULE = Rule(
    rule_id="w_scope_id_shape",
    severity=Severity.WARNING,
    field=Field.SCOPE_ID,
    citation="Azure: the form in which DPS and IoT Central issue ID scopes (0ne…); undocumented",
    description="The ID scope has the shape that Azure gives it.",
    remedy="Compare it with the ID Scope on the overview page of the DPS, digit by digit; it "
    "begins with a zero.",
    applies=_applies,
    examine=_examine,
)
