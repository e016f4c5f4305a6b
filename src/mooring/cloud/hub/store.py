"""The port behind which the hub keeps its records.

Every call that writes returns (or calls back) once the change is on disk; all raise
mooring.storage.errors.StorageUnavailable when it cannot be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol, TypeAlias

from mooring.cloud.hub.certificates.store import HubCertificateStore
from mooring.cloud.hub.consumers.store import ConsumerStore
from mooring.cloud.hub.devicebound.store import DeviceboundStore
from mooring.cloud.hub.model import (
    ConnectionState,
    DeviceIdentity,
    Hub,
    PartitionInfo,
    Provisioned,
    RegistryCounts,
    TelemetryEvent,
)
from mooring.cloud.hub.settings.service import SettingsStore
from mooring.cloud.hub.twins.store import TwinStore
from mooring.cloud.work import Committer, Work


@dataclass(frozen=True, slots=True)
class InitialTwinText:
    """Tags and desired properties of a new device, as JSON texts; None for none."""

    tags: str | None = None
    desired: str | None = None


@dataclass(frozen=True, slots=True)
class DeviceActivity:
    """What was seen of a device since it was last written; None where nothing was."""

    connection_state: ConnectionState | None
    connection_state_updated_at: datetime | None
    last_activity_at: datetime | None


@dataclass(frozen=True, slots=True)
class ProvisionedDevice:
    """A device that provisioning wants to have.

    `identity` is what is written when the hub has no device of that id. Otherwise the device
    keeps its generation, its status and its twin (unless `reset_twin`), and takes
    authentication, capabilities and etag. A device of that id in the hub `migrate_from` gives
    twin and capabilities, whatever the others say.
    """

    identity: DeviceIdentity
    twin: InitialTwinText
    reset_twin: bool
    migrate_from: int | None = None


Saved: TypeAlias = Callable[[BaseException | None], None]
"""Called on the event loop: None once the change is on disk, else why it is not."""


class TelemetryRow(NamedTuple):
    """One message to append; `log_id` is the number of its hub's partition in the store."""

    log_id: int
    enqueued_ms: int
    device_id: str
    origin: str
    properties: str
    body: bytes


class HubStore(
    Committer,
    ConsumerStore,
    DeviceboundStore,
    HubCertificateStore,
    SettingsStore,
    TwinStore,
    Protocol,
):
    """Records of all hubs."""

    # -- hubs -------------------------------------------------------------------------------

    async def create_hub(
        self, name: str, host_name: str, partition_count: int, created_at: datetime
    ) -> Hub:
        """Create a hub and its partitions. Raises RecordExists: name or host name is taken."""
        ...

    async def list_hubs(self) -> Sequence[Hub]:
        """Return all, in the order of their creation."""
        ...

    # -- devices ----------------------------------------------------------------------------

    async def find_device(self, hub_id: int, device_id: str) -> DeviceIdentity | None:
        """Return one, in microseconds."""
        ...

    async def list_devices(
        self, hub_id: int, *, after: str | None, limit: int
    ) -> Sequence[DeviceIdentity]:
        """Return up to `limit` by id, beyond `after`."""
        ...

    async def count_devices(self, hub_id: int) -> RegistryCounts:
        """Return how many there are, without a walk through them."""
        ...

    async def save_device(
        self,
        hub_id: int,
        identity: DeviceIdentity,
        *,
        replaces: str | None,
        twin: InitialTwinText,
        limit: int,
    ) -> None:
        """Write one; `replaces` is the etag that the caller read, None for a new device.

        `twin` counts for a new device only.

        Raises:
            RecordExists, RecordChanged: mooring.cloud.preconditions.
            RecordsFull: The hub has `limit` devices.
        """
        ...

    async def delete_device(self, hub_id: int, device_id: str, *, replaces: str) -> None:
        """Delete one. Raises RecordChanged."""
        ...

    def prepare_provisioned_device(
        self, hub_id: int, device: ProvisionedDevice
    ) -> Work[Provisioned]:
        """Prepare to create a device, or to give one of that id its authentication."""
        ...

    def prepare_device_removal(self, hub_id: int, device_id: str) -> Work[bool]:
        """Prepare to delete a device, if it is there; the work returns whether it was."""
        ...

    async def save_activity(self, seen: Mapping[tuple[int, str], DeviceActivity]) -> None:
        """Write what was seen of devices (hub id, device id); unknown devices are skipped."""
        ...

    async def disconnect_all(self, at: datetime) -> None:
        """Mark every device that is still Connected as Disconnected: nobody is, at a start."""
        ...

    # -- sessions of MQTT -------------------------------------------------------------------

    def find_session(self, hub_id: int, device_id: str) -> tuple[str, int] | None:
        """Return generation id and subscriptions of a device's kept session, in microseconds."""
        ...

    def save_session(
        self, hub_id: int, device_id: str, generation_id: str, subscriptions: int, saved: Saved
    ) -> None:
        """Keep a session, if the device is still of that generation; 0 subscriptions drop it.

        Raises:
            mooring.storage.errors.QueueFull: Too much waits already.
        """
        ...

    async def discard_session(self, hub_id: int, device_id: str) -> None:
        """Drop a device's session, if there is one."""
        ...

    # -- telemetry --------------------------------------------------------------------------

    async def log_ids(self, hub_id: int) -> Sequence[int]:
        """Return the number in the store of each partition of a hub, by partition."""
        ...

    def append_telemetry(
        self,
        rows: Sequence[TelemetryRow],
        done: Callable[[BaseException | None], None],
        *,
        size_bytes: int,
    ) -> None:
        """Append in order, giving sequence numbers and offsets; call `done` after the commit.

        A message is never enqueued before its predecessor in the partition: its time is raised
        if the clock went back.

        Raises:
            mooring.storage.errors.QueueFull: Too much waits already.
        """
        ...

    async def read_telemetry(
        self,
        log_id: int,
        partition: int,
        *,
        from_sequence_number: int,
        device_id: str | None,
        limit: int,
        max_bytes: int,
        max_scanned: int,
    ) -> tuple[Sequence[TelemetryEvent], int]:
        """Return messages oldest first, and the sequence number to read on from.

        Looks at no more than `max_scanned`, returns no more than `limit` and, beyond the first,
        no more than `max_bytes`.
        """
        ...

    async def find_telemetry(self, log_id: int, at: datetime) -> int:
        """Return the sequence number of the first message enqueued at `at` or later.

        One above the last when there is none.
        """
        ...

    async def describe_partition(self, log_id: int, partition: int) -> PartitionInfo:
        """Return the state of a partition."""
        ...

    async def find_excess(self, max_bytes: int) -> datetime | None:
        """Return the earliest moment since which all hubs hold at most `max_bytes`.

        None when all there is fits.
        """
        ...

    async def trim_telemetry(self, log_id: int, *, before: datetime, limit: int) -> int:
        """Delete up to `limit` of the oldest messages enqueued before `before`; return how many.

        Their sequence numbers and offsets are not used again.
        """
        ...
