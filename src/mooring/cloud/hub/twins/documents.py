"""Twins as JSON: the service API's document, and the bodies of events about them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from mooring.cloud.hub.twins.model import Twin
from mooring.protocol.azure.json_documents import JsonObject
from mooring.protocol.azure.timestamps import UNSET_TIMESTAMP, format_timestamp
from mooring.protocol.azure.twins import (
    TwinUpdate,
    desired_stamp,
    patch_metadata,
    properties_to_json,
    reported_stamp,
)


def twin_to_json(twin: Twin) -> dict[str, Any]:
    """Return a twin as Azure's service API has it; it shares what the twin holds."""
    identity = twin.identity
    document: dict[str, Any] = {
        "deviceId": identity.device_id,
        "etag": twin.etag,
        "deviceEtag": identity.etag,
        "status": identity.status.value,
    }
    if identity.status_reason is not None:
        document["statusReason"] = identity.status_reason
    document |= {
        "statusUpdateTime": _time(identity.status_updated_at),
        "connectionState": identity.connection_state.value,
        "lastActivityTime": _time(identity.last_activity_at),
        "cloudToDeviceMessageCount": twin.cloud_to_device_message_count,
        "authenticationType": identity.authentication.type.value,
        "x509Thumbprint": {
            "primaryThumbprint": identity.authentication.primary_thumbprint,
            "secondaryThumbprint": identity.authentication.secondary_thumbprint,
        },
    }
    if twin.model_id is not None:
        document["modelId"] = twin.model_id
    document |= {
        "version": twin.version,
        "tags": twin.tags,
        "properties": _properties(twin),
        "capabilities": {"iotEdge": identity.iot_edge},
    }
    return document


def whole_twin_event(twin: Twin) -> dict[str, Any]:
    """Return the body of an event that shows a twin whole: replaced, device created or deleted."""
    return {
        "deviceId": twin.identity.device_id,
        "etag": twin.etag,
        "version": twin.version,
        "tags": twin.tags,
        "properties": _properties(twin),
    }


def update_event(twin: Twin, update: TwinUpdate, at: datetime) -> dict[str, Any]:
    """Return the body of the event that tells of `update`, which left `twin`."""
    body: dict[str, Any] = {"version": twin.version}
    if update.tags is not None:
        body["tags"] = update.tags
    if update.desired is not None:
        stamp = desired_stamp(at, twin.desired.version)
        body["properties"] = {"desired": _changed(update.desired, stamp, twin.desired.version)}
    return body


def reported_event(
    patch: JsonObject, *, version: int, reported_version: int, at: datetime
) -> dict[str, Any]:
    """Return the body of the event that tells of a device's patch."""
    changed = _changed(patch, reported_stamp(at), reported_version)
    return {"version": version, "properties": {"reported": changed}}


def _changed(patch: JsonObject, stamp: JsonObject, version: int) -> dict[str, Any]:
    return {**patch, "$metadata": patch_metadata(patch, stamp), "$version": version}


def _properties(twin: Twin) -> dict[str, Any]:
    return {
        "desired": properties_to_json(twin.desired),
        "reported": properties_to_json(twin.reported),
    }


def _time(moment: datetime | None) -> str:
    return UNSET_TIMESTAMP if moment is None else format_timestamp(moment)
