"""Identifiers that Mooring makes."""

from __future__ import annotations

import secrets
import uuid


def new_attempt_id() -> str:
    """Return a fresh attempt id, e.g. ``"att-3f9c0a7be1d24c55"`` (64 random bits)."""
    return f"att-{secrets.token_hex(8)}"


def new_tracking_id() -> str:
    """Return a fresh tracking id: a lower-case UUID, as Azure's error bodies carry."""
    return str(uuid.uuid4())
