"""Twins of every hub: read and written by back ends and by devices, and who is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

from mooring.cloud.hub.activity import ActivityLedger
from mooring.cloud.hub.errors import DeviceNotFound, EtagMismatch
from mooring.cloud.hub.model import Hub
from mooring.cloud.hub.twins.documents import reported_event, update_event, whole_twin_event
from mooring.cloud.hub.twins.errors import twin_invalid
from mooring.cloud.hub.twins.model import (
    DesiredChange,
    DesiredListener,
    ReportedDone,
    Twin,
    TwinChange,
    TwinListener,
    TwinOperation,
)
from mooring.cloud.hub.twins.store import (
    NoSuchTwin,
    ReportedWrite,
    ReportedWritten,
    TwinChanged,
    TwinStore,
    TwinWrite,
)
from mooring.protocol.azure.errors import AzureError
from mooring.protocol.azure.json_documents import JsonObject, holds_more_than
from mooring.protocol.azure.twins import (
    TwinSection,
    TwinUpdate,
    check_patch,
    format_desired_notification,
    merge_values,
    read_reported_patch,
    size_of,
)
from mooring.runtime.aside import run_aside
from mooring.runtime.clock import Clock
from mooring.runtime.logs import get_logger
from mooring.storage.errors import StorageError

_log = get_logger("cloud.hub.twins")

FEW_VALUES = 100
"""In a patch that is checked at once: some tenths of a millisecond."""


class MessageCounter(Protocol):
    """Who knows how many cloud-to-device messages wait."""

    def count(self, hub: Hub, device_id: str) -> int:
        """Return how many wait for a device, in microseconds."""
        ...

    async def counts(self, hub: Hub, device_ids: Sequence[str]) -> Mapping[str, int]:
        """Return how many wait for each; those without any may be missing."""
        ...


class TwinService:
    """The twins of every hub.

    Whoever is told of a change is told after its commit, in the order of versions, before the
    caller who made it.
    """

    def __init__(
        self,
        store: TwinStore,
        activity: ActivityLedger,
        clock: Clock,
        *,
        messages: MessageCounter,
    ) -> None:
        """Work on `store`; `messages` says how many wait for a device."""
        self._store = store
        self._activity = activity
        self._clock = clock
        self._messages = messages
        self._desired_listeners: list[DesiredListener] = []
        self._listeners: list[TwinListener] = []
        self._models_under_way = 0

    # -- for back ends ------------------------------------------------------------------------

    async def get(self, hub: Hub, device_id: str) -> Twin:
        """Return one. Raises DeviceNotFound."""
        twin = self._store.find_twin(hub.hub_id, device_id)
        if twin is None:
            raise _not_found(hub, device_id)
        return self._shown(hub, twin)

    async def scan(self, hub: Hub, *, after: str | None = None, limit: int) -> Sequence[Twin]:
        """Return up to `limit` by device id, beyond `after`."""
        found = await self._store.scan_twins(hub.hub_id, after=after, limit=limit)
        counts = await self._messages.counts(hub, [twin.identity.device_id for twin in found])
        return [
            replace(
                twin,
                identity=self._activity.applied(hub, twin.identity),
                cloud_to_device_message_count=counts.get(twin.identity.device_id, 0),
            )
            for twin in found
        ]

    async def patch(
        self,
        hub: Hub,
        device_id: str,
        *,
        tags: JsonObject | None = None,
        desired: JsonObject | None = None,
        if_match: str | None = None,
    ) -> Twin:
        """Merge tags and desired properties; an empty patch of a section leaves it alone.

        Raises:
            InputInvalid: A rule of twins is broken; 413001 for their size.
            DeviceNotFound: There is no such device.
            EtagMismatch: `if_match` is given, and not ``*`` or the twin's etag.
        """
        # .NET's SDK sends empty desired properties with every patch of tags.
        return await self._write(hub, device_id, tags or None, desired or None, if_match)

    async def replace(
        self,
        hub: Hub,
        device_id: str,
        *,
        tags: JsonObject | None = None,
        desired: JsonObject | None = None,
        if_match: str | None = None,
    ) -> Twin:
        """Put tags and desired properties in the place of what is there. Raises as `patch`."""
        return await self._write(hub, device_id, tags, desired, if_match, replace_sections=True)

    # -- for devices --------------------------------------------------------------------------

    def device_document(self, hub: Hub, device_id: str, generation_id: str) -> bytes | None:
        """Return what a device that asks for its twin is sent, in microseconds.

        None when it was deleted, or made anew, since it connected. Every patch whose `done` was
        called is in it. Raises mooring.storage.errors.StorageError.
        """
        return self._store.device_document(hub.hub_id, device_id, generation_id)

    def submit_reported(
        self,
        hub: Hub,
        device_id: str,
        generation_id: str,
        patch: bytes,
        *,
        base_version: int | None,
        done: ReportedDone,
    ) -> None:
        """Merge a device's patch into its reported properties; returns at once.

        `done` is called after the commit, never before this returns, in the order of the calls:
        with the version, or with InputInvalid, DeviceNotFound (the device of `generation_id` is
        gone), EtagMismatch (another version than `base_version`), or StorageUnavailable.

        Raises:
            InputInvalid: The patch breaks a rule; nothing more comes of it.
            mooring.storage.errors.QueueFull: Too much waits already.
        """
        try:
            document = read_reported_patch(patch)
        except AzureError as error:
            raise twin_invalid(error) from error
        now = self._clock.now()
        write = ReportedWrite(generation_id, document, base_version, now, len(patch))

        def written(result: ReportedWritten | None, error: BaseException | None) -> None:
            if result is None:
                done(None, _translated(error, hub, device_id))
                return
            body = partial(
                reported_event,
                document,
                version=result.version,
                reported_version=result.reported_version,
                at=now,
            )
            self._tell(TwinChange(hub, device_id, TwinOperation.UPDATE, now, result.version, body))
            done(result.reported_version, None)

        self._store.submit_reported(hub.hub_id, device_id, write, written)

    def set_model_id(
        self, hub: Hub, device_id: str, generation_id: str, model_id: str | None
    ) -> None:
        """Note the model that a device named when it connected; None for none.

        Returns at once; written soon after. Nobody is promised it, so a failure is only logged.
        """
        try:
            # A fleet that comes back names the model that it named before: a look-up each.
            if not self._models_under_way and model_id == self._store.find_model_id(
                hub.hub_id, device_id
            ):
                return
            self._store.submit_model_id(
                hub.hub_id, device_id, generation_id, model_id, self._model_id_written
            )
        except StorageError as error:
            _log.warning("a device's model id was not stored", error=str(error))
        else:
            self._models_under_way += 1

    def _model_id_written(self, _: None, error: BaseException | None) -> None:
        self._models_under_way -= 1
        if error is not None:
            _log.warning("a device's model id was not stored", error=str(error))

    # -- who is told --------------------------------------------------------------------------

    def on_desired_change(self, listener: DesiredListener) -> None:
        """Have `listener` called with every change of desired properties."""
        self._desired_listeners.append(listener)

    def on_change(self, listener: TwinListener) -> None:
        """Have `listener` called with every change of a twin."""
        self._listeners.append(listener)

    def _tell(self, change: TwinChange) -> None:
        for listener in self._listeners:
            try:
                listener(change)
            except Exception:  # noqa: BLE001 - the change is made: who made it must learn so
                _log.exception("listener to twin changes failed")

    def _tell_desired(self, change: DesiredChange) -> None:
        for listener in self._desired_listeners:
            try:
                listener(change)
            except Exception:  # noqa: BLE001 - as above
                _log.exception("listener to desired properties failed")

    # -- writing ------------------------------------------------------------------------------

    async def _write(
        self,
        hub: Hub,
        device_id: str,
        tags: JsonObject | None,
        desired: JsonObject | None,
        if_match: str | None,
        *,
        replace_sections: bool = False,
    ) -> Twin:
        sections = {TwinSection.TAGS: tags or {}, TwinSection.DESIRED: desired or {}}
        try:
            size = await run_aside(
                lambda: _checked_size(sections),
                is_long=any(holds_more_than(values, FEW_VALUES) for values in sections.values()),
            )
        except AzureError as error:
            raise twin_invalid(error) from error
        write = TwinWrite(tags, desired, replace_sections, if_match, self._clock.now())
        future: asyncio.Future[Twin] = asyncio.get_running_loop().create_future()

        def done(twin: Twin | None, error: BaseException | None) -> None:
            # Here, not after the wait: callbacks come in the order of the commits.
            if twin is not None:
                self._announce(hub, write, twin)
            if future.cancelled():
                return
            if twin is not None:
                future.set_result(twin)
            else:
                future.set_exception(_translated(error, hub, device_id))

        self._store.submit_twin(hub.hub_id, device_id, write, done, size_bytes=size)
        return self._shown(hub, await future)

    def _announce(self, hub: Hub, write: TwinWrite, twin: Twin) -> None:
        device_id = twin.identity.device_id
        if write.desired is not None:
            version = twin.desired.version
            # After a replacement the device is told all that there is now.
            sent = merge_values({}, write.desired) if write.replace else write.desired
            self._tell_desired(
                DesiredChange(
                    hub,
                    device_id,
                    twin.identity.generation_id,
                    version,
                    format_desired_notification(sent, version),
                )
            )
        if write.tags is None and write.desired is None:
            return
        if write.replace:
            operation, body = TwinOperation.REPLACE, partial(whole_twin_event, twin)
        else:
            operation = TwinOperation.UPDATE
            body = partial(update_event, twin, TwinUpdate(write.tags, write.desired), write.at)
        self._tell(TwinChange(hub, device_id, operation, write.at, twin.version, body))

    def _shown(self, hub: Hub, twin: Twin) -> Twin:
        return replace(
            twin,
            identity=self._activity.applied(hub, twin.identity),
            cloud_to_device_message_count=self._messages.count(hub, twin.identity.device_id),
        )


def _checked_size(sections: Mapping[TwinSection, JsonObject]) -> int:
    """Return the size of patches that keep the rules. Raises as `check_patch`."""
    return sum(size_of(check_patch(patch, section)) for section, patch in sections.items())


def _translated(error: BaseException | None, hub: Hub, device_id: str) -> BaseException:
    """Return what the store reported, in the words of the hub."""
    assert error is not None
    if isinstance(error, NoSuchTwin):
        return _not_found(hub, device_id)
    if isinstance(error, TwinChanged):
        return EtagMismatch(
            f"The twin of {device_id!r} has changed since it was read (If-Match or base version).",
            "Read it again, apply your change to what it is now, and send that.",
            field="If-Match",
        )
    return twin_invalid(error) if isinstance(error, AzureError) else error


def _not_found(hub: Hub, device_id: str) -> DeviceNotFound:
    return DeviceNotFound(
        f"Hub {hub.name!r} has no device {device_id!r}.",
        "List the devices to see their ids; upper and lower case count.",
        field="deviceId",
    )
