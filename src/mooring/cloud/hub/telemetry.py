"""The telemetry log: appended in groups, read by partition, followed, trimmed."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import TypeAlias

from mooring.cloud.hub.errors import InputInvalid
from mooring.cloud.hub.model import (
    AuthenticatedDevice,
    AuthenticationScope,
    Hub,
    PartitionInfo,
    Retention,
    Start,
    TelemetryEvent,
    TelemetryMessage,
    TelemetryPage,
    TelemetrySource,
)
from mooring.cloud.hub.store import HubStore, TelemetryRow
from mooring.runtime.clock import Clock
from mooring.runtime.logs import get_logger
from mooring.storage.errors import StorageUnavailable

Appended: TypeAlias = Callable[[BaseException | None], None]
"""Called on the event loop: None once the messages are on disk, else why they are not."""

MAX_GROUP_MESSAGES = 2_000
"""Messages handed to the writer at one time: some ten milliseconds of its work. What arrives
beyond does not wait for the commit under way."""

MAX_GROUP_BYTES = 1024 * 1024
"""Payload handed to the writer at one time, for the same reason."""

CROWDED_BYTES = 16 * 1024 * 1024
"""Payload on its way to the disk, of all connections together, beyond which each of them is held
back until its own last batch is there. A quarter of what the writer's queue takes before it
refuses: a fleet that comes back with full buffers is slowed down, not cut off."""

MAX_READ_MESSAGES = 1_000
"""Most messages of one answer."""

MAX_READ_BYTES = 4 * 1024 * 1024
"""Most payload of one answer beyond its first message: bounds the memory that a reader costs."""

MAX_SCANNED_MESSAGES = 20_000
"""Messages looked at for one answer when only one device's are wanted."""

TRIM_MESSAGES = 2_000
"""Messages deleted in one write, so that nothing waits long behind it."""

_log = get_logger("cloud.hub.telemetry")
_dump = json.JSONEncoder(separators=(",", ":")).encode


class TelemetryLog:
    """All hubs' telemetry."""

    def __init__(self, store: HubStore, clock: Clock) -> None:
        """Work on `store`; `open_hub` makes a hub known."""
        self._store = store
        self._clock = clock
        self._log_ids: dict[int, tuple[int, ...]] = {}
        self._rows: list[TelemetryRow] = []
        self._rows_bytes = 0
        self._unwritten_bytes = 0
        self._waiting: list[Appended] = []
        self._under_way = 0
        self._scheduled = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._followers: set[asyncio.Event] = set()

    async def open_hub(self, hub: Hub) -> None:
        """Know the partitions of `hub`."""
        self._log_ids[hub.hub_id] = tuple(await self._store.log_ids(hub.hub_id))

    def partition_of(self, hub: Hub, device_id: str) -> int:
        """Return the partition of a device: the same at all times."""
        return zlib.crc32(device_id.encode()) % hub.partition_count

    def source(
        self,
        device: AuthenticatedDevice,
        *,
        module_id: str | None = None,
        model_id: str | None = None,
    ) -> TelemetrySource:
        """Return the source to append under, for the life of one connection."""
        hub, identity = device.hub, device.identity
        partition = self.partition_of(hub, identity.device_id)
        origin = {
            "authentication": identity.authentication.type.value,
            "generation_id": identity.generation_id,
        }
        if device.scope is not AuthenticationScope.DEVICE:
            origin["scope"] = device.scope.value
        if module_id is not None:
            origin["module_id"] = module_id
        if model_id is not None:
            origin["model_id"] = model_id
        return TelemetrySource(
            hub_id=hub.hub_id,
            partition=partition,
            log_id=self._log_ids[hub.hub_id][partition],
            device_id=identity.device_id,
            origin=_dump(origin),
        )

    def event_source(self, hub: Hub, device_id: str, source: str) -> TelemetrySource:
        """Return the source to append under what the hub itself reports of a device."""
        partition = self.partition_of(hub, device_id)
        return TelemetrySource(
            hub_id=hub.hub_id,
            partition=partition,
            log_id=self._log_ids[hub.hub_id][partition],
            device_id=device_id,
            origin=_dump({"source": source}),
        )

    @property
    def is_crowded(self) -> bool:
        """Return whether so much is on its way to the disk that senders should wait."""
        return self._unwritten_bytes > CROWDED_BYTES

    # -- appending --------------------------------------------------------------------------

    def append_batch(
        self, source: TelemetrySource, messages: Sequence[TelemetryMessage], done: Appended
    ) -> None:
        """Append `messages` in order; returns at once, calls `done` after the commit.

        The fast path: what arrives in one turn of the event loop, from whatever connection, is
        one statement; what arrives while a commit runs waits for the next. Acknowledge (PUBACK)
        in `done` only; it is never called before this returns. `done` gets
        mooring.storage.errors.StorageUnavailable when nothing was written, and its QueueFull
        when too much waits already: then close the connection.
        """
        now_ms = int(self._clock.now().timestamp() * 1000)
        log_id, device_id, origin = source.log_id, source.device_id, source.origin
        add = self._rows.append
        size = 0
        for properties, body in messages:
            add(TelemetryRow(log_id, now_ms, device_id, origin, properties, body))
            size += len(properties) + len(body)
        self._rows_bytes += size
        self._unwritten_bytes += size
        self._waiting.append(done)
        self._idle.clear()
        if len(self._rows) >= MAX_GROUP_MESSAGES or self._rows_bytes >= MAX_GROUP_BYTES:
            self._hand_over()
        elif not self._under_way and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._hand_over)

    async def append(self, source: TelemetrySource, messages: Sequence[TelemetryMessage]) -> None:
        """Append and wait for the commit. Raises what `append_batch` gives to `done`."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(error: BaseException | None) -> None:
            if future.cancelled():
                return
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

        self.append_batch(source, messages, done)
        await future

    async def drain(self) -> None:
        """Wait until everything that was appended is answered."""
        await self._idle.wait()

    def _hand_over(self) -> None:
        self._scheduled = False
        if not self._waiting:
            return
        rows, waiting, size = self._rows, self._waiting, self._rows_bytes
        self._rows, self._waiting, self._rows_bytes = [], [], 0
        self._under_way += 1

        def done(error: BaseException | None) -> None:
            self._under_way -= 1
            self._unwritten_bytes -= size
            self._answer(waiting, error)
            if not self._under_way:
                self._hand_over()
            if not self._under_way and not self._waiting:
                self._idle.set()

        try:
            self._store.append_telemetry(rows, done, size_bytes=size)
        except StorageUnavailable as error:
            asyncio.get_running_loop().call_soon(done, error)

    def _answer(self, waiting: Sequence[Appended], error: BaseException | None) -> None:
        for done in waiting:
            try:
                done(error)
            except Exception:  # noqa: BLE001 - one connection's fault must not harm the others
                _log.exception("callback after telemetry failed")
        if error is None:
            for follower in self._followers:
                follower.set()

    # -- reading ----------------------------------------------------------------------------

    async def read(
        self,
        hub: Hub,
        partition: int,
        *,
        from_sequence_number: int = 0,
        device_id: str | None = None,
        limit: int = 100,
    ) -> TelemetryPage:
        """Return up to `limit` messages of one partition, oldest first.

        With `device_id` a page may be empty although more follow: read on from where it says.

        Raises:
            InputInvalid: No such partition.
        """
        events, position = await self._store.read_telemetry(
            self._log_id(hub, partition),
            partition,
            from_sequence_number=max(0, from_sequence_number),
            device_id=device_id,
            limit=max(1, min(limit, MAX_READ_MESSAGES)),
            max_bytes=MAX_READ_BYTES,
            max_scanned=MAX_SCANNED_MESSAGES,
        )
        return TelemetryPage(tuple(events), position)

    async def read_all(
        self,
        hub: Hub,
        *,
        start: Start | datetime = Start.EARLIEST,
        device_id: str | None = None,
        limit: int = 100,
    ) -> list[TelemetryEvent]:
        """Return the first `limit` messages of the hub from `start`, by enqueued time."""
        limit = max(1, min(limit, MAX_READ_MESSAGES))
        found: list[TelemetryEvent] = []
        for partition, begin in (await self.positions(hub, start, device_id)).items():
            found += await self._read_on(hub, partition, begin, device_id, limit)
        found.sort(key=_by_time)
        return found[:limit]

    async def follow(
        self,
        hub: Hub,
        *,
        start: Start | datetime = Start.LATEST,
        device_id: str | None = None,
    ) -> AsyncIterator[TelemetryEvent]:
        """Yield messages from `start` on, for ever; woken by each commit.

        Where it starts is fixed by the first ``anext``. Messages of one device come in order;
        those of several by enqueued time as far as they are known.
        """
        woken = asyncio.Event()
        self._followers.add(woken)
        try:
            positions = await self.positions(hub, start, device_id)
            while True:
                woken.clear()
                found: list[TelemetryEvent] = []
                advanced = False
                for partition, position in positions.items():
                    page = await self.read(
                        hub, partition, from_sequence_number=position, device_id=device_id
                    )
                    advanced |= page.next_sequence_number != position
                    positions[partition] = page.next_sequence_number
                    found += page.events
                found.sort(key=_by_time)
                for event in found:
                    yield event
                if not advanced:
                    await woken.wait()
        finally:
            self._followers.discard(woken)

    async def partitions(self, hub: Hub) -> tuple[PartitionInfo, ...]:
        """Return the state of each partition of `hub`."""
        return tuple(
            [
                await self._store.describe_partition(log_id, partition)
                for partition, log_id in enumerate(self._log_ids[hub.hub_id])
            ]
        )

    async def positions(
        self, hub: Hub, start: Start | datetime, device_id: str | None
    ) -> dict[int, int]:
        """Return the sequence number to begin at, by partition; a device has but one."""
        wanted = (
            range(hub.partition_count)
            if device_id is None
            else (self.partition_of(hub, device_id),)
        )
        positions: dict[int, int] = {}
        for partition in wanted:
            log_id = self._log_id(hub, partition)
            if isinstance(start, datetime):
                positions[partition] = await self._store.find_telemetry(log_id, start)
            elif start is Start.EARLIEST:
                positions[partition] = 0
            else:
                info = await self._store.describe_partition(log_id, partition)
                positions[partition] = info.last_sequence_number + 1
        return positions

    # -- retention --------------------------------------------------------------------------

    async def trim(self, retention: Retention) -> int:
        """Remove what is too old or too much, in bounded steps; return how many messages."""
        before = self._clock.now() - retention.max_age
        excess = await self._store.find_excess(retention.max_bytes)
        if excess is not None:
            before = max(before, excess)
        total = 0
        for log_ids in list(self._log_ids.values()):
            for log_id in log_ids:
                while count := await self._store.trim_telemetry(
                    log_id, before=before, limit=TRIM_MESSAGES
                ):
                    total += count
        return total

    def _log_id(self, hub: Hub, partition: int) -> int:
        log_ids = self._log_ids[hub.hub_id]
        if not 0 <= partition < len(log_ids):
            raise InputInvalid(
                f"partition {partition}: hub {hub.name!r} has partitions 0 to {len(log_ids) - 1}.",
                "Name one of them.",
                field="partition",
            )
        return log_ids[partition]

    async def _read_on(
        self, hub: Hub, partition: int, position: int, device_id: str | None, limit: int
    ) -> list[TelemetryEvent]:
        found: list[TelemetryEvent] = []
        while len(found) < limit:
            page = await self.read(
                hub,
                partition,
                from_sequence_number=position,
                device_id=device_id,
                limit=limit - len(found),
            )
            found += page.events
            if page.next_sequence_number == position:
                break
            position = page.next_sequence_number
        return found


def _by_time(event: TelemetryEvent) -> tuple[datetime, int, int]:
    return event.enqueued_at, event.partition, event.sequence_number
