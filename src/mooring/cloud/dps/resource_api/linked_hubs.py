"""Linked hubs in the resource API: the member ``iotHubs`` of a provisioning service.

A hub is linked by a connection string with a key of one of its policies, as Azure's tools do, or
by its host name alone, as they do for managed identities: whoever may call this API may manage
the hub anyway.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mooring.cloud.accounts.errors import AccountError
from mooring.cloud.accounts.model import ResourceKind, Right
from mooring.cloud.accounts.service import AccountService
from mooring.cloud.api.errors import RequestRefused
from mooring.cloud.dps.model import LinkedHub
from mooring.cloud.resource_api.requests import (
    LOCATION,
)
from mooring.protocol.azure.connection_strings import ConnectionString, parse_connection_string
from mooring.protocol.azure.errors import ConnectionStringMalformed, quoted
from mooring.protocol.azure.json_documents import JsonValue
from mooring.protocol.azure.json_members import Members

MASK = "****"
"""What stands for a key in an answer; sent back, it means the key that linked the hub."""

NEEDED_RIGHT = Right.REGISTRY_WRITE
"""Azure: DPS makes devices with the key that it is given."""


def linked_hub_to_json(hub: LinkedHub) -> dict[str, JsonValue]:
    """Return a linked hub as Azure has it, its key masked."""
    document: dict[str, JsonValue] = {
        "name": hub.host_name,
        "hostName": hub.host_name,
        "location": LOCATION,
        "allocationWeight": hub.allocation_weight,
        "applyAllocationPolicy": hub.apply_allocation_policy,
    }
    if hub.key_name is None:
        document["authenticationType"] = "SystemAssigned"
    else:
        document["authenticationType"] = "KeyBased"
        document["connectionString"] = (
            f"HostName={hub.host_name};SharedAccessKeyName={hub.key_name};SharedAccessKey={MASK}"
        )
    return document


def read_linked_hubs(
    entries: Iterable[Members], linked: Sequence[LinkedHub], accounts: AccountService
) -> list[LinkedHub]:
    """Return the hubs that `entries` ask for, each with a key that opens it.

    Raises:
        RequestRefused: A hub without a name, or with a connection string that does not open it.
        PayloadMalformed: A member of the wrong type.
    """
    by_name = {hub.host_name: hub for hub in linked}
    return [_read(entry, by_name, accounts) for entry in entries]


def _read(entry: Members, linked: Mapping[str, LinkedHub], accounts: AccountService) -> LinkedHub:
    text = entry.text("connectionString")
    parts = ConnectionString() if not text else _parse(entry, text)
    named = entry.text("hostName") or entry.text("name")
    host_name = (parts.host_name or named or "").lower()
    if not host_name:
        raise RequestRefused(
            400,
            "hub-missing",
            f"{entry.field('connectionString')}: missing, and hostName too.",
            "Give the hub's connection string, or its host name.",
            field=entry.field("connectionString"),
        )
    if named and named.lower() != host_name:
        raise RequestRefused(
            400,
            "hub-named-differently",
            f"{entry.field('hostName')}: {quoted(named)}, but the connection string is for "
            f"{quoted(host_name)}.",
            "Leave one of them out, or make both the same.",
            field=entry.field("hostName"),
        )
    weight = entry.integer("allocationWeight")
    applies = entry.boolean("applyAllocationPolicy")
    return LinkedHub(
        host_name,
        1 if weight is None else weight,
        True if applies is None else applies,
        None if not text else _key_name(entry, parts, linked.get(host_name), accounts),
    )


def _parse(entry: Members, text: str) -> ConnectionString:
    field = entry.field("connectionString")
    try:
        parts = parse_connection_string(text)
    except ConnectionStringMalformed as error:
        raise _refused(field, error.code, error.message, error.remedy) from error
    if not parts.host_name or not parts.shared_access_key_name or not parts.shared_access_key:
        raise _refused(
            field,
            "connection-string-malformed",
            "it lacks HostName, SharedAccessKeyName or SharedAccessKey",
            "Copy the hub's connection string whole; 'mooring cloud info' shows it.",
        )
    return parts


def _key_name(
    entry: Members, parts: ConnectionString, present: LinkedHub | None, accounts: AccountService
) -> str:
    """Return the policy whose key links the hub."""
    assert parts.host_name is not None
    assert parts.shared_access_key_name is not None
    assert parts.shared_access_key is not None
    field = entry.field("connectionString")
    if not parts.shared_access_key.strip("*"):
        if present is None or present.key_name is None:
            raise _refused(
                field,
                "hub-key-masked",
                f"its key is masked, and hub {quoted(parts.host_name)} was not linked by a key",
                "Give the connection string with the key itself.",
            )
        return present.key_name
    try:
        policy = accounts.check_policy_key(
            ResourceKind.HUB,
            parts.host_name.lower(),
            parts.shared_access_key_name,
            parts.shared_access_key,
            needs=NEEDED_RIGHT,
        )
    except AccountError as error:
        raise _refused(field, error.code, error.message, error.remedy) from error
    return policy.name


def _refused(field: str, code: str, fault: str, remedy: str) -> RequestRefused:
    return RequestRefused(400, code, f"{field}: {fault}", remedy, field=field)
