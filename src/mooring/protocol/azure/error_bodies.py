"""The JSON body of an error: DPS on every surface, a hub on MQTT and in its two HTTPS shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from mooring.protocol.azure.error_codes import STATUS_FACTOR
from mooring.protocol.azure.json_documents import JsonValue, decode_object, encode_json
from mooring.protocol.azure.json_members import Members
from mooring.protocol.azure.timestamps import format_timestamp

MAX_ERROR_BODY_BYTES = 64 * 1024
"""An error body is a few hundred bytes; a proxy's HTML page fits, a flood does not."""


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What went wrong at the service; None where a peer did not say.

    `tracking_id` is what the vendor's support, or the other side's attempt record, goes by.
    """

    error_code: int | None
    message: str
    tracking_id: str | None = None
    timestamp_utc: datetime | None = None
    info: Mapping[str, str] = field(default_factory=dict)

    @property
    def http_status(self) -> int | None:
        """The HTTP status that the number implies, or None without a number."""
        return None if self.error_code is None else self.error_code // STATUS_FACTOR


def encode_error_body(body: ErrorBody) -> bytes:
    """Return `body` as pure ASCII JSON; members without a value are left out.

    Raises:
        ValueError: The time is naive.
    """
    document: dict[str, JsonValue] = {}
    if body.error_code is not None:
        document["errorCode"] = int(body.error_code)
    if body.tracking_id is not None:
        document["trackingId"] = body.tracking_id
    document["message"] = body.message
    if body.info:
        document["info"] = dict(body.info)
    if body.timestamp_utc is not None:
        document["timestampUtc"] = format_timestamp(body.timestamp_utc)
    return encode_json(document)


def encode_registry_error(body: ErrorBody, name: str) -> bytes:
    """Return the shape in which a hub answers about devices, queries, messages and jobs.

    ``{"Message": "ErrorCode:{name};{text}", "ExceptionMessage": "Tracking ID:…"}``: .NET takes
    the name from the first piece before ``;``, Node tells a missing device from a missing path
    by it (iothub.md 3.9). `name` is the code's wire name.
    """
    return encode_json(
        {
            "Message": f"ErrorCode:{name};{body.message}",
            "ExceptionMessage": f"Tracking ID:{_stamped(body)}",
        }
    )


def encode_twin_error(body: ErrorBody) -> bytes:
    """Return the shape in which a hub answers about twins and methods: JSON in a JSON text.

    iothub.md 3.9; .NET reads the number from the inner document.
    """
    inner = encode_error_body(replace(body, tracking_id=_stamped(body))).decode()
    return encode_json({"Message": inner, "ExceptionMessage": ""})


def _stamped(body: ErrorBody) -> str:
    """Return the tracking id with the time in it, as a hub writes it."""
    if body.timestamp_utc is None:
        return body.tracking_id or ""
    at = body.timestamp_utc.astimezone(UTC)
    return f"{body.tracking_id}-TimeStamp:{at:%m/%d/%Y %H:%M:%S}"


def decode_error_body(data: bytes) -> ErrorBody:
    """Return what an error body says, in either of the two shapes that Azure's front ends use.

    The second is ``{"Message": "ErrorCode:…;…", "ExceptionMessage": "Tracking ID:…"}``; its
    texts become `message` and `tracking_id`.

    Raises:
        PayloadMalformed: Not a JSON object, or a member of the wrong type.
        TimestampMalformed: The time cannot be read.
    """
    members = Members(decode_object(data, max_bytes=MAX_ERROR_BODY_BYTES))
    second_shape = members.text("Message")
    if second_shape is not None:
        tracking = members.text("ExceptionMessage") or ""
        return ErrorBody(
            error_code=None,
            message=second_shape,
            tracking_id=tracking.removeprefix("Tracking ID:").strip() or None,
        )
    info = members.mapping("info") or {}
    return ErrorBody(
        error_code=members.integer("errorCode"),
        message=members.text("message") or "",
        tracking_id=members.text("trackingId"),
        timestamp_utc=members.timestamp("timestampUtc"),
        # Azure: string to string; anything else in it is only for reading, so it is spelled out.
        info={
            key: value if isinstance(value, str) else encode_json(value).decode()
            for key, value in info.items()
        },
    )
