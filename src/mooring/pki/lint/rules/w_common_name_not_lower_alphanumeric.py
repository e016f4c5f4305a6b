"""The guide's rule for the common name (procedure row C4)."""

from __future__ import annotations

import re

from mooring.pki.certificates import common_name
from mooring.pki.lint.facts import quoted
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import is_identity
from mooring.pki.names import proposed_common_name

_LOWER_ALPHANUMERIC = re.compile(r"[a-z0-9]+")


def _examine(context: LintContext) -> Breach | None:
    name = common_name(context.leaf)
    if not name or not name.strip() or _LOWER_ALPHANUMERIC.fullmatch(name):
        return None
    proposed = proposed_common_name(name)
    return Breach(
        f"Certificate: the Common Name {quoted(name)} holds more than lower-case letters a-z and "
        "digits 0-9; the guide says that authentication then fails.",
        remedy=f"Make the certificate again with the Common Name {quoted(proposed)}."
        if proposed
        else None,
    )


RULE = Rule(
    rule_id="w_common_name_not_lower_alphanumeric",
    severity=Severity.WARNING,
    field=Field.CERTIFICATE,
    citation="ESF guide “X.509 Provisioning and Connection”, Common Name Format",
    description="The Common Name of a device's identity is lower-case alphanumeric.",
    remedy="Make the certificate again with a Common Name of lower-case letters and digits.",
    applies=is_identity,
    examine=_examine,
    strict_severity=Severity.ERROR,
)
