"""The certificate lint: one rule per file, each with id, severity, citation and remedy.

Every warning of the guide ends, on other gateways, as a connection that fails without a word.
Here each is a named check that runs before anything is sent.
"""

from __future__ import annotations

from mooring.pki.lint.catalogue import CATALOGUE
from mooring.pki.lint.linter import lint
from mooring.pki.lint.model import Breach, Field, Finding, LintContext, Purpose, Rule, Severity
from mooring.pki.lint.pasted import IdentityPreview, LintReport, lint_pasted, preview_identity

__all__ = [
    "CATALOGUE",
    "Breach",
    "Field",
    "Finding",
    "IdentityPreview",
    "LintContext",
    "LintReport",
    "Purpose",
    "Rule",
    "Severity",
    "lint",
    "lint_pasted",
    "preview_identity",
]
