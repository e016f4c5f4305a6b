"""No global endpoint."""

from __future__ import annotations

from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity


def _applies(context: LintContext) -> bool:
    return context.endpoint is not None


def _examine(context: LintContext) -> Breach | None:
    assert context.endpoint is not None
    return None if context.endpoint.strip() else Breach("Global Endpoint: empty.")


RULE = Rule(
    rule_id="e_endpoint_missing",
    severity=Severity.ERROR,
    field=Field.GLOBAL_ENDPOINT,
    citation="ESF guide, Create a X.509 cloud connection: Global Endpoint",
    description="A connection has a global endpoint to register at.",
    remedy="Copy the Global device endpoint from the overview page of the DPS.",
    applies=_applies,
    examine=_examine,
)
