"""`mooring hub policy`: shared access policies of a hub, for back ends and protocol gateways."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from mooring.cli.api import ApiClient
from mooring.cli.calls import CloudCall, command
from mooring.cli.dps_policy import PolicyName, WhichKey
from mooring.cli.hub_admin import HubOption, find_hub
from mooring.cli.output import CommandError
from mooring.cli.records import path_to

app = typer.Typer(
    no_args_is_help=True,
    help="Shared access policies: keys for Azure's service SDKs, with the rights they carry.",
)


class Right(StrEnum):
    """What a policy of a hub may let its holder do."""

    REGISTRY_READ = "RegistryRead"
    REGISTRY_WRITE = "RegistryWrite"
    SERVICE_CONNECT = "ServiceConnect"
    DEVICE_CONNECT = "DeviceConnect"


RightOption = Annotated[
    list[Right], typer.Option("--right", help="What it may do, again for each right.")
]


@command(app, "list")
def list_policies(call: CloudCall, hub: HubOption = None) -> None:
    """List the policies with their rights; their keys: `show`."""
    with call.api() as api:
        found = _policies(api, find_hub(api, hub))
    shown = [{"keyName": row["keyName"], "rights": row["rights"]} for row in found]
    call.show_table(
        shown, "policies", ("name", "rights"), lambda row: (row["keyName"], row["rights"])
    )


@command(app)
def show(call: CloudCall, name: PolicyName, hub: HubOption = None) -> None:
    """Show a policy with its keys and its connection string; for the owner token only."""
    with call.api() as api:
        owner = find_hub(api, hub)
        _show(call, owner, _find(api, owner, name))


@command(app)
def add(call: CloudCall, name: PolicyName, rights: RightOption, hub: HubOption = None) -> None:
    """Make a policy; its keys are made and shown."""
    with call.api() as api:
        owner = find_hub(api, hub)
        if any(_is(policy, name) for policy in _policies(api, owner)):
            raise CommandError(
                "policy-exists",
                f"There is a policy {name} already.",
                "Choose another name, or change its rights by `mooring hub policy set`.",
                field="NAME",
            )
        _show(call, owner, _put(api, owner, name, rights))


@command(app, "set")
def set_rights(
    call: CloudCall, name: PolicyName, rights: RightOption, hub: HubOption = None
) -> None:
    """Give a policy other rights; its keys stay."""
    with call.api() as api:
        owner = find_hub(api, hub)
        found = _find(api, owner, name)
        changed = _put(api, owner, found["keyName"], rights)
    call.say(
        {"keyName": changed["keyName"], "rights": changed["rights"]},
        f"{changed['keyName']} may do {changed['rights']}.",
    )


@command(app)
def delete(call: CloudCall, name: PolicyName, hub: HubOption = None) -> None:
    """Delete a policy; tokens signed by its keys are worthless from now on."""
    with call.api() as api:
        api.delete(path_to(_path(find_hub(api, hub)), name))
    call.say({"deleted": name}, f"deleted {name}.")


@command(app, "regenerate-key")
def regenerate_key(
    call: CloudCall,
    name: PolicyName,
    key: Annotated[WhichKey, typer.Option(help="Which one; the other goes on to work.")],
    hub: HubOption = None,
) -> None:
    """Put a new key in place of a policy's; tokens signed by the former are worthless then."""
    which = ("primary", "secondary") if key is WhichKey.BOTH else (key.value,)
    with call.api() as api:
        owner = find_hub(api, hub)
        for one in which:
            found = api.post_json(path_to(_path(owner), name, "regenerateKey"), {"key": one})
        _show(call, owner, found)


def _path(hub: dict[str, Any]) -> str:
    return path_to("hubs", hub["name"], "policies")


def _policies(api: ApiClient, hub: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get_json(_path(hub))["value"]
    return found


def _put(api: ApiClient, hub: dict[str, Any], name: str, rights: list[Right]) -> dict[str, Any]:
    body = {"rights": ", ".join(dict.fromkeys(rights))}
    put: dict[str, Any] = api.put_json(path_to(_path(hub), name), body)
    return put


def _is(policy: dict[str, Any], name: str) -> bool:
    return str(policy["keyName"]).lower() == name.lower()


def _find(api: ApiClient, hub: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the policy of that name.

    Raises:
        CommandError: There is none.
    """
    for policy in _policies(api, hub):
        if _is(policy, name):
            return policy
    raise CommandError(
        "policy-not-found",
        f"There is no policy {name}.",
        "See those that there are: mooring hub policy list.",
        field="NAME",
    )


def _show(call: CloudCall, hub: dict[str, Any], found: dict[str, Any]) -> None:
    from mooring.protocol.azure.connection_strings import (
        ConnectionString,
        format_connection_string,
    )

    connection_string = format_connection_string(
        ConnectionString(
            host_name=hub["hostName"],
            shared_access_key_name=found["keyName"],
            shared_access_key=found["primaryKey"],
        )
    )
    call.show(
        found,
        lambda policy: {
            "name": policy["keyName"],
            "rights": policy["rights"],
            "primary key": policy["primaryKey"],
            "secondary key": policy["secondaryKey"],
            "connection string": connection_string,
        },
    )
