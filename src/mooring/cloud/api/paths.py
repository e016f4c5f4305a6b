"""Paths of Azure's APIs, taken apart and compared with templates."""

from __future__ import annotations

from collections.abc import Sequence
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
    given = list(segments)
    if len(given) == 2 and not given[1]:
        del given[1]
    wanted = template.split("/")[1:]
    if len(given) != len(wanted):
        return None
    ids = {}
    for part, text in zip(wanted, given, strict=True):
        if part.startswith("{") and text:
            ids[part[1:-1]] = text
        elif part.lower() != text.lower():
            return None
    return ids
