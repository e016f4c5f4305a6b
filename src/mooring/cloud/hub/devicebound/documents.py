"""Cloud-to-device messages and feedback as JSON.

Feedback is spelled as Azure spells it (iothub.md 4.3). A message as back ends send it has no JSON
of Azure's; here its members are named as those of Azure's service SDKs.
"""

from __future__ import annotations

import base64
import binascii
import uuid
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

from mooring.cloud.hub.devicebound.model import (
    Ack,
    FeedbackRecord,
    MessageDraft,
    MessageState,
    QueuedMessage,
)
from mooring.cloud.hub.documents import readable_message
from mooring.cloud.hub.errors import InputInvalid
from mooring.protocol.azure.json_documents import encode_json
from mooring.protocol.azure.timestamps import format_timestamp, parse_timestamp


class _Document(BaseModel):
    # A misspelt property would be lost without a word, and nothing of Azure's is to be taken here.
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)


class SystemPropertiesBody(_Document):
    """What the hub knows of a message."""

    message_id: str | None = Field(default=None, description="Made when missing; in the feedback.")
    correlation_id: str | None = None
    user_id: str | None = None
    content_type: str | None = None
    content_encoding: str | None = None
    creation_time_utc: str | None = None
    expiry_time_utc: str | None = Field(
        default=None, description="ISO 8601 with a zone; the hub's default life when missing."
    )
    ack: Ack | None = Field(
        default=None, description="Which feedback is wanted; none when missing."
    )


class MessageBody(_Document):
    """A cloud-to-device message: `body` or `bodyBase64`, or neither for an empty one."""

    body: JsonValue = Field(
        default=None, description="A text is sent as it is, in UTF-8; any other value as its JSON."
    )
    body_base64: str | None = Field(default=None, description="Any bytes, in base64.")
    properties: dict[str, str | None] = Field(
        default_factory=dict, description="The sender's own; null for a name without a value."
    )
    system_properties: SystemPropertiesBody = SystemPropertiesBody()

    def to_draft(self) -> MessageDraft:
        """Return the message to send.

        Raises:
            InputInvalid: Two bodies, or no base64.
            mooring.protocol.azure.errors.TimestampMalformed: The expiry is no time.
        """
        given = self.system_properties
        system = {
            "message-id": str(uuid.uuid4()) if given.message_id is None else given.message_id,
            "correlation-id": given.correlation_id,
            "user-id": given.user_id,
            "content-type": given.content_type,
            "content-encoding": given.content_encoding,
            "creation-time": given.creation_time_utc,
        }
        expiry = given.expiry_time_utc
        return MessageDraft(
            body=self._bytes(),
            system={name: value for name, value in system.items() if value is not None},
            application=self.properties,
            expires_at=None
            if expiry is None
            else parse_timestamp(expiry, field="systemProperties.expiryTimeUtc"),
            ack=given.ack,
        )

    def _bytes(self) -> bytes:
        has_body = "body" in self.model_fields_set
        if self.body_base64 is None:
            if not has_body:
                return b""
            return self.body.encode() if isinstance(self.body, str) else encode_json(self.body)
        if has_body:
            raise InputInvalid(
                "body and bodyBase64 are both given.", "Give one of them.", field="body"
            )
        try:
            return base64.b64decode(self.body_base64, validate=True)
        except (binascii.Error, ValueError) as error:
            raise InputInvalid(
                "bodyBase64 is no base64.", "Encode the body with padding.", field="bodyBase64"
            ) from error


def message_to_json(message: QueuedMessage, state: MessageState) -> dict[str, Any]:
    """Return a message of a queue; `encoding` says how `body` is to be read."""
    shown = readable_message(message.properties, message.body)
    return {
        "sequenceNumber": message.sequence_number,
        "state": state.value,
        "enqueuedTimeUtc": format_timestamp(message.enqueued_at),
        "expiryTimeUtc": format_timestamp(message.expires_at),
        "deliveryCount": message.delivery_count,
        "ack": message.ack.value,
        **shown,
    }


def feedback_to_json(record: FeedbackRecord) -> dict[str, Any]:
    """Return a feedback record."""
    return {
        "originalMessageId": record.original_message_id,
        "enqueuedTimeUtc": format_timestamp(record.enqueued_at),
        "statusCode": record.status.value,
        "description": record.status.value,
        "deviceId": record.device_id,
        "deviceGenerationId": record.device_generation_id,
    }
