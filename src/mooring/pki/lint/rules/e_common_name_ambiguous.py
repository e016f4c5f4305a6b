"""More than one common name: which one counts depends on who reads."""

from __future__ import annotations

from mooring.pki.certificates import common_names
from mooring.pki.lint.facts import quoted
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import is_named


def _examine(context: LintContext) -> Breach | None:
    names = common_names(context.leaf)
    if len(names) < 2:
        return None
    return Breach(
        f"Certificate: the subject has {len(names)} Common Names "
        f"({', '.join(quoted(name) for name in names)}); readers differ on which one counts."
    )


RULE = Rule(
    rule_id="e_common_name_ambiguous",
    severity=Severity.ERROR,
    field=Field.CERTIFICATE,
    citation="RFC 6125 §2.3.1, §6.4.4: one CN is what a reader can rely on",
    description="The subject holds exactly one Common Name.",
    remedy="Make the certificate again with one Common Name, the device's id.",
    applies=is_named,
    examine=_examine,
)
