"""`mooring dps policy`: shared access policies, for clients of the service API."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from mooring.cli.azure_api import AzureApi
from mooring.cli.calls import DpsCall, command
from mooring.cli.dps_resource import Properties, change_service
from mooring.cli.output import CommandError

app = typer.Typer(
    no_args_is_help=True,
    help="Shared access policies: keys for Azure's service SDKs, with the rights they carry.",
)

KEY_BYTES = 32
"""As those that the cloud makes itself."""

PolicyName = Annotated[str, typer.Argument(help="Its name.", metavar="NAME")]


class Right(StrEnum):
    """What a policy may let its holder do."""

    SERVICE_CONFIG = "ServiceConfig"
    ENROLLMENT_READ = "EnrollmentRead"
    ENROLLMENT_WRITE = "EnrollmentWrite"
    REGISTRATION_STATUS_READ = "RegistrationStatusRead"
    REGISTRATION_STATUS_WRITE = "RegistrationStatusWrite"
    DEVICE_CONNECT = "DeviceConnect"


class WhichKey(StrEnum):
    """One of a policy's two keys, or both."""

    PRIMARY = "primary"
    SECONDARY = "secondary"
    BOTH = "both"


_MEMBERS = {
    WhichKey.PRIMARY: ("primaryKey",),
    WhichKey.SECONDARY: ("secondaryKey",),
    WhichKey.BOTH: ("primaryKey", "secondaryKey"),
}


@command(app, "list")
def list_policies(call: DpsCall) -> None:
    """List the policies with their rights; their keys: `show`."""
    with call.api() as api:
        found = api.get_json(api.resource())["properties"]["authorizationPolicies"]
    call.show_table(
        found, "policies", ("name", "rights"), lambda row: (row["keyName"], row["rights"])
    )


@command(app)
def show(call: DpsCall, name: PolicyName) -> None:
    """Show a policy with its keys and its connection string; for the owner token only."""
    with call.api() as api:
        _show(call, api, name)


@command(app)
def add(
    call: DpsCall,
    name: PolicyName,
    rights: Annotated[
        list[Right], typer.Option("--right", help="What it may do, again for each right.")
    ],
) -> None:
    """Make a policy; its keys are made and shown."""

    def wanted(properties: Properties) -> Properties:
        policies = properties["authorizationPolicies"]
        if any(_is(policy, name) for policy in policies):
            raise CommandError(
                "policy-exists",
                f"There is a policy {name} already.",
                "Choose another name, or delete that first.",
                field="NAME",
            )
        return {"authorizationPolicies": [*policies, _policy(name, rights)]}

    with call.api() as api:
        change_service(api, wanted)
        _show(call, api, name)


@command(app)
def delete(call: DpsCall, name: PolicyName) -> None:
    """Delete a policy; tokens signed by its keys are worthless from now on."""

    def wanted(properties: Properties) -> Properties:
        policies = properties["authorizationPolicies"]
        gone = _find(policies, name)
        kept = [policy for policy in policies if policy is not gone]
        if not kept:
            # Azure: an empty list means that the policies are not to be changed.
            raise CommandError(
                "last-policy",
                f"{name} is the only policy.",
                "To shut its holders out, give it new keys: mooring dps policy regenerate-key "
                f"{name} --key both.",
                field="NAME",
            )
        return {"authorizationPolicies": kept}

    with call.api() as api:
        change_service(api, wanted)
    call.say({"deleted": name}, f"deleted {name}.")


@command(app, "regenerate-key")
def regenerate_key(
    call: DpsCall,
    name: PolicyName,
    key: Annotated[WhichKey, typer.Option(help="Which one; the other goes on to work.")],
) -> None:
    """Put a new key in place of a policy's; tokens signed by the former are worthless then."""
    import secrets

    from mooring.protocol.azure.sas import encode_key

    def wanted(properties: Properties) -> Properties:
        policies = properties["authorizationPolicies"]
        policy = _find(policies, name)
        for member in _MEMBERS[key]:
            policy[member] = encode_key(secrets.token_bytes(KEY_BYTES))
        return {"authorizationPolicies": policies}

    with call.api() as api:
        change_service(api, wanted)
        _show(call, api, name)


def _policy(name: str, rights: Sequence[Right]) -> dict[str, Any]:
    return {"keyName": name, "rights": ", ".join(dict.fromkeys(rights))}


def _is(policy: dict[str, Any], name: str) -> bool:
    return str(policy["keyName"]).lower() == name.lower()


def _find(policies: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    """Return the policy of that name.

    Raises:
        CommandError: There is none.
    """
    for policy in policies:
        if _is(policy, name):
            return policy
    raise CommandError(
        "policy-not-found",
        f"There is no policy {name}.",
        "See those that there are: mooring dps policy list.",
        field="NAME",
    )


def _show(call: DpsCall, api: AzureApi, name: str) -> None:
    from mooring.protocol.azure.connection_strings import (
        ConnectionString,
        format_connection_string,
    )

    found = api.post_json(api.resource("keys", name, "listkeys"))
    host_name = api.get_json(api.resource())["properties"]["serviceOperationsHostName"]
    connection_string = format_connection_string(
        ConnectionString(
            host_name=host_name,
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
