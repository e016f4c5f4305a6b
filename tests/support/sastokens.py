"""Shared access signatures as a device makes them, in code that Mooring has no part in."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from urllib.parse import quote


def new_key() -> str:
    """Return a fresh symmetric key of 64 bytes, base64."""
    return base64.b64encode(secrets.token_bytes(64)).decode()


def derive_key(group_key: str, registration_id: str) -> str:
    """Return the key that a device of a symmetric-key enrollment group is given."""
    return _hmac(group_key, registration_id)


def sign_token(
    resource: str,
    key: str,
    *,
    ends_in_s: float = 3600,
    policy: str | None = "registration",
    lower_case_escapes: bool = False,
) -> str:
    """Return a token for `resource`, signed with base64 `key`; `policy` None leaves skn out."""
    sr = quote(resource, safe="")
    if lower_case_escapes:  # as Azure's documents have it; the SDKs send %2F
        sr = sr.replace("%2F", "%2f").replace("%3A", "%3a")
    se = int(time.time() + ends_in_s)
    sig = quote(_hmac(key, f"{sr}\n{se}"), safe="")
    token = f"SharedAccessSignature sr={sr}&sig={sig}&se={se}"
    return token if policy is None else f"{token}&skn={policy}"


def _hmac(key: str, message: str) -> str:
    digest = hmac.new(base64.b64decode(key), message.encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()
