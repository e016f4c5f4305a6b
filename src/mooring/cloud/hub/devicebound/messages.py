"""A message as its sender gave it, checked, and as its device will get it."""

from __future__ import annotations

import re
from datetime import datetime

from mooring.cloud.hub.devicebound.errors import ExpiryInPast, MessageTooLarge
from mooring.cloud.hub.devicebound.model import (
    MAX_MESSAGE_BYTES,
    Ack,
    CloudToDeviceSettings,
    MessageDraft,
)
from mooring.cloud.hub.devicebound.store import NewMessage
from mooring.cloud.hub.errors import InputInvalid
from mooring.protocol.azure.errors import quoted
from mooring.protocol.azure.hub_topics import format_devicebound_topic
from mooring.protocol.azure.property_bag import (
    MAX_PROPERTIES,
    PropertyBag,
    format_property_bag,
    message_bytes,
)
from mooring.protocol.azure.timestamps import format_timestamp

ACK_PROPERTY = "iothub-ack"

MAX_ID_CHARS = 128
"""Message and correlation id (Azure: IoT Hub message format, 128 characters)."""

MAX_TOPIC_BYTES = 65_535
"""MQTT 3.1.1 §1.5.3: a topic carries the properties, and is no longer than this."""

SENDERS_SYSTEM_PROPERTIES = (
    "message-id",
    "correlation-id",
    "user-id",
    "content-type",
    "content-encoding",
    "creation-time",
)
"""What a sender may say of a message, besides expiry and ack."""

# Azure: IoT Hub message format, names of properties of cloud-to-device messages; so they also
# are names of HTTP headers (RFC 9110 §5.6.2).
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def new_message(
    device_id: str, draft: MessageDraft, *, settings: CloudToDeviceSettings, now: datetime
) -> NewMessage:
    """Return what is kept of `draft`.

    Raises:
        InputInvalid: A property that no message may have.
        ExpiryInPast: It expires before it is sent.
        MessageTooLarge: Body and properties exceed 64 KB, or fit into no MQTT topic.
    """
    _check_system(draft)
    _check_application(draft)
    if draft.expires_at is not None and draft.expires_at <= now:
        raise ExpiryInPast(
            f"expiryTimeUtc {format_timestamp(draft.expires_at)} is in the past.",
            "Give a time to come, or none for the hub's default.",
            field="expiryTimeUtc",
        )
    bag = _bag(device_id, draft)
    size = message_bytes(draft.body, bag)
    if size > MAX_MESSAGE_BYTES:
        raise MessageTooLarge(
            f"Body and properties have {size} bytes; {MAX_MESSAGE_BYTES} are allowed.",
            "Send less, or where the data can be had.",
            field="body",
        )
    if len(format_devicebound_topic(device_id, bag).encode()) > MAX_TOPIC_BYTES:
        raise MessageTooLarge(
            f"The properties need more than the {MAX_TOPIC_BYTES} bytes of an MQTT topic once "
            "they are percent-encoded.",
            "Put them into the body.",
            field="properties",
        )
    return NewMessage(
        enqueued_at=now,
        expires_at=draft.expires_at or now + settings.default_ttl,
        ack=draft.ack or Ack.NONE,
        message_id=draft.system.get("message-id"),
        properties=format_property_bag(bag),
        body=draft.body,
    )


def _bag(device_id: str, draft: MessageDraft) -> PropertyBag:
    """Return the properties in the order in which the hub writes them (iothub.md T5)."""
    system: dict[str, str | None] = {}
    if "message-id" in draft.system:
        system["message-id"] = draft.system["message-id"]
    # Mixed case, whatever the sender wrote (iothub.md 1.5).
    system["to"] = f"/devices/{device_id}/messages/deviceBound"
    if draft.expires_at is not None:
        system["absolute-expiry-time"] = format_timestamp(draft.expires_at)
    for name in SENDERS_SYSTEM_PROPERTIES:
        if name in draft.system:
            system[name] = draft.system[name]
    application: dict[str, str | None] = {}
    if draft.ack is not None:
        application[ACK_PROPERTY] = draft.ack.value
    return PropertyBag(system, application | dict(draft.application))


def _check_system(draft: MessageDraft) -> None:
    for name, value in draft.system.items():
        if name not in SENDERS_SYSTEM_PROPERTIES:
            raise InputInvalid(
                f"{quoted(name)} is not a system property that a sender sets.",
                f"Use {', '.join(SENDERS_SYSTEM_PROPERTIES)}, or a property of your own.",
                field=name,
            )
        if _CONTROL.search(value) or not _is_text(value):
            raise _bad_value(name)
        if name.endswith("-id") and len(value) > MAX_ID_CHARS:
            raise InputInvalid(
                f"{name} has {len(value)} characters; {MAX_ID_CHARS} are allowed.",
                "Use a shorter one.",
                field=name,
            )


def _check_application(draft: MessageDraft) -> None:
    if len(draft.application) + len(SENDERS_SYSTEM_PROPERTIES) + 3 > MAX_PROPERTIES:
        raise InputInvalid(
            f"The message has {len(draft.application)} properties, more than devices are sent.",
            "Put them into the body.",
            field="properties",
        )
    for name, value in draft.application.items():
        # "$." would be read as a system property, which the hub vouches for.
        if _NAME.fullmatch(name) is None or name.startswith("$.") or name == ACK_PROPERTY:
            raise InputInvalid(
                f"{quoted(name)} may not name a property.",
                "Use letters, digits and ! # $ % & ' * + - . ^ _ ` | ~, not $. at the start; "
                "feedback is asked for by ack.",
                field=f"properties.{name[:128]}",
            )
        if value is not None and (_CONTROL.search(value) or not _is_text(value)):
            raise _bad_value(f"properties.{name[:128]}")


def _bad_value(field: str) -> InputInvalid:
    return InputInvalid(
        f"{field} holds control characters or broken text.",
        "Send printable text; put anything else into the body.",
        field=field,
    )


def _is_text(value: str) -> bool:
    """Return whether there is UTF-8 for it: JSON may bring lone surrogates."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
