"""What a hub knows of twins, as frozen data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from mooring.cloud.hub.model import DeviceIdentity, Hub
from mooring.protocol.azure.json_documents import JsonObject
from mooring.protocol.azure.twins import TwinProperties


@dataclass(frozen=True, slots=True)
class Twin:
    """A device's twin, with the identity that its document shows.

    `version` counts every write, `etag` follows tags and desired properties. `model_id` is what
    the device said when it connected last. `cloud_to_device_message_count` is as of the call.
    """

    identity: DeviceIdentity
    etag: str
    version: int
    tags: JsonObject
    desired: TwinProperties
    reported: TwinProperties
    model_id: str | None
    cloud_to_device_message_count: int = 0


class TwinOperation(StrEnum):
    """How a twin was changed (Azure: ``opType`` of a twin change event)."""

    UPDATE = "updateTwin"
    REPLACE = "replaceTwin"


@dataclass(frozen=True, slots=True)
class TwinChange:
    """A change of a twin, on disk already."""

    hub: Hub
    device_id: str
    operation: TwinOperation
    changed_at: datetime
    version: int
    make_body: Callable[[], JsonObject]

    @property
    def body(self) -> JsonObject:
        """Return the body of the twin change event; made when it is asked for."""
        return self.make_body()


@dataclass(frozen=True, slots=True)
class DesiredChange:
    """A change of desired properties, on disk already; `body` is what the device is told."""

    hub: Hub
    device_id: str
    generation_id: str
    version: int
    body: bytes


ReportedDone: TypeAlias = Callable[[int | None, BaseException | None], None]
"""Called on the event loop: with the new version of the reported properties once they are on disk,
or else why they are not."""

TwinListener: TypeAlias = Callable[[TwinChange], None]
DesiredListener: TypeAlias = Callable[[DesiredChange], None]
