"""Bodies of requests. What is not named here is refused, so that no typing error goes unseen."""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from mooring.gateway.configuration.factories import AZURE_DPS_X509
from mooring.gateway.data.message import TelemetryMessage
from mooring.gateway.data.payload import KuraPayload, Metric, encode_payload
from mooring.gateway.errors import MessageMalformed, RequestMalformed
from mooring.runtime.clock import Clock

MAX_ID_LENGTH = 128
"""Characters of a message or correlation id. Azure: message format, 128 of ASCII."""

MAX_WAIT_S = 300.0
"""Longest a request may be kept waiting: above it, proxies give up."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class NewConnection(_Body):
    """A cloud connection to be created."""

    pid: str = Field(max_length=256)
    factory_pid: str = Field(default=AZURE_DPS_X509.pid, max_length=256)


class NewConfiguration(_Body):
    """Changed values by tab name and property id; null sets the default or removes a secret."""

    tabs: dict[str, dict[str, Any]]

    @field_validator("tabs")
    @classmethod
    def _check_names(cls, tabs: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """Refuse names that no answer could repeat: JSON can spell half a surrogate pair."""
        try:
            for name in (*tabs, *(name for values in tabs.values() for name in values)):
                name.encode()
        except UnicodeEncodeError:
            raise ValueError("a name holds half a character") from None
        return tabs


class NewTrust(_Body):
    """Certificates to be trusted, as PEM; kept under `name` if given."""

    certificate: str
    name: str | None = Field(default=None, max_length=128)


class NewMessage(_Body):
    """A message to publish: exactly one of `metrics`, `json`, `text` and `base64`.

    `metrics` becomes a KuraPayload document with the present as its time, as ESF sends it.
    """

    metrics: dict[str, bool | int | float | str] | None = None
    json_body: Any = Field(default=None, alias="json")
    text: str | None = None
    base64: str | None = None
    content_type: str | None = Field(default=None, max_length=256)
    content_encoding: str | None = Field(default=None, max_length=256)
    message_id: str | None = Field(default=None, max_length=MAX_ID_LENGTH)
    correlation_id: str | None = Field(default=None, max_length=MAX_ID_LENGTH)
    properties: dict[str, str] = {}
    timeout_s: float = Field(default=30.0, gt=0, le=MAX_WAIT_S)

    def to_message(self, clock: Clock) -> TelemetryMessage:
        """Return the message; one without an id gets one, so that duplicates can be told.

        Raises:
            RequestMalformed: Not exactly one body.
            MessageMalformed: The body cannot be encoded.
        """
        kinds = self.model_fields_set & {"metrics", "json_body", "text", "base64"}
        if len(kinds) != 1:
            raise RequestMalformed(
                f"The message has {len(kinds)} bodies.",
                "Give exactly one of metrics, json, text and base64.",
                field="body",
            )
        body, content_type, encoding = self._encode(kinds.pop(), clock)
        return TelemetryMessage(
            body,
            properties=self.properties,
            content_type=self.content_type or content_type,
            content_encoding=self.content_encoding or encoding,
            message_id=self.message_id or str(uuid.uuid4()),
            correlation_id=self.correlation_id,
        )

    def _encode(self, kind: str, clock: Clock) -> tuple[bytes, str, str | None]:
        """Return body, content type and encoding."""
        try:
            if kind == "metrics":
                metrics: dict[str, Metric] = dict(self.metrics or {})
                payload = KuraPayload(sent_on=clock.now(), metrics=metrics)
                return encode_payload(payload), "application/json", "utf-8"
            if kind == "json_body":
                text = json.dumps(self.json_body, ensure_ascii=False, allow_nan=False)
                return text.encode(), "application/json", "utf-8"
            if kind == "text":
                return (self.text or "").encode(), "text/plain", "utf-8"
            return (
                base64.b64decode(self.base64 or "", validate=True),
                "application/octet-stream",
                None,
            )
        except (binascii.Error, ValueError) as error:
            name = kind.removesuffix("_body")
            raise MessageMalformed(
                f"{name} cannot be sent: {error}.", "Correct the body.", field=name
            ) from error
