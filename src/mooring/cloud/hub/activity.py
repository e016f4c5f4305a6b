"""Connection state and last activity: exact in memory, written now and then.

They change with every packet and nobody is promised them, so they cost no commit of their own.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

from mooring.cloud.hub.model import ConnectionState, DeviceIdentity, Hub
from mooring.cloud.hub.store import DeviceActivity, HubStore
from mooring.runtime.clock import Clock
from mooring.runtime.logs import get_logger
from mooring.storage.errors import StorageUnavailable

FLUSH_DEVICES = 500
"""Devices written at one time, so that no registration waits long behind them."""

_log = get_logger("cloud.hub.activity")
_NOTHING = DeviceActivity(None, None, None)


class ActivityLedger:
    """What was seen of devices since it was last written."""

    def __init__(self, store: HubStore, clock: Clock) -> None:
        """Write to `store`."""
        self._store = store
        self._clock = clock
        self._seen: dict[tuple[int, str], DeviceActivity] = {}
        # On its way to the store: not there yet, and no longer in `_seen`.
        self._writing: dict[tuple[int, str], DeviceActivity] = {}
        self._connected: dict[int, set[str]] = {}

    def connected(self, hub: Hub, device_id: str) -> None:
        """Note a connection."""
        now = self._clock.now()
        self._seen[hub.hub_id, device_id] = DeviceActivity(ConnectionState.CONNECTED, now, now)
        self._connected.setdefault(hub.hub_id, set()).add(device_id)

    def disconnected(self, hub: Hub, device_id: str) -> None:
        """Note the end of a connection."""
        key = (hub.hub_id, device_id)
        seen = self._seen.get(key, _NOTHING)
        self._seen[key] = DeviceActivity(
            ConnectionState.DISCONNECTED, self._clock.now(), seen.last_activity_at
        )
        self._connected.get(hub.hub_id, set()).discard(device_id)

    def active(self, hub: Hub, device_id: str) -> None:
        """Note activity."""
        key = (hub.hub_id, device_id)
        seen = self._seen.get(key, _NOTHING)
        self._seen[key] = DeviceActivity(
            seen.connection_state, seen.connection_state_updated_at, self._clock.now()
        )

    def forget(self, hub: Hub, device_id: str) -> None:
        """Drop what is known of a device that is gone."""
        self._seen.pop((hub.hub_id, device_id), None)
        self._writing.pop((hub.hub_id, device_id), None)
        self._connected.get(hub.hub_id, set()).discard(device_id)

    def count_connected(self, hub: Hub) -> int:
        """Return how many devices are connected now."""
        return len(self._connected.get(hub.hub_id, ()))

    def applied(self, hub: Hub, identity: DeviceIdentity) -> DeviceIdentity:
        """Return `identity`, as it was stored, with what was seen since."""
        key = (hub.hub_id, identity.device_id)
        seen, older = self._seen.get(key), self._writing.get(key)
        if seen is None:
            seen = older
        elif older is not None:
            seen = _merged(older, seen)
        if seen is None:
            return identity
        return replace(
            identity,
            connection_state=seen.connection_state or identity.connection_state,
            connection_state_updated_at=seen.connection_state_updated_at
            or identity.connection_state_updated_at,
            last_activity_at=seen.last_activity_at or identity.last_activity_at,
        )

    async def flush(self) -> None:
        """Write what was seen; what cannot be written is kept for the next time."""
        if self._writing:
            return  # another flush is under way
        self._writing, self._seen = self._seen, {}
        try:
            while keys := list(itertools.islice(self._writing, FLUSH_DEVICES)):
                chunk = {key: self._writing[key] for key in keys}
                await self._store.save_activity(chunk)
                for key in keys:
                    self._writing.pop(key, None)
        except StorageUnavailable as error:
            _log.warning("device activity not written", reason=error.message)
        finally:
            for key, older in self._writing.items():
                newer = self._seen.get(key)
                self._seen[key] = older if newer is None else _merged(older, newer)
            self._writing = {}


def _merged(older: DeviceActivity, newer: DeviceActivity) -> DeviceActivity:
    return DeviceActivity(
        newer.connection_state or older.connection_state,
        newer.connection_state_updated_at or older.connection_state_updated_at,
        newer.last_activity_at or older.last_activity_at,
    )
