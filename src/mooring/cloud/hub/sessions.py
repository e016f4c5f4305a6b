"""MQTT sessions: what a device stays subscribed to while it is away.

Azure's SDKs connect without clean session, and Python's subscribes once only: a hub that forgot
would silently send nothing more (MQTT 3.1.1 §3.1.2.4).
"""

from __future__ import annotations

from mooring.cloud.hub.store import HubStore, Saved


class SessionService:
    """The kept sessions of all hubs' devices.

    Subscriptions are a number, see `mooring.cloud.hub.mqtt.subscriptions`; 0 is no session.
    """

    def __init__(self, store: HubStore) -> None:
        """Work on `store`."""
        self._store = store

    def find(self, hub_id: int, device_id: str, generation_id: str) -> int:
        """Return what the device of that generation is subscribed to; 0 without a session."""
        found = self._store.find_session(hub_id, device_id)
        if found is None or found[0] != generation_id:
            return 0
        return found[1]

    def save(
        self, hub_id: int, device_id: str, generation_id: str, subscriptions: int, *, saved: Saved
    ) -> None:
        """Keep `subscriptions`; call `saved` after the commit.

        Raises:
            mooring.storage.errors.StorageUnavailable: Too much waits already.
        """
        self._store.save_session(hub_id, device_id, generation_id, subscriptions, saved)

    async def discard(self, hub_id: int, device_id: str) -> None:
        """Drop a session. Raises mooring.storage.errors.StorageUnavailable."""
        await self._store.discard_session(hub_id, device_id)
