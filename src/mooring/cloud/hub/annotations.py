"""What the hub itself says of a message: the annotations that readers of the log see.

Azure: "Read device-to-cloud messages from the built-in endpoint"; names as on AMQP.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from mooring.cloud.hub.model import AuthenticationType, TelemetryEvent
from mooring.cloud.hub.settings.model import EventSource
from mooring.protocol.azure.property_bag import PropertyBag

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_DEVICES_OWN = ("dt-subject", "iothub-interface-id")
"""Properties that a device says of its message, and that readers find among the annotations."""

_HUBS_OWN = frozenset({"to", "connection-device-id", "connection-module-id", *_DEVICES_OWN})
"""Properties that are the hub's to say: those of a device are not passed on as such."""

_TYPES = {AuthenticationType.SAS.value: ("sas", "iothub")}
_CERTIFICATE = ("x509Certificate", "external")


def annotations_of(event: TelemetryEvent, bag: PropertyBag) -> dict[str, str | int]:
    """Return the annotations of a message whose properties are `bag`; times in ms since 1970."""
    origin = event.origin
    enqueued_ms = (event.enqueued_at - _EPOCH) // timedelta(milliseconds=1)
    annotations: dict[str, str | int] = {
        "x-opt-sequence-number": event.sequence_number,
        "x-opt-offset": str(event.offset),
        "x-opt-enqueued-time": enqueued_ms,
        "iothub-connection-device-id": event.device_id,
    }
    if "module_id" in origin:
        annotations["iothub-connection-module-id"] = origin["module_id"]
    if "authentication" in origin:
        annotations["iothub-connection-auth-method"] = authentication_method(
            origin["authentication"], origin.get("scope", "device")
        )
        annotations["iothub-connection-auth-generation-id"] = origin["generation_id"]
    annotations["iothub-enqueuedtime"] = enqueued_ms
    annotations["iothub-message-source"] = origin.get("source", EventSource.TELEMETRY.value)
    if "model_id" in origin:
        annotations["dt-dataschema"] = origin["model_id"]
    for name in _DEVICES_OWN:
        value = bag.system.get(name)
        if value is not None:
            annotations[name] = value
    return annotations


def authentication_method(kind: str, scope: str) -> str:
    """Return the text of ``iothub-connection-auth-method``."""
    type_name, issuer = _TYPES.get(kind, _CERTIFICATE)
    return json.dumps(
        {"scope": scope, "type": type_name, "issuer": issuer, "acceptingIpFilterRule": None},
        separators=(",", ":"),
    )


def senders_properties(bag: PropertyBag) -> dict[str, str | None]:
    """Return the system properties of a message that are its sender's to say."""
    return {name: value for name, value in bag.system.items() if name not in _HUBS_OWN}
