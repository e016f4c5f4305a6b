"""What an operation of the service API is given, and what it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from mooring.cloud.accounts.model import Right
from mooring.cloud.api.body_limit import MAX_BODY_BYTES
from mooring.cloud.api.context import CloudServices
from mooring.cloud.api.hub_errors import ErrorShape
from mooring.cloud.api.validation import first_fault
from mooring.cloud.hub.errors import HubError, InputInvalid
from mooring.cloud.hub.model import Hub
from mooring.cloud.hub.throttling.model import HubLimit
from mooring.cloud.hub.throttling.service import HubThrottle
from mooring.protocol.azure.api_versions import is_api_version
from mooring.protocol.azure.error_codes import HubErrorCode
from mooring.protocol.azure.errors import quoted
from mooring.protocol.azure.json_documents import (
    JsonObject,
    JsonValue,
    decode_json,
    decode_object,
)
from mooring.runtime.aside import read_body

MAX_COUNT_DIGITS = 9
"""Of a number of items that a caller asks for; what is beyond the most gets that many."""

Body = TypeVar("Body", bound=BaseModel)
T = TypeVar("T")


class MediaTypeUnsupported(HubError):
    """The body says that it is something else than JSON."""

    code = "media-type-unsupported"
    error_code = HubErrorCode.MEDIA_TYPE_UNSUPPORTED


class ApiVersionInvalid(HubError):
    """The request names no version of the API."""

    code = "api-version-invalid"
    error_code = HubErrorCode.INVALID_PROTOCOL_VERSION


class NotImplementedHere(HubError):
    """Azure's hubs have this operation, Mooring's do not."""

    code = "not-implemented"
    error_code = HubErrorCode.NOT_IMPLEMENTED


@dataclass(frozen=True, slots=True)
class ServiceRequest:
    """A request to a hub whose caller may make it.

    `ids` holds the variable parts of the path, decoded; `parameters` the query's. `headers` has
    lower-case names. `body` is JSON by its Content-Type, or empty; it is as it came.
    """

    services: CloudServices
    hub: Hub
    ids: Mapping[str, str]
    parameters: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = field(default=b"", repr=False)

    @property
    def throttle(self) -> HubThrottle:
        """Return what counts the hub's operations."""
        return self.services.hub.throttling.of(self.hub)

    @property
    def if_match(self) -> str | None:
        """Return the etag that the record must have; ``*`` for any."""
        return self.headers.get("if-match") or None

    async def reading(self, read: Callable[[], T]) -> T:
        """Return what `read` makes of the body; no device waits for a large one."""
        return await read_body(read, len(self.body))

    def document(self, model: type[Body]) -> Body:
        """Return the body as `model`.

        Raises:
            InputInvalid: There is none, or a member is missing or has a wrong type; names it.
            AzureError: The body is no JSON object.
        """
        self._need_body()
        return read_document(model, decode_object(self.body, max_bytes=MAX_BODY_BYTES))

    def json_object(self) -> JsonObject:
        """Return the body, a JSON object as it is. Raises InputInvalid, AzureError."""
        self._need_body()
        return decode_object(self.body, max_bytes=MAX_BODY_BYTES)

    def value(self) -> JsonValue:
        """Return the body, any JSON. Raises InputInvalid, AzureError."""
        self._need_body()
        return decode_json(self.body, max_bytes=MAX_BODY_BYTES)

    def count(self, name: str, given: str | None, *, most: int) -> int | None:
        """Return how many items a header or parameter `name` asks for; None where it is absent.

        Raises:
            InputInvalid: It is no whole number from 1 on.
        """
        text = (given or "").strip()
        if not text:
            return None
        if not (text.isascii() and text.isdecimal()) or not int(text[:MAX_COUNT_DIGITS]):
            raise InputInvalid(
                f"{name}: {quoted(text)} is no number of items.",
                f"Send a whole number from 1 to {most}, or leave it out.",
                field=name,
            )
        return most if len(text) > MAX_COUNT_DIGITS else min(int(text), most)

    def _need_body(self) -> None:
        if not self.body.strip():
            raise InputInvalid(
                "body: empty.",
                "Send the document as JSON.",
                field="body",
                error_code=HubErrorCode.ARGUMENT_NULL,
            )


@dataclass(frozen=True, slots=True)
class ServiceAnswer:
    """An answer with a JSON document; without one (`document` None and `status` 204) it is empty.

    `headers` are added to those that every answer has. `encoded` is a document that was made JSON
    already, where no device waits for it; it stands for `document`.
    """

    document: JsonValue = None
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200
    encoded: bytes | None = None


def no_content() -> ServiceAnswer:
    """Return the answer 204."""
    return ServiceAnswer(status=204)


Handler = Callable[[ServiceRequest], Awaitable[ServiceAnswer]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation.

    `path` is spelled as Azure's specification has it, ``{…}`` for the variable parts. `right` is
    what a shared access policy must hold; None where nobody need prove anything. `shape` is that
    of its errors. `limit` is the rate that it counts for, None for none.
    """

    method: str
    path: str
    right: Right | None
    handler: Handler
    shape: ErrorShape = ErrorShape.REGISTRY
    limit: HubLimit | None = None


def read_document(model: type[Body], document: JsonValue, *, where: str = "") -> Body:
    """Return a JSON object as `model`; `where` it stands in the body is put before its fields.

    Raises:
        InputInvalid: A member is missing or has a wrong type; names it.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        fault = first_fault(error, where)
        raise InputInvalid(fault.message, fault.remedy, field=fault.field) from None


def check_api_version(given: Sequence[str]) -> None:
    """Return if there is an api-version. Raises ApiVersionInvalid."""
    if given and is_api_version(given[-1]):
        return
    raise ApiVersionInvalid(
        f"api-version: {quoted(given[-1])} is not a version of this API."
        if given
        else "api-version: missing.",
        "Send a date, perhaps with -preview: ?api-version=2021-04-12.",
        field="api-version",
    )
