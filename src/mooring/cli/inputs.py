"""Documents and bodies that are given on the command line, in a file, or by standard input."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from mooring.cli.output import CommandError, UsageError

MAX_DOCUMENT_BYTES = 1 << 20
"""A twin, a message or an object of facts has kilobytes; a wrong file is not read whole."""


def json_object(given: str, option: str) -> dict[str, Any]:
    """Return the JSON object in `given`, or in the file it names; ``-`` is standard input.

    A file may be named as it is or behind an ``@``.

    Raises:
        CommandError: The file cannot be read.
        UsageError: It is no JSON object.
    """
    is_json = given.lstrip()[:1] in ("{", "[")
    data = given.encode() if is_json else _read(given.removeprefix("@"), option)
    try:
        document = _decode(data, option)
    except UsageError as error:
        raise _not_an_object(
            option, error.message.removeprefix(f"{option}: ").rstrip(".")
        ) from None
    if not isinstance(document, dict):
        raise _not_an_object(option, "JSON, but not an object")
    return document


def json_value(given: str, option: str) -> Any:
    """Return the JSON value in `given`, in the file behind an ``@``, or in standard input (``-``).

    Raises:
        CommandError: The file cannot be read.
        UsageError: It is no JSON.
    """
    return _decode(given_bytes(given, option), option)


def given_bytes(given: str, option: str) -> bytes:
    """Return `given` in UTF-8, or the file behind an ``@``, or standard input (``-``).

    Raises:
        CommandError: The file cannot be read.
    """
    if given == "-" or given.startswith("@"):
        return _read(given.removeprefix("@"), option)
    return given.encode()


def _read(name: str, option: str) -> bytes:
    try:
        if name == "-":
            data = sys.stdin.buffer.read(MAX_DOCUMENT_BYTES + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(MAX_DOCUMENT_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        fault = getattr(error, "strerror", None) or error
        raise CommandError(
            "file-unreadable",
            f"{option}: {name} cannot be read ({fault}).",
            "Give the path of a JSON file, or the JSON itself, which begins with '{'.",
            field=option,
        ) from None
    if len(data) > MAX_DOCUMENT_BYTES:
        raise CommandError(
            "file-too-large",
            f"{option}: {name} has more than {MAX_DOCUMENT_BYTES} bytes.",
            "Give a smaller document.",
            field=option,
        )
    return data


def _decode(data: bytes, option: str) -> Any:
    try:
        return json.loads(data.decode())
    except UnicodeDecodeError:
        fault = "not UTF-8 text"
    except ValueError as error:
        fault = f"not JSON: {error}"
    except RecursionError:
        fault = "not JSON: nested too deeply"
    raise UsageError(
        "not-json",
        f"{option}: {fault}.",
        """Give JSON, such as '{"a": 1}' or '"a text"', @FILE, or - for standard input.""",
        field=option,
    )


def _not_an_object(option: str, fault: str) -> UsageError:
    return UsageError(
        "not-a-json-object",
        f"{option}: {fault}.",
        'Give a JSON object such as {"a": 1}, or a file that holds one.',
        field=option,
    )
