"""What an operation of the resource API is given, and what it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from mooring.cloud.accounts.model import Principal
from mooring.cloud.api.body_limit import MAX_BODY_BYTES
from mooring.cloud.api.context import CloudServices
from mooring.cloud.api.errors import RequestRefused
from mooring.protocol.azure.json_documents import JsonObject, decode_object
from mooring.protocol.azure.json_members import Members

SUBSCRIPTION = "/subscriptions/{subscriptionId}"
PROVIDER = "/providers/Microsoft.Devices"

DEFAULT_RESOURCE_GROUP = "mooring"
"""Shown where a path names no resource group."""

LOCATION = "local"
"""Where everything is; a location that is sent is not kept."""


@dataclass(frozen=True, slots=True)
class ResourceRequest:
    """A request whose caller may make it.

    `path` holds the variable parts of the path by Azure's names. `body` is as it came.
    """

    services: CloudServices
    caller: Principal
    path: Mapping[str, str]
    body: bytes = field(default=b"", repr=False)
    if_match: str | None = None
    if_none_match: str | None = None

    @property
    def resource_group(self) -> str:
        """Return the resource group in the path, or the default."""
        return self.path.get("resourceGroupName", DEFAULT_RESOURCE_GROUP)

    def document(self) -> Members:
        """Return the body as a JSON object.

        Raises:
            AzureError: It is none.
        """
        return Members(decode_object(self.body, max_bytes=MAX_BODY_BYTES))

    def required_if_match(self) -> str:
        """Return the If-Match header.

        Raises:
            RequestRefused: 400, there is none.
        """
        if not self.if_match:
            raise RequestRefused(
                400,
                "if-match-missing",
                "If-Match: the header is missing.",
                "Send the etag that was read last, or * for any version.",
                field="If-Match",
            )
        return self.if_match


@dataclass(frozen=True, slots=True)
class ResourceAnswer:
    """A successful answer; `etag` goes into the header of that name."""

    document: JsonObject | None = None
    status: int = 200
    etag: str | None = None


Handler = Callable[[ResourceRequest], Awaitable[ResourceAnswer]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation, by the name it has in Azure's specification of the resource API.

    `handler` is None where this cloud does not offer it. With `any_name` the handler itself
    looks at the name of the resource in the path.
    """

    name: str
    method: str
    path: str
    handler: Handler | None
    any_name: bool = False
