"""What the commands on a hub's records in the admin API share: which hub, and where it is."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mooring.cli.api import ApiClient
from mooring.cli.output import CommandError
from mooring.cli.records import path_to

HubOption = Annotated[
    str | None, typer.Option("--hub", help="Name of the hub; the first one, unless given.")
]


def find_hub(api: ApiClient, name: str | None) -> dict[str, Any]:
    """Return the hub of that name, or the first one.

    Raises:
        CommandError: There is none.
    """
    if name is not None:
        found: dict[str, Any] = api.get_json(path_to("hubs", name))
        return found
    hubs: list[dict[str, Any]] = api.get_json("hubs")["value"]
    if not hubs:
        raise CommandError(
            "hub-not-found",
            "The cloud has no hub.",
            "Create one with `mooring hub create`.",
            field="--hub",
        )
    return hubs[0]


def hub_path(api: ApiClient, name: str | None, *more: str) -> str:
    """Return the path of the hub of that name or of the first one, and of what is below it."""
    return path_to("hubs", name if name is not None else find_hub(api, None)["name"], *more)
