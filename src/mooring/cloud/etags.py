"""Entity tags: opaque versions of records, compared as HTTP does."""

from __future__ import annotations

import base64
import secrets

ANY = "*"
"""The If-Match value that fits every existing record (RFC 9110 §13.1.1)."""


def new_etag() -> str:
    """Return a fresh entity tag without quotes: base64 of a quoted random text, as Azure's."""
    return base64.b64encode(f'"{secrets.token_hex(8)}"'.encode()).decode()


def bare_etag(value: str) -> str:
    """Return `value` without ``W/`` and surrounding quotes: clients send either spelling."""
    return value.strip().removeprefix("W/").strip('"')


def etag_matches(if_match: str, etag: str) -> bool:
    """Return whether an If-Match value admits a record whose tag is `etag`.

    Azure's Python SDK quotes the star too, so ``"*"`` is ``*``.
    """
    wanted = bare_etag(if_match)
    return wanted == ANY or wanted == bare_etag(etag)
