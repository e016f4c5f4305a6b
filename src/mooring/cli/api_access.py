"""Where the APIs of a state folder are, and the token that opens them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mooring.cli.api import ApiClient, Part, not_running
from mooring.cli.output import CommandError, UsageError


def read_facts(state: Path, part: str) -> dict[str, Any]:
    """Return what the cloud or gateway of this state folder wrote down about itself.

    Raises:
        CommandError: It never ran there.
    """
    path = state / part / f"{part}.json"
    try:
        facts: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        if (path.parent / f"{part}.db").exists():
            raise not_running(part, f"The {part} in {state} is not running.") from None
        raise CommandError(
            f"no-{part}",
            f"There is no {part} in {state}.",
            f"Start it (mooring up, or mooring {part} serve --state {state}), or name another "
            "folder with --state.",
        ) from None
    except (OSError, ValueError) as error:
        raise CommandError(
            "state-unreadable",
            f"{path} cannot be read: {error}",
            f"Mend its permissions, or start the {part} again, which writes it anew.",
        ) from None
    return facts


def cloud_api(state: Path) -> ApiClient:
    """Return a client of the admin API of the cloud in `state`."""
    return open_api("cloud", state)


def gateway_api(state: Path) -> ApiClient:
    """Return a client of the gateway in `state`."""
    return open_api("gateway", state)


def open_api(
    part: Part,
    state: Path,
    url: str | None = None,
    token: str | None = None,
    trust: Path | None = None,
) -> ApiClient:
    """Return a client of the API in `state`, or of the one that `url` names.

    Raises:
        CommandError: It never ran there, there is no token for it, or `trust` cannot be read.
        UsageError: A `url` or a `token` that cannot be.
    """
    if url is None:
        facts = read_facts(state, part)
        url = str(facts["api_url"])
        trust = trust or trusted_file(facts)
    return ApiClient(part, url, find_token(part, state, token), trust=trust)


def trusted_file(facts: Mapping[str, Any]) -> Path | None:
    """Return the CA file of the cloud that wrote `facts`; a gateway has none."""
    return Path(facts["ca_file"]) if "ca_file" in facts else None


def find_token(part: Part, state: Path, token: str | None) -> str:
    """Return `token`, or else the owner's of `state`.

    Raises:
        CommandError: There is none.
        UsageError: No token can look like it.
    """
    if token is not None and not (token.isascii() and token.isprintable() and token):
        raise UsageError(
            "token-malformed",
            "--token, or MOORING_TOKEN, is empty or holds characters that no token has.",
            "Copy the token again.",
            field="--token",
        )
    if token is None:
        path = state / part / "owner-token"
        try:
            token = path.read_text().strip()
        except OSError:
            raise CommandError(
                "no-token",
                f"There is no owner token at {path}.",
                f"Run as the user who owns that folder, or give --token of the {part}.",
                field="--token",
            ) from None
    return token
