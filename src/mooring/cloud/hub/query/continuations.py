"""Where the next page of a query begins, as an opaque text."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from hashlib import blake2b

from mooring.cloud.hub.query.errors import ContinuationInvalid

MAX_CONTINUATION_CHARS = 512
"""Base64 of a digest, a device id of at most 128 characters and a number; more is not ours."""

_DIGEST_BYTES = 12
"""Enough that no two queries of one caller are taken for each other."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far the pages before went.

    Attributes:
        after: The last device that was looked at, in the order of ids; None for none.
        given: Rows given so far.
    """

    after: str | None = None
    given: int = 0


def encode_position(position: Position, *, hub_id: int, text: str) -> str:
    """Return `position` in the pages of the query `text` as an opaque text."""
    parts = [_digest(hub_id, text), position.after, position.given]
    packed = json.dumps(parts, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def decode_position(continuation: str | None, *, hub_id: int, text: str) -> Position:
    """Return the position that `encode_position` took; the beginning for None.

    Page sizes may change from page to page: Azure's command line does so.

    Raises:
        ContinuationInvalid: The text is none of ours, or another query's.
    """
    if continuation is None:
        return Position()
    parts = _unpack(continuation)
    match parts:
        case [str(digest), None | str() as after, int(given)] if given >= 0:
            if digest == _digest(hub_id, text):
                return Position(after, given)
            raise _invalid("belongs to another query or another hub")
        case _:
            raise _invalid("is none that this service gave")


def _unpack(continuation: str) -> object:
    if len(continuation) > MAX_CONTINUATION_CHARS or not continuation.isascii():
        return None
    try:
        padded = continuation + "=" * (-len(continuation) % 4)
        unpacked: object = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return None
    return unpacked


def _digest(hub_id: int, text: str) -> str:
    named = f"{hub_id}\n{text}".encode(errors="surrogatepass")
    return base64.b64encode(blake2b(named, digest_size=_DIGEST_BYTES).digest()).decode()


def _invalid(fault: str) -> ContinuationInvalid:
    return ContinuationInvalid(
        f"x-ms-continuation: it {fault}.",
        "Send the query of the page before with its continuation, or begin without one.",
        field="x-ms-continuation",
    )
