"""The port behind which the hub keeps twins.

Every device has a twin, made with it: version 2, both sections of properties in version 1, holding
the tags and desired properties that the device was created with. Deleting the device deletes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias

from mooring.cloud.hub.twins.model import Twin
from mooring.cloud.work import Work
from mooring.protocol.azure.json_documents import JsonObject


@dataclass(frozen=True, slots=True)
class TwinWrite:
    """What a back end writes to a twin at `at`; a section that is None is left alone.

    `replace` says that sections take the place of what is there, instead of being merged into it.
    `if_match` is an If-Match value that must fit the twin's etag, None for any.
    """

    tags: JsonObject | None
    desired: JsonObject | None
    replace: bool
    if_match: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class ReportedWrite:
    """A device's patch of its reported properties at `at`.

    It counts only while the device is of `generation_id`, and, unless it is None, the reported
    properties are in `base_version`. `size_bytes` is the patch's as it came.
    """

    generation_id: str
    patch: JsonObject
    base_version: int | None
    at: datetime
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ReportedWritten:
    """What became of a device's patch."""

    version: int
    reported_version: int


class NoSuchTwin(Exception):
    """There is no such device, or it is of another generation."""


class TwinChanged(Exception):
    """The etag or the base version is not the current one."""


TwinDone: TypeAlias = Callable[[Twin | None, BaseException | None], None]
WrittenDone: TypeAlias = Callable[[ReportedWritten | None, BaseException | None], None]


class TwinStore(Protocol):
    """Twins of all hubs.

    What is submitted is written and answered in that order, each on what the one before left.
    Besides what is listed, `done` gets mooring.storage.errors.StorageUnavailable; submitting
    raises its QueueFull when too much waits already.
    """

    def device_document(self, hub_id: int, device_id: str, generation_id: str) -> bytes | None:
        """Return desired and reported properties as a device is shown them, in microseconds.

        None when there is no such device, or one of another generation.
        """
        ...

    def find_twin(self, hub_id: int, device_id: str) -> Twin | None:
        """Return one, in microseconds."""
        ...

    async def scan_twins(self, hub_id: int, *, after: str | None, limit: int) -> Sequence[Twin]:
        """Return up to `limit` by device id, beyond `after`; identities as they are stored."""
        ...

    def submit_twin(
        self, hub_id: int, device_id: str, write: TwinWrite, done: TwinDone, *, size_bytes: int
    ) -> None:
        """Write tags and desired properties; `done` gets the twin after the commit.

        Or it gets NoSuchTwin, TwinChanged, or mooring.protocol.azure.errors.TwinTooLarge.
        """
        ...

    def prepare_twin(self, hub_id: int, device_id: str, write: TwinWrite) -> Work[Twin]:
        """Prepare to write tags and desired properties, in one commit with something else.

        The work raises what `submit_twin` gives to `done`.
        """
        ...

    def submit_reported(
        self, hub_id: int, device_id: str, write: ReportedWrite, done: WrittenDone
    ) -> None:
        """Merge a device's patch; `done` is called after the commit.

        Or it gets NoSuchTwin, TwinChanged, or mooring.protocol.azure.errors.TwinTooLarge.
        """
        ...

    def find_model_id(self, hub_id: int, device_id: str) -> str | None:
        """Return what model a device said that it is, in microseconds; None for none."""
        ...

    def submit_model_id(
        self,
        hub_id: int,
        device_id: str,
        generation_id: str,
        model_id: str | None,
        done: Callable[[None, BaseException | None], None],
    ) -> None:
        """Note what model a device says that it is; nothing if it is of another generation."""
        ...
