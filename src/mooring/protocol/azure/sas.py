"""Shared-access-signature tokens: made, taken apart and verified.

``SharedAccessSignature sr={resource}&sig={signature}&se={unix seconds}[&skn={policy}]`` with
signature = base64(HMAC-SHA256(key, sr as sent + LF + se)).

The signature covers ``sr`` exactly as it stands in the token: some SDKs escape in lower case,
some in upper case, some send the host raw, so re-encoding would break one family or another.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote, unquote

from mooring.protocol.azure.errors import (
    SasExpired,
    SasKeyMalformed,
    SasMalformed,
    SasSignatureWrong,
)

SCHEME = "SharedAccessSignature"

CLOCK_SKEW = timedelta(minutes=5)
"""How long after ``se`` a token still opens: a device's clock may be that far off."""

MAX_TOKEN_CHARS = 4096
"""A token holds a resource, 44 characters of signature, a time and a policy name."""

MIN_KEY_BYTES = 16
MAX_KEY_BYTES = 64
"""Azure: symmetric keys are 16 to 64 bytes before base64."""

_REMEDY = f"Send {SCHEME} sr=…&sig=…&se=…, each value percent-encoded."


@dataclass(frozen=True, slots=True)
class SasToken:
    """A token taken apart, not yet verified.

    `signed_resource` is ``sr`` as received, `resource` the decoded text of it; `signature` the
    decoded bytes; `expires_at_s` is ``se``, seconds since 1970-01-01 UTC.
    """

    signed_resource: str
    signature: bytes
    expires_at_s: int
    policy: str | None = None

    @property
    def resource(self) -> str:
        """What the token opens, decoded, e.g. ``"hub1.example/devices/boiler7"``."""
        return unquote(self.signed_resource)


def decode_key(text: str, *, field: str = "key") -> bytes:
    """Return the bytes of a base64 symmetric key.

    Raises:
        SasKeyMalformed: Not base64, or not 16 to 64 bytes; names `field`, never shows the key.
    """
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise SasKeyMalformed(
            f"{field} is not base64", remedy="Copy the key whole, with its '=' signs.", field=field
        ) from None
    if not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
        raise SasKeyMalformed(
            f"{field} has {len(key)} bytes; {MIN_KEY_BYTES} to {MAX_KEY_BYTES} are allowed",
            remedy="Use a key of 64 random bytes in base64.",
            field=field,
        )
    return key


def encode_key(key: bytes) -> str:
    """Return `key` in base64, as connection strings and APIs carry it."""
    return base64.b64encode(key).decode("ascii")


def derive_device_key(group_key: bytes, registration_id: str) -> bytes:
    """Return the key of one device of a symmetric-key enrollment group.

    `registration_id` is taken as it is spelled; clients lower-case it by convention.
    """
    # Azure: DPS, symmetric key attestation, group enrollments
    return hmac.digest(group_key, registration_id.encode(), hashlib.sha256)


def format_sas_token(
    resource: str, key: bytes, *, expires_at: datetime, policy: str | None = None
) -> str:
    """Return a token that opens `resource` until `expires_at`.

    Args:
        resource: Unencoded, no scheme, no trailing slash, e.g.
            ``"hub1.example/devices/boiler7"``. Percent-encoded here, ``/`` too.
        key: Raw bytes, i.e. already base64-decoded.
        expires_at: Aware; sent as whole seconds since 1970-01-01 UTC, rounded down.
        policy: Name of the shared-access policy (``skn``); None for a device's own key.

    Returns:
        ``"SharedAccessSignature sr=…&sig=…&se=…[&skn=…]"``, ASCII, in this order, so that
        equal arguments give equal bytes.

    Raises:
        ValueError: `expires_at` is naive or `resource` is empty.
    """
    if expires_at.tzinfo is None:
        raise ValueError("the end of a token needs a time zone")
    if not resource:
        raise ValueError("a token needs a resource")
    signed_resource = quote(resource, safe="")
    expires_at_s = int(expires_at.timestamp() // 1)
    signature = encode_key(_sign(key, signed_resource, expires_at_s))
    token = f"{SCHEME} sr={signed_resource}&sig={quote(signature, safe='')}&se={expires_at_s}"
    return token if policy is None else f"{token}&skn={quote(policy, safe='')}"


def parse_sas_token(text: str) -> SasToken:
    """Return the parts of a token, in whatever order they stand.

    Raises:
        SasMalformed: Another scheme, a part missing or twice, ``se`` no number of seconds, or
            ``sig`` not base64. The message never repeats the token.
    """
    if len(text) > MAX_TOKEN_CHARS:
        raise _malformed(f"has {len(text)} characters; at most {MAX_TOKEN_CHARS} are allowed")
    scheme, _, rest = text.strip(" ").partition(" ")
    if scheme.lower() != SCHEME.lower():
        raise _malformed(f"does not begin with {SCHEME}")
    parts: dict[str, str] = {}
    for piece in rest.strip(" ").split("&"):
        key, _, value = piece.partition("=")
        if key in parts:
            # Two readers that choose differently would disagree on what was signed.
            raise _malformed("holds a part twice")
        parts[key] = value
    for key in ("sr", "sig", "se"):
        if not parts.get(key):
            raise _malformed(f"has no {key}")
    if not parts["sr"].isprintable():
        raise _malformed("has control characters in sr")
    se = parts["se"]
    if not se.isascii() or not se.isdecimal() or len(se) > 12:
        raise _malformed("has an se that is not a number of seconds")
    try:
        # Plain percent-decoding: the Python service SDK leaves '/' and '+' in sig as they are.
        signature = base64.b64decode(unquote(parts["sig"]), validate=True)
    except (binascii.Error, ValueError):
        raise _malformed("has a sig that is not base64") from None
    policy = parts.get("skn")
    return SasToken(parts["sr"], signature, int(se), unquote(policy) if policy else None)


def verify_sas_token(token: SasToken, keys: Iterable[bytes], *, now: datetime) -> None:
    """Return if one of `keys` signed `token` and it has not expired at `now`.

    Every key is tried, whichever fits, so that time does not tell which one did. What the token
    opens (`resource_covers`) and what its policy allows is for the caller to judge.

    Raises:
        SasSignatureWrong: None of the keys signed it.
        SasExpired: Signed, but ``se`` lies more than `CLOCK_SKEW` before `now`.
        ValueError: `now` is naive.
    """
    _check_aware(now)
    signed = False
    for key in keys:
        signed |= is_signed_by(token, key)
    if not signed:
        raise SasSignatureWrong(
            "token is not signed with a key of its policy or device",
            remedy="Sign with the current primary or secondary key, base64-decoded, "
            "over sr as sent, a line feed and se.",
            field="sig",
        )
    check_not_expired(token, now=now)


def is_signed_by(token: SasToken, key: bytes) -> bool:
    """Return whether `key` (raw bytes) signed `token`; the comparison takes constant time."""
    expected = _sign(key, token.signed_resource, token.expires_at_s)
    return hmac.compare_digest(expected, token.signature)


def check_not_expired(token: SasToken, *, now: datetime) -> None:
    """Return if `token` opens something at `now`. Ask after its signature is known to be right.

    Raises:
        SasExpired: ``se`` lies more than `CLOCK_SKEW` before `now`.
        ValueError: `now` is naive.
    """
    _check_aware(now)
    # Compared as numbers: twelve digits of seconds are years that no datetime holds.
    if token.expires_at_s < (now - CLOCK_SKEW).timestamp():
        raise SasExpired(
            f"token ended at {token.expires_at_s} s since 1970; now it is {int(now.timestamp())} s",
            remedy="Make a new token, and check the clock of the device.",
            field="se",
        )


def resource_covers(resource: str, wanted: str, *, ignore_case: bool = False) -> bool:
    """True if a token for `resource` opens `wanted`: equal, or a prefix of it by whole segments.

    ``h/a`` covers ``h/a`` and ``h/a/b``, not ``h/ab``. The host, the first segment, ignores case;
    the rest only with `ignore_case` (DPS does, a hub does not).
    """
    having = _segments(resource, ignore_case)
    return having == _segments(wanted, ignore_case)[: len(having)]


def _check_aware(now: datetime) -> None:
    if now.tzinfo is None:
        raise ValueError("the time of a verification needs a time zone")


def _segments(resource: str, ignore_case: bool) -> list[str]:
    host, *rest = resource.rstrip("/").split("/")
    return [host.lower(), *(part.lower() if ignore_case else part for part in rest)]


def _sign(key: bytes, signed_resource: str, expires_at_s: int) -> bytes:
    return hmac.digest(key, f"{signed_resource}\n{expires_at_s}".encode(), hashlib.sha256)


def _malformed(fault: str) -> SasMalformed:
    return SasMalformed(f"token {fault}", remedy=_REMEDY, field="token")
