"""What `mooring dps` is given on the command line or in a file, checked before it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from mooring.cli.inputs import json_object
from mooring.cli.output import UsageError


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


def _not_a_twin(fault: str) -> UsageError:
    return UsageError(
        "not-a-twin",
        f"--initial-twin: {fault}.",
        'Write it as {"tags": {…}, "properties": {"desired": {…}}}; both parts may be left out.',
        field="--initial-twin",
    )
