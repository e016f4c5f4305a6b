"""IoT Hub's resources as JSON, spelled as Azure's service API spells them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from mooring.cloud.hub.annotations import annotations_of, senders_properties
from mooring.cloud.hub.errors import DeviceScopeInvalid, InputInvalid
from mooring.cloud.hub.model import (
    DEFAULT_PARTITIONS,
    AuthenticationType,
    DeviceAuthentication,
    DeviceDraft,
    DeviceIdentity,
    DeviceStatus,
    Hub,
    PartitionInfo,
    TelemetryEvent,
)
from mooring.protocol.azure.errors import AzureError, PayloadMalformed
from mooring.protocol.azure.json_documents import decode_json
from mooring.protocol.azure.property_bag import (
    EMPTY_BAG,
    MAX_STORED_PROPERTIES,
    PropertyBag,
    parse_property_bag,
)
from mooring.protocol.azure.timestamps import UNSET_TIMESTAMP, format_timestamp

MAX_SHOWN_JSON_BYTES = 256 * 1024
"""Largest body shown as JSON: the hub's own limit of a message."""


class Document(BaseModel):
    """What callers send: members in camel case, those that are not known are ignored."""

    model_config = ConfigDict(extra="ignore", alias_generator=to_camel, populate_by_name=True)


class HubBody(Document):
    """A hub as a caller sends it."""

    name: str
    host_name: str
    partition_count: int = DEFAULT_PARTITIONS


class KeysBody(Document):
    """Symmetric keys, base64; made when missing."""

    primary_key: str | None = None
    secondary_key: str | None = None


class ThumbprintsBody(Document):
    """Thumbprints of the device's certificates, hex of SHA-1 or SHA-256."""

    primary_thumbprint: str | None = None
    secondary_thumbprint: str | None = None


class AuthenticationBody(Document):
    """How the device proves who it is."""

    type: str | None = None
    symmetric_key: KeysBody | None = None
    x509_thumbprint: ThumbprintsBody | None = None

    def to_authentication(self) -> DeviceAuthentication:
        """Return the authentication asked for.

        Raises:
            InputInvalid: An unknown type.
        """
        thumbprints = self.x509_thumbprint or ThumbprintsBody()
        keys = self.symmetric_key or KeysBody()
        if self.type is None:
            # Azure: the type follows from what is given.
            kind = (
                AuthenticationType.SELF_SIGNED
                if thumbprints.primary_thumbprint or thumbprints.secondary_thumbprint
                else AuthenticationType.SAS
            )
        else:
            try:
                kind = AuthenticationType(self.type)
            except ValueError:
                raise InputInvalid(
                    f"authentication.type: {self.type[:40]!r} is not known",
                    f"give one of {', '.join(AuthenticationType)}",
                    field="authentication.type",
                ) from None
        return DeviceAuthentication(
            type=kind,
            primary_thumbprint=thumbprints.primary_thumbprint or None,
            secondary_thumbprint=thumbprints.secondary_thumbprint or None,
            primary_key=keys.primary_key or None,
            secondary_key=keys.secondary_key or None,
        )


class CapabilitiesBody(Document):
    """What the device is."""

    iot_edge: bool | None = None


class IdentityBody(Document):
    """What a caller sends of a device identity, but for its id."""

    status: DeviceStatus | None = None
    status_reason: str | None = None
    authentication: AuthenticationBody | None = None
    capabilities: CapabilitiesBody | None = None
    device_scope: str | None = None
    # A list of half a million faults would take a second to report.
    parent_scopes: list[str] | None = Field(None, fail_fast=True)

    def to_draft(
        self,
        device_id: str,
        *,
        tags: Mapping[str, Any] | None = None,
        desired: Mapping[str, Any] | None = None,
    ) -> DeviceDraft:
        """Return the draft for the device `device_id`, with its first twin.

        Raises:
            InputInvalid: An unknown authentication type.
            DeviceScopeInvalid: More than one parent.
        """
        return DeviceDraft(
            device_id=device_id,
            authentication=(self.authentication or AuthenticationBody()).to_authentication(),
            status=self.status or DeviceStatus.ENABLED,
            status_reason=self.status_reason or None,
            iot_edge=self._is_edge,
            parent_scope=self._parent_scope(),
            initial_tags=tags,
            initial_desired=desired,
        )

    @property
    def _is_edge(self) -> bool:
        return bool(self.capabilities and self.capabilities.iot_edge)

    def _parent_scope(self) -> str | None:
        """Return the scope of the parent.

        That of an edge device itself is the hub's to make; for others it is the parent's, which
        clients from before ``parentScopes`` give as ``deviceScope`` only.
        """
        scopes = {scope for scope in self.parent_scopes or () if scope}
        if not self._is_edge and self.device_scope:
            scopes.add(self.device_scope)
        if len(scopes) > 1:
            raise DeviceScopeInvalid(
                "deviceScope, parentScopes: more than one parent.",
                "Give the scope of one edge device; deviceScope may be left out.",
                field="parentScopes",
            )
        return next(iter(scopes), None)


class DeviceBody(IdentityBody):
    """A device identity as a caller sends it."""

    device_id: str | None = None

    def at(self, device_id: str) -> DeviceDraft:
        """Return the draft for the device at path `device_id`.

        Raises:
            InputInvalid: Another id in the body, or as `to_draft`.
            DeviceScopeInvalid: As `to_draft`.
        """
        if self.device_id is not None and self.device_id != device_id:
            raise InputInvalid(
                f"deviceId: {self.device_id[:128]!r} in the body is not {device_id[:128]!r} of "
                "the path",
                "leave it out of the body, or make both the same (case counts)",
                field="deviceId",
            )
        return self.to_draft(device_id)


def hub_to_json(hub: Hub) -> dict[str, Any]:
    """Return a hub."""
    return {
        "name": hub.name,
        "hostName": hub.host_name,
        "partitionCount": hub.partition_count,
        "createdDateTimeUtc": format_timestamp(hub.created_at),
    }


def device_to_json(device: DeviceIdentity, *, messages: int) -> dict[str, Any]:
    """Return a device identity as Azure's service API has it; `messages` wait for the device."""
    authentication = device.authentication
    return {
        "deviceId": device.device_id,
        "generationId": device.generation_id,
        "etag": device.etag,
        "connectionState": device.connection_state.value,
        "status": device.status.value,
        "statusReason": device.status_reason,
        "connectionStateUpdatedTime": _time(device.connection_state_updated_at),
        "statusUpdatedTime": _time(device.status_updated_at),
        "lastActivityTime": _time(device.last_activity_at),
        "cloudToDeviceMessageCount": messages,
        "authentication": {
            "symmetricKey": {
                "primaryKey": authentication.primary_key,
                "secondaryKey": authentication.secondary_key,
            },
            "x509Thumbprint": {
                "primaryThumbprint": authentication.primary_thumbprint,
                "secondaryThumbprint": authentication.secondary_thumbprint,
            },
            "type": authentication.type.value,
        },
        "capabilities": {"iotEdge": device.iot_edge},
        "deviceScope": device.device_scope,
        "parentScopes": [device.parent_scope] if device.parent_scope else [],
    }


def event_to_json(event: TelemetryEvent) -> dict[str, Any]:
    """Return one message of the log as its readers see it, see `readable_message`."""
    bag = _read_bag(event.properties)
    return {
        "partition": event.partition,
        "sequenceNumber": event.sequence_number,
        "offset": str(event.offset),
        "enqueuedTimeUtc": format_timestamp(event.enqueued_at),
        "deviceId": event.device_id,
        "annotations": annotations_of(event, bag),
        **readable_message(event.properties, event.body),
        "systemProperties": senders_properties(bag),
    }


def readable_message(properties: str, body: bytes) -> dict[str, Any]:
    """Return a message's properties, and its body as `encoding` says: json, text or base64."""
    bag = _read_bag(properties)
    encoding, shown = _readable(body, bag)
    return {
        "systemProperties": dict(bag.system),
        "properties": dict(bag.application),
        "encoding": encoding,
        "body": shown,
    }


def partition_to_json(partition: PartitionInfo) -> dict[str, Any]:
    """Return the state of a partition, with the words of Event Hubs."""
    return {
        "partition": partition.partition,
        "beginningSequenceNumber": partition.first_sequence_number,
        "lastEnqueuedSequenceNumber": partition.last_sequence_number,
        "lastEnqueuedOffset": str(partition.last_offset),
        "lastEnqueuedTimeUtc": None
        if partition.last_enqueued_at is None
        else format_timestamp(partition.last_enqueued_at),
        "retainedBytes": partition.retained_bytes,
    }


def _read_bag(properties: str) -> PropertyBag:
    try:
        return parse_property_bag(properties, most=MAX_STORED_PROPERTIES)
    except AzureError:
        return EMPTY_BAG


def _readable(body: bytes, bag: PropertyBag) -> tuple[str, Any]:
    content_type = bag.system.get("content-type") or ""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return "base64", base64.b64encode(body).decode()
    if "json" in content_type or text[:1] in ("{", "["):
        try:
            return "json", decode_json(body, max_bytes=MAX_SHOWN_JSON_BYTES)
        except PayloadMalformed:
            pass
    return "text", text


def _time(moment: datetime | None) -> str:
    return UNSET_TIMESTAMP if moment is None else format_timestamp(moment)
