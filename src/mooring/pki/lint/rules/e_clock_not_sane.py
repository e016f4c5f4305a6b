"""A clock that cannot be right."""

from __future__ import annotations

from mooring.pki.lint.clock import EARLIEST_SANE_TIME, is_clock_sane
from mooring.pki.lint.facts import describe_time
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import always


def _examine(context: LintContext) -> Breach | None:
    if is_clock_sane(context):
        return None
    return Breach(
        f"Clock: it shows {describe_time(context.now)}, before "
        f"{describe_time(EARLIEST_SANE_TIME)}, and cannot be right; every certificate would be "
        "judged wrongly."
    )


RULE = Rule(
    rule_id="e_clock_not_sane",
    severity=Severity.ERROR,
    field=Field.CLOCK,
    citation="RFC 5280 §6.1.3 (a)(2): validity is judged by the current time",
    description="The machine's clock can be right.",
    remedy="Set the clock, for example by switching network time on, and try again.",
    applies=always,
    examine=_examine,
)
