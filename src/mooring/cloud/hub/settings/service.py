"""Settings of all hubs: few, and all known in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from mooring.cloud.hub.model import Hub
from mooring.cloud.hub.settings.documents import read_settings, settings_to_json
from mooring.cloud.hub.settings.model import DEFAULT_SETTINGS, HubSettings
from mooring.protocol.azure.json_documents import decode_object, encode_json
from mooring.protocol.azure.json_members import Members

MAX_DOCUMENT_BYTES = 64 * 1024
"""A settings document has some hundred bytes."""


class SettingsStore(Protocol):
    """The port behind which settings are kept; rules as in `mooring.cloud.hub.store`."""

    async def load_settings(self) -> dict[int, str]:
        """Return the documents of all hubs that have one, by hub id."""
        ...

    async def save_settings(self, hub_id: int, document: str) -> None:
        """Keep the document of a hub."""
        ...


class SettingsService:
    """How each hub behaves."""

    def __init__(self, store: SettingsStore) -> None:
        """Know nothing yet; `load` first."""
        self._store = store
        self._settings: dict[int, HubSettings] = {}
        self._listeners: list[Callable[[Hub, HubSettings], None]] = []

    async def load(self) -> None:
        """Know what the store holds."""
        for hub_id, text in (await self._store.load_settings()).items():
            document = decode_object(text.encode(), max_bytes=MAX_DOCUMENT_BYTES)
            self._settings[hub_id] = read_settings(Members(document), DEFAULT_SETTINGS)

    def of(self, hub: Hub) -> HubSettings:
        """Return how `hub` behaves now."""
        return self._settings.get(hub.hub_id, DEFAULT_SETTINGS)

    def on_change(self, listener: Callable[[Hub, HubSettings], None]) -> None:
        """Call `listener` after each change, with what holds from then on."""
        self._listeners.append(listener)

    async def update(self, hub: Hub, document: Members) -> HubSettings:
        """Change what `document` names; the rest stays.

        Raises:
            InputInvalid, PayloadMalformed: A value is wrong; nothing has changed.
        """
        settings = read_settings(document, self.of(hub))
        await self._store.save_settings(
            hub.hub_id, encode_json(settings_to_json(settings)).decode("ascii")
        )
        self._settings[hub.hub_id] = settings
        for listener in self._listeners:
            listener(hub, settings)
        return settings
