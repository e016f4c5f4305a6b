"""Whether the machine's clock can be right at all, which the rules about validity stand on."""

from __future__ import annotations

from datetime import UTC, datetime

from mooring.pki.lint.model import LintContext

EARLIEST_SANE_TIME = datetime(2025, 1, 1, tzinfo=UTC)
"""Before this Mooring did not exist, so a clock that shows it is wrong. Gateways without a
battery-backed clock start in 1970, or at the build date of their system."""


def is_clock_sane(context: LintContext) -> bool:
    """Return whether `context.now` can be the present."""
    return context.now >= EARLIEST_SANE_TIME
