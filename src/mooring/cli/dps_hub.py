"""`mooring dps hub`: the hubs that DPS may assign devices to."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mooring.cli.calls import DpsCall, command
from mooring.cli.dps_resource import Properties, change_service
from mooring.cli.output import CommandError, UsageError

app = typer.Typer(no_args_is_help=True, help="Linked hubs: those that devices are assigned to.")

MAX_WEIGHT = 1000
"""Azure: allocationWeight is 1 to 1000."""

HostName = Annotated[str, typer.Argument(help="The hub's host name.", metavar="HOST_NAME")]
WeightOption = Annotated[
    int | None,
    typer.Option(min=1, max=MAX_WEIGHT, help="Its share in hashed allocation, beside the others'."),
]
ApplyOption = Annotated[
    bool | None,
    typer.Option(
        "--apply-allocation/--no-apply-allocation",
        help="Whether allocation may choose it.",
    ),
]


@command(app, "list")
def list_hubs(call: DpsCall) -> None:
    """List the linked hubs, with their weight in hashed allocation."""
    with call.api() as api:
        found = api.get_json(api.resource())["properties"]["iotHubs"]
    call.show_table(
        found,
        "linked hubs",
        ("host name", "weight", "in allocation", "linked by"),
        lambda row: tuple(_facts(row).values()),
    )


@command(app)
def link(
    call: DpsCall,
    host_name: Annotated[
        str | None,
        typer.Argument(
            help="The hub's host name, from `mooring hub list`.",
            metavar="[HOST_NAME]",
            show_default=False,
        ),
    ] = None,
    connection_string: Annotated[
        str | None,
        typer.Option(help="Instead: its connection string, as Azure's own tools link hubs."),
    ] = None,
    weight: WeightOption = None,
    apply_allocation: ApplyOption = None,
) -> None:
    """Link a hub, so that devices are assigned to it."""
    if (host_name is None) == (connection_string is None):
        raise UsageError(
            "hub-missing" if host_name is None else "hub-twice",
            "Neither a host name nor a connection string is given."
            if host_name is None
            else "Both a host name and a connection string are given.",
            "Give one of them.",
            field="HOST_NAME",
        )
    if connection_string is not None:
        from mooring.protocol.azure.connection_strings import parse_connection_string

        host_name = parse_connection_string(connection_string).host_name or ""
        entry: dict[str, Any] = {"connectionString": connection_string}
    else:
        entry = {"hostName": host_name}
    name = host_name or ""
    _set(entry, weight, apply_allocation)

    def wanted(properties: Properties) -> Properties:
        hubs = properties["iotHubs"]
        if any(_is(hub, name) for hub in hubs):
            raise CommandError(
                "hub-linked",
                f"Hub {name} is linked already.",
                f"Change how it takes part: mooring dps hub update {name}.",
                field="HOST_NAME",
            )
        return {"iotHubs": [*hubs, entry]}

    with call.api() as api:
        changed = change_service(api, wanted)
    call.show(_find(changed["properties"], name), _facts)


@command(app)
def update(
    call: DpsCall,
    host_name: HostName,
    weight: WeightOption = None,
    apply_allocation: ApplyOption = None,
) -> None:
    """Change how a linked hub takes part in allocation, for registrations from now on."""
    if weight is None and apply_allocation is None:
        raise UsageError(
            "nothing-to-change",
            "It is not said what is to be changed.",
            "Give --weight, --apply-allocation or --no-apply-allocation.",
        )

    def wanted(properties: Properties) -> Properties:
        _set(_find(properties, host_name), weight, apply_allocation)
        return {"iotHubs": properties["iotHubs"]}

    with call.api() as api:
        changed = change_service(api, wanted)
    call.show(_find(changed["properties"], host_name), _facts)


@command(app)
def unlink(call: DpsCall, host_name: HostName) -> None:
    """Assign no more devices to a hub; those that are there stay."""

    def wanted(properties: Properties) -> Properties:
        gone = _find(properties, host_name)
        return {"iotHubs": [hub for hub in properties["iotHubs"] if hub is not gone]}

    with call.api() as api:
        change_service(api, wanted)
    call.say({"unlinked": host_name}, f"unlinked {host_name}.")


def _set(entry: dict[str, Any], weight: int | None, apply_allocation: bool | None) -> None:
    if weight is not None:
        entry["allocationWeight"] = weight
    if apply_allocation is not None:
        entry["applyAllocationPolicy"] = apply_allocation


def _is(hub: dict[str, Any], host_name: str) -> bool:
    return str(hub["name"]).lower() == host_name.lower()


def _find(properties: Properties, host_name: str) -> dict[str, Any]:
    """Return the linked hub of that name.

    Raises:
        CommandError: There is none.
    """
    for hub in properties["iotHubs"]:
        if _is(hub, host_name):
            found: dict[str, Any] = hub
            return found
    raise CommandError(
        "hub-not-linked",
        f"No hub {host_name} is linked.",
        "See those that are: mooring dps hub list.",
        field="HOST_NAME",
    )


def _facts(hub: dict[str, Any]) -> dict[str, object]:
    return {
        "host name": hub["name"],
        "weight": hub["allocationWeight"],
        "in allocation": "yes" if hub["applyAllocationPolicy"] else "no",
        "linked by": "key" if hub.get("connectionString") else "name",
    }
