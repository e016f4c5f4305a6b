"""No ID scope."""

from __future__ import annotations

from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity


def _applies(context: LintContext) -> bool:
    return context.scope_id is not None


def _examine(context: LintContext) -> Breach | None:
    assert context.scope_id is not None
    return None if context.scope_id.strip() else Breach("Scope ID: empty.")


RULE = Rule(
    rule_id="e_scope_id_missing",
    severity=Severity.ERROR,
    field=Field.SCOPE_ID,
    citation="Azure: DPS device registration, {idScope} in the path and in the MQTT user name; "
    "ESF guide: Scope ID",
    description="A connection has an ID scope, which says which DPS instance is asked.",
    remedy="Copy the ID Scope from the overview page of the DPS, or from IoT Central's Device "
    "connection page.",
    applies=_applies,
    examine=_examine,
)
