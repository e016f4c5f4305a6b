"""A common name longer than X.509 allows."""

from __future__ import annotations

from mooring.pki.certificates import common_names
from mooring.pki.lint.facts import quoted
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity
from mooring.pki.lint.scope import is_named
from mooring.pki.names import MAX_COMMON_NAME_CHARACTERS


def _examine(context: LintContext) -> Breach | None:
    for name in common_names(context.leaf):
        if len(name) > MAX_COMMON_NAME_CHARACTERS:
            return Breach(
                f"Certificate: the Common Name {quoted(name)} has {len(name)} characters, "
                f"more than the {MAX_COMMON_NAME_CHARACTERS} that X.509 allows."
            )
    return None


RULE = Rule(
    rule_id="e_common_name_too_long",
    severity=Severity.ERROR,
    field=Field.CERTIFICATE,
    citation="RFC 5280 appendix A.1, ub-common-name (64)",
    description="The Common Name has at most 64 characters.",
    remedy="Make the certificate again with a shorter Common Name.",
    applies=is_named,
    examine=_examine,
)
