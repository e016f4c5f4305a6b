"""What IoT Hub knows, as frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from typing import Any, NamedTuple

from mooring.pki.certificates import Certificate
from mooring.runtime.attempts import AttemptRecorder

DEFAULT_PARTITIONS = 4
"""Partitions of a hub's telemetry log, fixed at its creation (Azure: default 4)."""
MAX_PARTITIONS = 32
"""Most partitions of one hub (Azure: 32)."""

EDGE_SCOPE = "ms-azure-iot-edge://"
"""What the scope of an edge device begins with; its id, a hyphen and its generation follow."""


class DeviceStatus(StrEnum):
    """Whether a device may connect."""

    ENABLED = "enabled"
    DISABLED = "disabled"


class AuthenticationType(StrEnum):
    """The one way by which a device proves who it is (Azure: ``authentication.type``)."""

    SAS = "sas"
    SELF_SIGNED = "selfSigned"
    CERTIFICATE_AUTHORITY = "certificateAuthority"


class ConnectionState(StrEnum):
    """Whether a device is connected now."""

    CONNECTED = "Connected"
    DISCONNECTED = "Disconnected"


@dataclass(frozen=True, slots=True)
class Hub:
    """One IoT hub. `hub_id` is its number in the store, never reused."""

    hub_id: int
    name: str
    host_name: str
    partition_count: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class DeviceAuthentication:
    """How a device proves who it is; only what `type` asks for counts.

    Thumbprints are upper hex of SHA-1 (40 digits) or SHA-256 (64); keys are base64 of 16…64
    bytes, and never shown by `repr`.
    """

    type: AuthenticationType
    primary_thumbprint: str | None = None
    secondary_thumbprint: str | None = None
    primary_key: str | None = field(default=None, repr=False)
    secondary_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class DeviceIdentity:
    """A device in a hub's identity registry (Azure: device JSON). Device ids are case-sensitive.

    `generation_id` is new whenever the device is made anew under the same id. Times that never
    were are None. `connection_state` and `last_activity_at` are as of the call. `parent_scope`
    is the scope of the edge device behind which it connects (Azure: ``parentScopes``, of which
    there may be one).
    """

    device_id: str
    generation_id: str
    etag: str
    status: DeviceStatus
    status_reason: str | None
    status_updated_at: datetime | None
    authentication: DeviceAuthentication
    iot_edge: bool
    connection_state: ConnectionState
    connection_state_updated_at: datetime | None
    last_activity_at: datetime | None
    created_at: datetime
    parent_scope: str | None = None

    @property
    def device_scope(self) -> str | None:
        """Return the scope of an edge device, or that of the one which a device belongs to."""
        if not self.iot_edge:
            return self.parent_scope
        return f"{EDGE_SCOPE}{self.device_id}-{self.generation_id}"


@dataclass(frozen=True, slots=True)
class RegistryCounts:
    """How many devices a hub has, and how many of them are disabled."""

    total: int
    disabled: int


@dataclass(frozen=True, slots=True)
class DeviceDraft:
    """A device as asked for. SAS keys that are missing are made."""

    device_id: str
    authentication: DeviceAuthentication
    status: DeviceStatus = DeviceStatus.ENABLED
    status_reason: str | None = None
    iot_edge: bool = False
    parent_scope: str | None = None
    initial_tags: Mapping[str, Any] | None = None
    initial_desired: Mapping[str, Any] | None = None


class Provisioned(Enum):
    """What came of the wish of provisioning to have a device."""

    CREATED = "created"
    CREDENTIALS_CHANGED = "credentials changed"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class HubConnect:
    """A CONNECT to a hub, as the front door understood it.

    `presented` is the peer's chain, leaf first; `password` the CONNECT password (a SAS token) or
    None. `recorder` takes the stages and the failure; the caller opened it and stores it.
    """

    host_name: str
    device_id: str
    module_id: str | None
    presented: tuple[Certificate, ...]
    password: str | None = field(repr=False)
    source_address: str
    recorder: AttemptRecorder


class AuthenticationScope(StrEnum):
    """Whose credentials a device used (Azure: ``scope`` of ``iothub-connection-auth-method``)."""

    DEVICE = "device"
    HUB = "hub"
    """A token that a shared access policy of the hub signed."""


@dataclass(frozen=True, slots=True)
class AuthenticatedDevice:
    """A device that has proved who it is. `credential_ends_at`: end of its certificate or token."""

    hub: Hub
    identity: DeviceIdentity
    credential_ends_at: datetime | None
    scope: AuthenticationScope = AuthenticationScope.DEVICE


class TelemetrySource(NamedTuple):
    """Where telemetry comes from; made once per connection by `TelemetryLog.source`."""

    hub_id: int
    partition: int
    log_id: int
    device_id: str
    origin: str
    """JSON object with what the hub stamps on each message: authentication, generation, model."""


class TelemetryMessage(NamedTuple):
    """One message as a device sent it."""

    properties: str
    """System and application properties as a property bag (``%24.ct=…&a=b``), percent-encoded,
    as in the telemetry topic; empty for none."""
    body: bytes


@dataclass(frozen=True, slots=True)
class TelemetryEvent:
    """One message in the log.

    `sequence_number` counts from 0 without a gap in its partition; `offset` is its byte position
    there, ever increasing; neither is used twice, not even after retention removed the message.
    `properties` is the property bag as received; `origin` what the hub stamped on it.
    """

    partition: int
    sequence_number: int
    offset: int
    enqueued_at: datetime
    device_id: str
    properties: str
    body: bytes
    origin: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TelemetryPage:
    """Some of one partition, oldest first; `next_sequence_number` is where to read on."""

    events: tuple[TelemetryEvent, ...]
    next_sequence_number: int


@dataclass(frozen=True, slots=True)
class PartitionInfo:
    """The state of one partition; `last_sequence_number` is -1 when nothing was ever there.

    `first_sequence_number` is the oldest still kept; one above the last when nothing is.
    """

    partition: int
    first_sequence_number: int
    last_sequence_number: int
    last_offset: int
    last_enqueued_at: datetime | None
    retained_bytes: int


class Start(StrEnum):
    """Where reading begins, besides at a time."""

    EARLIEST = "earliest"
    LATEST = "latest"


@dataclass(frozen=True, slots=True)
class Retention:
    """How long and how much telemetry is kept; `max_bytes` is for all hubs together."""

    max_age: timedelta = timedelta(days=1)
    max_bytes: int = 1 << 30
