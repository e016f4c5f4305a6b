"""A common name that Azure takes for no registration id."""

from __future__ import annotations

import re

from mooring.pki.certificates import common_name
from mooring.pki.lint.facts import quoted
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import is_identity
from mooring.pki.names import proposed_common_name

_REGISTRATION_ID = re.compile(r"[A-Za-z0-9._:-]{0,127}[A-Za-z0-9-]")


def _examine(context: LintContext) -> Breach | None:
    name = common_name(context.leaf)
    if not name or not name.strip() or _REGISTRATION_ID.fullmatch(name):
        return None
    proposed = proposed_common_name(name)
    return Breach(
        f"Certificate: the Common Name {quoted(name)} cannot be a registration id, which holds "
        "letters a-z, digits and - . _ : only (at most 128) and ends with a letter, a digit or -.",
        remedy=f"Make the certificate again with the Common Name {quoted(proposed)}."
        if proposed
        else None,
    )


RULE = Rule(
    rule_id="e_common_name_not_registration_id",
    severity=Severity.ERROR,
    field=Field.CERTIFICATE,
    citation="Azure: IoT Hub Device Provisioning Service concepts, Registration ID",
    description="The Common Name has the form that Azure asks of a registration id.",
    remedy="Make the certificate again with a Common Name of lower-case letters and digits.",
    applies=is_identity,
    examine=_examine,
)
