"""Which cases a rule concerns: the few answers that rules give for `Rule.applies`."""

from __future__ import annotations

from mooring.pki.lint.facts import public_key
from mooring.pki.lint.model import LintContext, Purpose

IDENTITY_PURPOSES = frozenset({Purpose.DEVICE, Purpose.ROOT})
"""A root counts, because the guide's individual way uses the root as the device's certificate."""

NAMED_PURPOSES = IDENTITY_PURPOSES | {Purpose.VERIFICATION}
"""Certificates whose CN somebody reads: as registration id, or as verification code."""

CA_PURPOSES = frozenset({Purpose.ROOT, Purpose.INTERMEDIATE, Purpose.CHAIN})
"""Certificates that are there to issue others."""


def always(_context: LintContext) -> bool:
    """Every case."""
    return True


def has_certificate(context: LintContext) -> bool:
    """A certificate could be read."""
    return bool(context.chain)


def is_device(context: LintContext) -> bool:
    """The first certificate will authenticate a device."""
    return bool(context.chain) and context.purpose is Purpose.DEVICE


def is_identity(context: LintContext) -> bool:
    """The first certificate is, or by the guide's individual way may be, a device's identity."""
    return bool(context.chain) and context.purpose in IDENTITY_PURPOSES


def is_named(context: LintContext) -> bool:
    """The first certificate is known by its common name."""
    return bool(context.chain) and context.purpose in NAMED_PURPOSES


def is_ca(context: LintContext) -> bool:
    """The certificates are there to issue others."""
    return bool(context.chain) and context.purpose in CA_PURPOSES


def is_path(context: LintContext) -> bool:
    """Several certificates that should lead from the first one upwards."""
    return len(context.chain) > 1 and context.purpose is not Purpose.CHAIN


def has_readable_key(context: LintContext) -> bool:
    """A certificate could be read, and its public key too."""
    return bool(context.chain) and public_key(context.leaf) is not None
