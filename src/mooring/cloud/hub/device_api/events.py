"""Events as devices post them: one message, or many in one JSON document."""

from __future__ import annotations

import base64
import binascii

from starlette.datastructures import Headers

from mooring.cloud.hub.device_api.properties import bag_of_headers, bag_of_members
from mooring.cloud.hub.devicebound.errors import MessageTooLarge
from mooring.cloud.hub.errors import InputInvalid
from mooring.cloud.hub.model import TelemetryMessage
from mooring.protocol.azure.error_codes import HubErrorCode
from mooring.protocol.azure.json_documents import decode_json
from mooring.protocol.azure.json_members import Members
from mooring.protocol.azure.property_bag import (
    PropertyBag,
    format_property_bag,
    message_bytes,
    parse_property_bag,
)
from mooring.protocol.mqtt.limits import MAX_MESSAGE_BYTES, MAX_TOPIC_BYTES

BATCH_MEDIA_TYPE = "application/vnd.microsoft.iothub.json"

MAX_BATCH_BODY_BYTES = 1024 * 1024
"""A batch as JSON: 256 KB in base64 with properties, twice over."""

MAX_BATCH_MESSAGES = 2_000
"""Messages of one batch: what the telemetry log takes to the disk at one time."""


def is_batch(headers: Headers) -> bool:
    """Return whether the body is many messages in one JSON document."""
    return headers.get("content-type", "").partition(";")[0].strip().lower() == BATCH_MEDIA_TYPE


def read_events(headers: Headers, body: bytes) -> list[TelemetryMessage]:
    """Return the messages of a request.

    Raises:
        MessageTooLarge: They are more than 256 KB together (Azure: of one message as of a batch).
        InputInvalid: A message of a batch cannot be read; names it.
        AzureError: A batch is no JSON, or a member has the wrong type.
    """
    found = _read_batch(body) if is_batch(headers) else [(body, bag_of_headers(headers))]
    size = sum(message_bytes(payload, bag) for payload, bag in found)
    if size > MAX_MESSAGE_BYTES:
        raise MessageTooLarge(
            f"body and properties have {size} bytes; {MAX_MESSAGE_BYTES} are allowed.",
            "Send less at one time.",
            field="body",
        )
    return [TelemetryMessage(_properties(bag), payload) for payload, bag in found]


def _read_batch(body: bytes) -> list[tuple[bytes, PropertyBag]]:
    document = decode_json(body, max_bytes=MAX_BATCH_BODY_BYTES)
    if not isinstance(document, list) or not document:
        raise InputInvalid(
            "body: no array of messages.",
            'Send [{"body": "<base64>", "properties": {"iothub-app-name": "value"}}].',
            field="body",
            error_code=HubErrorCode.DESERIALIZATION_ERROR,
        )
    if len(document) > MAX_BATCH_MESSAGES:
        raise MessageTooLarge(
            f"the batch has {len(document)} messages; {MAX_BATCH_MESSAGES} are allowed.",
            "Send fewer at one time.",
            field="body",
        )
    found = []
    for number, item in enumerate(document):
        where = f"[{number}]"
        if not isinstance(item, dict):
            raise InputInvalid(
                f"{where}: no JSON object.",
                'Send {"body": "<base64>"} for each message.',
                field=where,
                error_code=HubErrorCode.DESERIALIZATION_ERROR,
            )
        members = Members(item, where)
        properties = members.mapping("properties") or {}
        for name, value in properties.items():
            if not isinstance(value, str | None):
                raise InputInvalid(
                    f"{where}.properties.{name[:128]}: no text.",
                    "Send properties as texts.",
                    field=f"{where}.properties.{name[:128]}",
                )
        found.append((_payload(members), bag_of_members(properties)))  # type: ignore[arg-type]  # checked above
    return found


def _payload(members: Members) -> bytes:
    text = members.text("body") or ""
    # The C SDK sends text as text, and says so.
    if members.boolean("base64Encoded") is False:
        return text.encode()
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputInvalid(
            f"{members.field('body')}: no base64.",
            'Encode the body with padding, or say "base64Encoded": false.',
            field=members.field("body"),
        ) from error


def _properties(bag: PropertyBag) -> str:
    text = format_property_bag(bag)
    # What MQTT could not bring is not stored either: every reader relies on that bound.
    if len(text) > MAX_TOPIC_BYTES:
        raise MessageTooLarge(
            f"the properties have {len(text)} bytes once they are percent-encoded; "
            f"{MAX_TOPIC_BYTES} are allowed.",
            "Put them into the body.",
            field="properties",
        )
    parse_property_bag(text)  # refuses names and numbers of properties that readers would
    return text
