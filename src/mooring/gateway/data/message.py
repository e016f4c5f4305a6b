"""A message on its way to a hub, checked before anything is queued."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mooring.gateway.configuration.showing import shown
from mooring.gateway.errors import MessageMalformed, MessageTooLarge
from mooring.protocol.azure.hub_topics import format_telemetry_topic
from mooring.protocol.azure.property_bag import MAX_PROPERTIES, PropertyBag

MAX_MESSAGE_BYTES = 256 * 1024
"""Azure: a device-to-cloud message, body and properties together; the hub closes on more."""

MAX_TOPIC_BYTES = 65_535
"""MQTT 3.1.1 §1.5.3: a topic's length is two bytes. Properties travel in it."""


@dataclass(frozen=True, slots=True)
class TelemetryMessage:
    """One device-to-cloud message.

    `properties` are the application's own; the others are Azure's system properties.
    """

    body: bytes = field(repr=False)
    properties: Mapping[str, str] = field(default_factory=dict)
    content_type: str | None = None
    content_encoding: str | None = None
    message_id: str | None = None
    correlation_id: str | None = None

    @property
    def bag(self) -> PropertyBag:
        """Return all properties as they go into the topic."""
        system = {
            "message-id": self.message_id,
            "correlation-id": self.correlation_id,
            "content-type": self.content_type,
            "content-encoding": self.content_encoding,
        }
        return PropertyBag(
            system={name: value for name, value in system.items() if value is not None},
            application=dict(self.properties),
        )

    def check(self) -> None:
        """Refuse what a hub would answer by closing the connection.

        Raises:
            MessageMalformed, MessageTooLarge: With the fault and the remedy.
        """
        if len(self.properties) > MAX_PROPERTIES:
            raise MessageMalformed(
                f"The message has {len(self.properties)} properties.",
                f"Use at most {MAX_PROPERTIES}.",
                field="properties",
            )
        for key in self.properties:
            if not key or not key.isprintable() or key.startswith("$"):
                raise MessageMalformed(
                    f"The property {shown(key)} cannot be sent.",
                    "Use a name of printable characters that does not begin with '$'.",
                    field="properties",
                )
        texts = [*self.bag.system.values(), *self.properties, *self.properties.values()]
        try:
            property_bytes = sum(len(text.encode()) for text in texts if text is not None)
        except UnicodeEncodeError:
            raise MessageMalformed(
                "A property holds half a character.", "Type it again.", field="properties"
            ) from None
        size = len(self.body) + property_bytes
        if size > MAX_MESSAGE_BYTES:
            raise MessageTooLarge(
                f"The message has {size} bytes, its properties included.",
                f"A hub takes at most {MAX_MESSAGE_BYTES}; send several smaller messages.",
                field="body",
            )
        # A device id has at most 128 characters, and no topic is made before it is known.
        if len(format_telemetry_topic("d" * 128, self.bag).encode()) > MAX_TOPIC_BYTES:
            raise MessageTooLarge(
                "The message's properties, percent-encoded, do not fit into an MQTT topic.",
                f"Keep them below {MAX_TOPIC_BYTES} bytes together.",
                field="properties",
            )
