"""Paths of Azure's APIs, taken apart and compared with templates."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from urllib.parse import unquote

from starlette.types import Scope


def path_segments(scope: Scope) -> list[str]:
    """Return the segments of a request's path, each percent-decoded once.

    Taken from the path as it came: in the decoded one, an encoded ``/`` within an id could not
    be told from one between segments.
    """
    raw: bytes | None = scope.get("raw_path")
    if raw is None:
        return str(scope["path"]).split("/")[1:]
    return [unquote(segment) for segment in raw.decode("ascii", "replace").split("/")[1:]]


def match_path(template: str, segments: Sequence[str]) -> dict[str, str] | None:
    """Return the variable parts of a path if it is one of `template`, else None.

    The fixed parts may be spelled in any case, and a slash may follow a collection: SDKs differ.
    """
    wanted = _parts(template)
    count = 1 if len(segments) == 2 and not segments[1] else len(segments)
    if count != len(wanted):
        return None
    ids = {}
    for (part, name), text in zip(wanted, segments, strict=False):
        if name is not None and text:
            ids[name] = text
        elif part != text.lower():
            return None
    return ids


@cache
def _parts(template: str) -> tuple[tuple[str, str | None], ...]:
    """Return each part of a template: in lower case, and what it is called where it is variable.

    There are dozens of templates, and each request is compared with all of them.
    """
    return tuple(
        (part.lower(), part[1:-1] if part.startswith("{") else None)
        for part in template.split("/")[1:]
    )
