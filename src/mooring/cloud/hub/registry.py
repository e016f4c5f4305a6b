"""The identity registry: the devices of every hub."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from mooring.cloud.etags import etag_matches, new_etag
from mooring.cloud.hub.activity import ActivityLedger
from mooring.cloud.hub.errors import (
    DeviceAlreadyExists,
    DeviceNotFound,
    DeviceScopeInvalid,
    EtagMismatch,
    InputInvalid,
    LimitReached,
)
from mooring.cloud.hub.events.lifecycle import DeviceLifecycle, LastTwin
from mooring.cloud.hub.identities import build_identity, check_draft, new_generation_id
from mooring.cloud.hub.model import (
    EDGE_SCOPE,
    ConnectionState,
    DeviceAuthentication,
    DeviceDraft,
    DeviceIdentity,
    DeviceStatus,
    Hub,
    Provisioned,
    RegistryCounts,
)
from mooring.cloud.hub.store import HubStore, InitialTwinText, ProvisionedDevice
from mooring.cloud.paging import Page, decode_continuation, encode_continuation, page_size
from mooring.cloud.preconditions import MAX_TRIES, RecordChanged, RecordExists, RecordsFull
from mooring.cloud.work import Work
from mooring.protocol.azure.errors import (
    quoted,
)
from mooring.runtime.clock import Clock

MAX_DEVICES = 1_000_000
"""Azure: devices of one hub."""

DeviceChanged: TypeAlias = Callable[[Hub, str], None]
"""Told hub and device id after a device was disabled, deleted or given other credentials."""


class DeviceRegistry:
    """The identity registry of every hub."""

    def __init__(
        self,
        store: HubStore,
        activity: ActivityLedger,
        lifecycle: DeviceLifecycle,
        clock: Clock,
        *,
        limit_of: Callable[[Hub], int] = lambda _hub: MAX_DEVICES,
    ) -> None:
        """Work on `store`; what `activity` knows of a device is newer than what is stored.

        `limit_of` returns how many devices a hub may hold now.
        """
        self._lifecycle = lifecycle
        self._store = store
        self._activity = activity
        self._clock = clock
        self._limit_of = limit_of
        self._listeners: list[DeviceChanged] = []

    async def put(
        self, hub: Hub, draft: DeviceDraft, *, if_match: str | None = None
    ) -> DeviceIdentity:
        """Create, or replace when `if_match` is ``*`` or the device's etag.

        Raises:
            InputInvalid: A field is bad.
            DeviceScopeInvalid: The hub has no edge device of the parent scope.
            DeviceAlreadyExists: There is one and `if_match` is None.
            DeviceNotFound: `if_match` is given and there is none.
            EtagMismatch: The etag is stale.
            LimitReached: The hub holds as many as it may.
        """
        check_draft(draft)
        await self._check_parent(hub, draft)
        limit = self._limit_of(hub)
        twin = InitialTwinText(_dump(draft.initial_tags), _dump(draft.initial_desired))
        for _ in range(MAX_TRIES):
            former = await self._store.find_device(hub.hub_id, draft.device_id)
            if former is None and if_match is not None:
                raise _not_found(hub, draft.device_id)
            if former is not None:
                if if_match is None:
                    raise DeviceAlreadyExists(
                        f"Hub {hub.name!r} has a device {draft.device_id!r} already.",
                        "To replace it, send If-Match with its etag, or with *.",
                        field="deviceId",
                    )
                _check_if_match(if_match, former)
            identity = build_identity(draft, former, self._clock.now())
            try:
                await self._store.save_device(
                    hub.hub_id,
                    identity,
                    replaces=None if former is None else former.etag,
                    twin=twin,
                    limit=limit,
                )
            except (RecordChanged, RecordExists):
                continue
            except RecordsFull:
                raise LimitReached(
                    f"Hub {hub.name!r} has {limit} devices already.",
                    "Delete those that are gone.",
                ) from None
            if former is None:
                self._lifecycle.created(hub, identity.device_id)
            elif _loses_access(former, identity):
                self._tell(hub, identity.device_id)
            return self._activity.applied(hub, identity)
        raise _stale(draft.device_id)

    async def get(self, hub: Hub, device_id: str) -> DeviceIdentity:
        """Return one. Raises DeviceNotFound."""
        identity = await self._store.find_device(hub.hub_id, device_id)
        if identity is None:
            raise _not_found(hub, device_id)
        return self._activity.applied(hub, identity)

    async def list(
        self, hub: Hub, *, limit: int | None = None, continuation: str | None = None
    ) -> Page[DeviceIdentity]:
        """Return a page, by device id. Raises InputInvalid for a bad continuation."""
        size = page_size(limit)
        try:
            after = None if continuation is None else decode_continuation(continuation)
        except ValueError as error:
            raise InputInvalid(
                "continuation: not one that this service gave.",
                "Begin without a continuation, then send back what the answer carries.",
                field="continuation",
            ) from error
        found = await self._store.list_devices(hub.hub_id, after=after, limit=size + 1)
        more = len(found) > size
        items = tuple(self._activity.applied(hub, identity) for identity in found[:size])
        return Page(items, encode_continuation(items[-1].device_id) if more else None)

    async def count(self, hub: Hub) -> RegistryCounts:
        """Return how many there are."""
        return await self._store.count_devices(hub.hub_id)

    def count_connected(self, hub: Hub) -> int:
        """Return how many are connected now."""
        return self._activity.count_connected(hub)

    async def delete(self, hub: Hub, device_id: str, *, if_match: str | None = None) -> None:
        """Delete one. Raises DeviceNotFound, EtagMismatch."""
        for _ in range(MAX_TRIES):
            former = await self.get(hub, device_id)
            if if_match is not None:
                _check_if_match(if_match, former)
            last = self._lifecycle.last_twin(hub, device_id)
            try:
                await self._store.delete_device(hub.hub_id, device_id, replaces=former.etag)
            except RecordChanged:
                continue
            self.removed(hub, device_id, last)
            return
        raise _stale(device_id)

    def prepare_provisioned(
        self,
        hub: Hub,
        device_id: str,
        authentication: DeviceAuthentication,
        *,
        initial_tags: str | None,
        initial_desired: str | None,
        reset_twin: bool,
        iot_edge: bool,
        migrate_from: Hub | None = None,
    ) -> Work[Provisioned]:
        """Prepare to have a device that authenticates by `authentication`, for provisioning.

        A device of that id that exists is taken over: it keeps its generation, its status and its
        twin (unless `reset_twin`). `initial_tags` and `initial_desired` are JSON texts. The
        device of that id in `migrate_from`, if there is one, gives its twin and capabilities.
        Hand what the work returns to `provisioned` after the commit.
        """
        now = self._clock.now()
        identity = DeviceIdentity(
            device_id=device_id,
            generation_id=new_generation_id(now),
            etag=new_etag(),
            status=DeviceStatus.ENABLED,
            status_reason=None,
            status_updated_at=None,
            authentication=authentication,
            iot_edge=iot_edge,
            connection_state=ConnectionState.DISCONNECTED,
            connection_state_updated_at=None,
            last_activity_at=None,
            created_at=now,
        )
        return self._store.prepare_provisioned_device(
            hub.hub_id,
            ProvisionedDevice(
                identity,
                InitialTwinText(initial_tags, initial_desired),
                reset_twin,
                None if migrate_from is None else migrate_from.hub_id,
            ),
        )

    def prepare_removal(self, hub: Hub, device_id: str) -> Work[bool]:
        """Prepare to delete a device that provisioning moved to another hub, if it is there.

        The work returns whether it was: then call `removed` after the commit.
        """
        return self._store.prepare_device_removal(hub.hub_id, device_id)

    def provisioned(self, hub: Hub, device_id: str, outcome: Provisioned) -> None:
        """Report a device that is new; close a connection that former credentials opened."""
        if outcome is Provisioned.CREATED:
            self._lifecycle.created(hub, device_id)
        elif outcome is Provisioned.CREDENTIALS_CHANGED:
            self._tell(hub, device_id)

    def removed(self, hub: Hub, device_id: str, last: LastTwin = None) -> None:
        """Forget a device that was deleted, report it, and have its connection closed.

        `last` is the device's twin as `DeviceLifecycle.last_twin` gave it before.
        """
        self._activity.forget(hub, device_id)
        self._tell(hub, device_id)
        self._lifecycle.deleted(hub, device_id, last)

    def on_change(self, listener: DeviceChanged) -> None:
        """Have `listener` called, after the commit, when a live connection must be closed."""
        self._listeners.append(listener)

    def _tell(self, hub: Hub, device_id: str) -> None:
        for listener in self._listeners:
            listener(hub, device_id)

    async def _check_parent(self, hub: Hub, draft: DeviceDraft) -> None:
        """Return if the edge device that `draft` names as parent is there."""
        scope = draft.parent_scope
        if scope is None:
            return
        parent_id, _, generation_id = scope.removeprefix(EDGE_SCOPE).rpartition("-")
        parent = await self._store.find_device(hub.hub_id, parent_id)
        if (
            parent is None
            or not parent.iot_edge
            or parent.generation_id != generation_id
            or parent_id == draft.device_id
            or not scope.startswith(EDGE_SCOPE)
        ):
            raise DeviceScopeInvalid(
                f"parentScopes: no other edge device of hub {hub.name!r} has the scope "
                f"{quoted(scope)}.",
                "Copy the deviceScope of the edge device; it is another once that was made anew.",
                field="parentScopes",
            )


def _loses_access(former: DeviceIdentity, identity: DeviceIdentity) -> bool:
    return former.authentication != identity.authentication or former.status is not identity.status


def _dump(document: Mapping[str, Any] | None) -> str | None:
    return None if document is None else json.dumps(document, separators=(",", ":"))


def _check_if_match(if_match: str, former: DeviceIdentity) -> None:
    if not etag_matches(if_match, former.etag):
        raise _stale(former.device_id)


def _stale(device_id: str) -> EtagMismatch:
    return EtagMismatch(
        f"Device {device_id!r} has changed since it was read (If-Match does not fit).",
        "Read it again, apply your change to what it is now, and send that with its etag.",
        field="If-Match",
    )


def _not_found(hub: Hub, device_id: str) -> DeviceNotFound:
    return DeviceNotFound(
        f"Hub {hub.name!r} has no device {device_id!r}.",
        "List the devices to see their ids; upper and lower case count.",
        field="deviceId",
    )
