"""The telemetry log: appended in groups, read by partition, followed, trimmed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import TypeAlias

from mooring.cloud.hub.model import (
    AuthenticatedDevice,
    Hub,
    PartitionInfo,
    Retention,
    Start,
    TelemetryEvent,
    TelemetryMessage,
    TelemetrySource,
)
from mooring.cloud.hub.model import TelemetryPage as Page

Appended: TypeAlias = Callable[[BaseException | None], None]
"""Called on the event loop: None once the messages are on disk, else why they are not."""


class TelemetryLog:
    """All hubs' telemetry."""

    def source(
        self,
        device: AuthenticatedDevice,
        *,
        module_id: str | None = None,
        model_id: str | None = None,
    ) -> TelemetrySource:
        """Return the source to append under, for the life of one connection."""
        raise NotImplementedError

    def append_batch(
        self, source: TelemetrySource, messages: Sequence[TelemetryMessage], done: Appended
    ) -> None:
        """Append `messages` in order; returns at once, calls `done` after the commit.

        The fast path: what arrives in one turn of the event loop, from whatever connection, is
        one statement; what arrives while a commit runs waits for the next. Acknowledge (PUBACK)
        in `done` only. `done` gets mooring.storage.errors.StorageUnavailable when nothing was
        written, and QueueFull when too much waits already: then close the connection.
        """
        raise NotImplementedError

    async def append(self, source: TelemetrySource, messages: Sequence[TelemetryMessage]) -> None:
        """Append and wait for the commit. Raises what `append_batch` gives to `done`."""
        raise NotImplementedError

    async def read(
        self,
        hub: Hub,
        partition: int,
        *,
        from_sequence_number: int = 0,
        device_id: str | None = None,
        limit: int = 100,
    ) -> Page:
        """Return up to `limit` messages of one partition. Raises InputInvalid."""
        raise NotImplementedError

    async def read_all(
        self,
        hub: Hub,
        *,
        start: Start | datetime = Start.EARLIEST,
        device_id: str | None = None,
        limit: int = 100,
    ) -> list[TelemetryEvent]:
        """Return the first `limit` messages of the hub from `start`, by enqueued time."""
        raise NotImplementedError

    def follow(
        self,
        hub: Hub,
        *,
        start: Start | datetime = Start.LATEST,
        device_id: str | None = None,
    ) -> AsyncIterator[TelemetryEvent]:
        """Yield messages from `start` on, for ever; woken by each commit.

        Where it starts is fixed by the first ``anext``.
        """
        raise NotImplementedError

    async def partitions(self, hub: Hub) -> tuple[PartitionInfo, ...]:
        """Return the state of each partition of `hub`."""
        raise NotImplementedError

    async def trim(self, retention: Retention) -> int:
        """Remove what is too old or too much, in bounded steps; return how many messages."""
        raise NotImplementedError
