"""What `mooring dps` is given on the command line or in a file, checked before it is sent."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mooring.cli.output import CommandError, UsageError

MAX_DOCUMENT_BYTES = 1 << 20
"""A twin or an object of facts has kilobytes; a wrong file is not read whole."""


def json_object(given: str, option: str) -> dict[str, Any]:
    """Return the JSON object in `given`, or in the file it names; ``-`` is standard input.

    Raises:
        CommandError: The file cannot be read.
        UsageError: It is no JSON object.
    """
    text = given if given.lstrip()[:1] in ("{", "[") else _read(Path(given), option)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        fault = "nested too deeply" if isinstance(error, RecursionError) else error
        raise _not_an_object(option, f"not JSON: {fault}") from None
    if not isinstance(document, dict):
        raise _not_an_object(option, "JSON, but not an object")
    return document


def initial_twin(given: str) -> dict[str, Any]:
    """Return the twin in `given`, or in the file it names.

    Raises:
        CommandError: The file cannot be read.
        UsageError: It is no twin. The service would pass over what it does not know, and the
            device would start without it.
    """
    twin = json_object(given, "--initial-twin")
    properties = twin.get("properties", {})
    if not isinstance(properties, dict):
        raise _not_a_twin("properties is not an object")
    for where, members, allowed in (
        ("", twin, {"tags", "properties"}),
        ("properties.", properties, {"desired"}),
    ):
        for name in members:
            if name not in allowed:
                raise _not_a_twin(f"{where}{name} is no part of one")
    return twin


MASK = "****"
"""Azure: custom allocation, how a webhook's secret is shown."""


def masked_url(url: str) -> str:
    """Return `url` with what may be secret in it masked: user and password, query, fragment."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    masked = parts._replace(
        netloc=f"{user and MASK}{at}{host}",
        query=parts.query and MASK,
        fragment=parts.fragment and MASK,
    )
    return masked.geturl()


def is_masked(definition: Mapping[str, Any] | None) -> bool:
    """Return whether a ``customAllocationDefinition`` has its webhook's key left out."""
    url = str((definition or {}).get("webhookUrl", ""))
    return f"//{MASK}@" in url or url.endswith((f"?{MASK}", f"#{MASK}"))


def _read(path: Path, option: str) -> str:
    try:
        if str(path) == "-":
            data = sys.stdin.buffer.read(MAX_DOCUMENT_BYTES + 1)
        else:
            with path.open("rb") as file:
                data = file.read(MAX_DOCUMENT_BYTES + 1)
    except OSError as error:
        raise CommandError(
            "file-unreadable",
            f"{option}: {path} cannot be read ({error.strerror or error}).",
            "Give the path of a JSON file, or the JSON itself, which begins with '{'.",
            field=option,
        ) from None
    if len(data) > MAX_DOCUMENT_BYTES:
        raise CommandError(
            "file-too-large",
            f"{option}: {path} has more than {MAX_DOCUMENT_BYTES} bytes.",
            "Give a smaller document.",
            field=option,
        )
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise _not_an_object(option, "not UTF-8 text") from None


def _not_an_object(option: str, fault: str) -> UsageError:
    return UsageError(
        "not-a-json-object",
        f"{option}: {fault}.",
        'Give a JSON object such as {"a": 1}, or a file that holds one.',
        field=option,
    )


def _not_a_twin(fault: str) -> UsageError:
    return UsageError(
        "not-a-twin",
        f"--initial-twin: {fault}.",
        'Write it as {"tags": {…}, "properties": {"desired": {…}}}; both parts may be left out.',
        field="--initial-twin",
    )
