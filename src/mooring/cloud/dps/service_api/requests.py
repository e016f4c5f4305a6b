"""What an operation of the service API is given, and what it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import ValidationError

from mooring.cloud.accounts.model import Right
from mooring.cloud.api.body_limit import MAX_BODY_BYTES
from mooring.cloud.api.context import CloudServices
from mooring.cloud.api.validation import first_fault
from mooring.cloud.dps.documents.base import Document
from mooring.cloud.dps.errors import DpsError, InputInvalid
from mooring.protocol.azure.error_codes import DpsErrorCode
from mooring.protocol.azure.json_documents import JsonObject, decode_object

FIRST_WITH_HUB_LISTS = "2018-09-01-preview"
"""The api-version that brought ``iotHubs`` and allocation policies."""

Body = TypeVar("Body", bound=Document)


class MediaTypeUnsupported(DpsError):
    """The body says that it is something else than JSON."""

    code = "media-type-unsupported"
    error_code = DpsErrorCode.MEDIA_TYPE_UNSUPPORTED


@dataclass(frozen=True, slots=True)
class ServiceRequest:
    """A request whose caller may make it.

    `ids` holds the variable parts of the path. `headers` has lower-case names. `body` is JSON by
    its Content-Type, or empty; it is as it came.
    """

    services: CloudServices
    ids: Mapping[str, str]
    headers: Mapping[str, str]
    api_version: str
    body: bytes = field(default=b"", repr=False)

    @property
    def if_match(self) -> str | None:
        """Return the etag that the record must have; ``*`` for any."""
        return self.headers.get("if-match") or None

    def document(self, model: type[Body]) -> Body:
        """Return the body as `model`.

        Raises:
            InputInvalid: A member is missing or has a wrong type; names it.
            AzureError: The body is no JSON object.
        """
        if not self.body.strip():
            raise InputInvalid(
                "body: empty.", "Send the document as JSON.", field="body", code="body-missing"
            )
        return read_document(model, decode_object(self.body, max_bytes=MAX_BODY_BYTES))


@dataclass(frozen=True, slots=True)
class ServiceAnswer:
    """A successful answer; without a document it is 204."""

    document: JsonObject | Sequence[JsonObject] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[ServiceRequest], Awaitable[ServiceAnswer]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation, by the name it has in Azure's specification of the service API.

    `path` is spelled as there, ``{…}`` for the variable parts; `right` is what a shared access
    policy must hold.
    """

    name: str
    method: str
    path: str
    right: Right
    handler: Handler


def for_version(document: dict[str, Any], api_version: str) -> dict[str, Any]:
    """Return an enrollment or group as a client of `api_version` can send it back.

    A client from before ``iotHubs`` knows a static hub by ``iotHubHostName`` only, and would
    take the hub away with the first change of anything else.
    """
    hubs = document.get("iotHubs", [])
    if api_version < FIRST_WITH_HUB_LISTS and len(hubs) == 1:
        return {**document, "iotHubHostName": hubs[0]}
    return document


def read_document(model: type[Body], document: Mapping[str, Any], *, where: str = "") -> Body:
    """Return a JSON object as `model`; `where` it stands in the body is put before its fields.

    Raises:
        InputInvalid: A member is missing or has a wrong type; names it.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        fault = first_fault(error, where)
        raise InputInvalid(fault.message, fault.remedy, field=fault.field) from None
