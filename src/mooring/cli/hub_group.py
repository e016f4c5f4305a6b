"""`mooring hub group`: consumer groups, by which readers of the telemetry keep their places."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from mooring.cli.calls import CloudCall, command
from mooring.cli.hub_admin import HubOption, hub_path
from mooring.cli.records import path_to
from mooring.cli.rendering import short_time

app = typer.Typer(
    no_args_is_help=True, help="Consumer groups: places in the telemetry, kept by the hub."
)

GroupName = Annotated[str, typer.Argument(help="Name of the group.", metavar="NAME")]


class Start(StrEnum):
    """Where a new group begins to read."""

    EARLIEST = "earliest"
    LATEST = "latest"


@command(app)
def create(
    call: CloudCall,
    name: Annotated[str, typer.Argument(help="A name for the group.", metavar="NAME")],
    start: Annotated[
        Start, typer.Option("--from", help="Where it begins to read.")
    ] = Start.EARLIEST,
    hub: HubOption = None,
) -> None:
    """Create a consumer group; `mooring hub monitor --group NAME` reads by it."""
    with call.api() as api:
        found = api.post_json(
            hub_path(api, hub, "consumerGroups"), {"name": name, "start": start.value}
        )
    call.show(found, _facts)


@command(app, "list")
def list_groups(call: CloudCall, hub: HubOption = None) -> None:
    """List the consumer groups and where each reads on."""
    with call.api() as api:
        found = api.get_json(hub_path(api, hub, "consumerGroups"))["value"]
    call.show_table(
        found,
        "consumer groups",
        ("name", "created", "reads on at"),
        lambda row: (row["name"], short_time(row["createdDateTimeUtc"]), _positions(row)),
    )


@command(app)
def show(call: CloudCall, name: GroupName, hub: HubOption = None) -> None:
    """Show a consumer group: by partition, the sequence number that it reads next."""
    with call.api() as api:
        found = api.get_json(path_to(hub_path(api, hub, "consumerGroups"), name))
    call.show(found, _facts)


@command(app)
def reset(
    call: CloudCall,
    name: GroupName,
    start: Annotated[
        str,
        typer.Option("--from", help="earliest, latest, or a time such as 2030-01-02T03:04:05Z."),
    ],
    hub: HubOption = None,
) -> None:
    """Have a consumer group read on from elsewhere, also what it has read before."""
    with call.api() as api:
        here = hub_path(api, hub)
        positions = api.get_json(f"{here}/positions", start=start)
        found = api.post_json(path_to(f"{here}/consumerGroups", name, "positions"), positions)
    call.show(found, _facts)


@command(app)
def delete(call: CloudCall, name: GroupName, hub: HubOption = None) -> None:
    """Delete a consumer group and its place; the telemetry stays."""
    with call.api() as api:
        api.delete(path_to(hub_path(api, hub, "consumerGroups"), name))
    call.say({"deleted": name}, f"deleted {name}.")


def _facts(found: dict[str, Any]) -> dict[str, object]:
    return {
        "name": found["name"],
        "created": short_time(found["createdDateTimeUtc"]),
        "reads on at": _positions(found),
    }


def _positions(group: dict[str, Any]) -> str:
    places = (f"{partition}: {number}" for partition, number in group["positions"].items())
    return ", ".join(places) or "the beginning"
