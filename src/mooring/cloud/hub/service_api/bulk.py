"""Several device identities in one request, ``POST /devices``: each succeeds or fails by itself."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import AliasChoices, Field

from mooring.cloud.accounts.model import Right
from mooring.cloud.api.azure_errors import in_sentences
from mooring.cloud.api.errors import failure_of, log_failure
from mooring.cloud.api.hub_errors import error_code_of, words_of
from mooring.cloud.etags import ANY
from mooring.cloud.hub.documents import IdentityBody
from mooring.cloud.hub.errors import (
    DeviceAlreadyExists,
    DeviceNotFound,
    HubError,
    InputInvalid,
)
from mooring.cloud.hub.service_api.requests import (
    Operation,
    ServiceAnswer,
    ServiceRequest,
    read_document,
)
from mooring.cloud.hub.throttling.model import HubLimit
from mooring.cloud.hub.twins.errors import twin_invalid
from mooring.cloud.preconditions import MAX_TRIES
from mooring.protocol.azure.error_codes import HubErrorCode
from mooring.protocol.azure.errors import PayloadMalformed, quoted
from mooring.protocol.azure.json_documents import JsonObject
from mooring.protocol.azure.twins import (
    TwinSection,
    TwinUpdate,
    check_section,
    read_twin_update,
)

MAX_ITEMS = 100
"""Azure: identity registry, bulk operations."""


ITEMS_PER_TURN = 5
"""Items begun before others get their turn: a large twin takes some milliseconds."""


class ImportMode(StrEnum):
    """What is done with one device (Azure: ``importMode``)."""

    CREATE = "create"
    UPDATE = "update"
    UPDATE_IF_MATCH_ETAG = "updateIfMatchETag"
    DELETE = "delete"
    DELETE_IF_MATCH_ETAG = "deleteIfMatchETag"
    CREATE_OR_UPDATE = "createOrUpdate"
    CREATE_OR_UPDATE_IF_MATCH_ETAG = "createOrUpdateIfMatchETag"
    UPDATE_TWIN = "updateTwin"
    UPDATE_TWIN_IF_MATCH_ETAG = "updateTwinIfMatchETag"

    @property
    def needs_etag(self) -> bool:
        """Return whether the item must have an etag, its own or its twin's."""
        return self.endswith("IfMatchETag")


_UPDATE_MODES = (ImportMode.UPDATE, ImportMode.UPDATE_IF_MATCH_ETAG)
_DELETE_MODES = (ImportMode.DELETE, ImportMode.DELETE_IF_MATCH_ETAG)
_TWIN_MODES = (ImportMode.UPDATE_TWIN, ImportMode.UPDATE_TWIN_IF_MATCH_ETAG)
_MODES = {mode.lower(): mode for mode in ImportMode}


class BulkItem(IdentityBody):
    """One device as a caller sends it."""

    # The specification has eTag, Node's SDK sends etag.
    etag: str | None = Field(None, validation_alias=AliasChoices("eTag", "etag"))
    twin_etag: str | None = Field(None, validation_alias=AliasChoices("twinETag", "twinEtag"))
    import_mode: str = ImportMode.CREATE_OR_UPDATE
    tags: dict[str, Any] | None = None
    properties: dict[str, Any] | None = None

    def twin(self) -> TwinUpdate:
        """Return tags and desired properties; reported ones are the device's to write.

        Raises:
            InputInvalid: They break a rule of twins; 413001 for their size.
        """
        try:
            twin = read_twin_update({"tags": self.tags, "properties": self.properties})
            check_section(twin.tags or {}, TwinSection.TAGS)
            check_section(twin.desired or {}, TwinSection.DESIRED)
        except PayloadMalformed as error:
            raise twin_invalid(error) from error
        return twin


@dataclass(frozen=True, slots=True)
class _ReadItem:
    """An item as it was sent; what it asks for, or else why that cannot be read."""

    device_id: str
    document: dict[str, Any]
    body: BulkItem | None = None
    mode: ImportMode | None = None
    twin: TwinUpdate | None = None
    fault: Exception | None = None


async def run_bulk(request: ServiceRequest) -> ServiceAnswer:
    """Create, replace or delete up to 100 devices; says which failed, and why.

    Raises:
        InputInvalid: There are no items or too many, or one has no id or that of another.
            Nothing is done then.
    """
    items = await request.reading(lambda: _read_items(request))

    async def run(item: _ReadItem) -> JsonObject | None:
        try:
            if item.fault is not None:
                raise item.fault
            await _run_item(request, item)
        except Exception as error:  # noqa: BLE001 - told for this item, and logged if it is ours
            return _failed(item.device_id, item.document, error)
        return None

    # Together, so that a commit carries many; a few at each turn, so that devices get theirs.
    tasks = []
    async with asyncio.TaskGroup() as group:
        for number, item in enumerate(items):
            tasks.append(group.create_task(run(item)))
            if number % ITEMS_PER_TURN == 0:
                await asyncio.sleep(0)
    outcomes = [task.result() for task in tasks]
    errors = [outcome for outcome in outcomes if outcome is not None]
    document: JsonObject = {"isSuccessful": not errors, "errors": errors, "warnings": []}
    if not errors:
        return ServiceAnswer(document)
    code = HubErrorCode.BULK_REGISTRY_OPERATION_FAILURE
    return ServiceAnswer(document, {"iothub-errorcode": code.wire_name}, status=code.http_status)


OPERATIONS = (
    Operation(
        "POST", "/devices", Right.REGISTRY_WRITE, run_bulk, limit=HubLimit.REGISTRY_OPERATIONS
    ),
)


async def _run_item(request: ServiceRequest, read: _ReadItem) -> None:
    device_id, item, mode = read.device_id, read.body, read.mode
    assert item is not None
    assert mode is not None
    twin = read.twin or TwinUpdate(None, None)
    if mode in _TWIN_MODES:
        await _write_twin(request, device_id, item, mode, twin)
        return
    hub, devices = request.hub, request.services.hub.devices
    if mode in _DELETE_MODES:
        await devices.delete(hub, device_id, if_match=_if_match(item, mode))
        return
    draft = item.to_draft(device_id, tags=twin.tags, desired=twin.desired)

    async def create() -> None:
        await devices.put(hub, draft)

    async def update() -> None:
        await devices.put(hub, draft, if_match=_if_match(item, mode))
        if twin.tags is not None or twin.desired is not None:
            # Azure: the twin's etag is looked at for itself, and only where one is given.
            await request.services.hub.twins.replace(
                hub,
                device_id,
                tags=twin.tags,
                desired=twin.desired,
                if_match=item.twin_etag or None,
            )

    if mode in _UPDATE_MODES:
        await update()
    elif mode is ImportMode.CREATE:
        try:
            await create()
        except DeviceAlreadyExists as error:
            raise DeviceAlreadyExists(
                error.message,
                f"To replace it, use the mode {ImportMode.UPDATE} or "
                f"{ImportMode.CREATE_OR_UPDATE}.",
            ) from error
    else:
        await _create_or(create, update)


async def _create_or(
    create: Callable[[], Awaitable[None]], update: Callable[[], Awaitable[None]]
) -> None:
    """Create, or update what is there; again when it goes in between."""
    for _ in range(MAX_TRIES - 1):
        try:
            await create()
        except DeviceAlreadyExists:
            try:
                await update()
            except DeviceNotFound:
                continue
        return
    await create()


async def _write_twin(
    request: ServiceRequest, device_id: str, item: BulkItem, mode: ImportMode, twin: TwinUpdate
) -> None:
    if_match = _etag("twinETag", item.twin_etag, mode) if mode.needs_etag else None
    await request.services.hub.twins.patch(
        request.hub, device_id, tags=twin.tags, desired=twin.desired, if_match=if_match
    )


def _mode(given: str) -> ImportMode:
    mode = _MODES.get(given.lower())  # Node's SDK sends some with a capital
    if mode is None:
        raise InputInvalid(
            f"importMode: {quoted(given)} is not known.",
            f"Give one of {', '.join(ImportMode)}.",
            field="importMode",
        )
    return mode


def _if_match(item: BulkItem, mode: ImportMode) -> str:
    return _etag("eTag", item.etag, mode) if mode.needs_etag else ANY


def _etag(member: str, given: str | None, mode: ImportMode) -> str:
    if not given:
        raise InputInvalid(
            f"{member}: missing.",
            f"The mode {mode} needs the etag that was read last.",
            field=member,
        )
    return given


def _read_item(number: int, document: dict[str, Any]) -> _ReadItem:
    device_id = document["id"]
    try:
        if document.get("moduleId"):
            raise HubError(
                "moduleId: this hub holds no module identities.",
                "Leave the modules out; docs/coverage.md lists what there is.",
                error_code=HubErrorCode.INVALID_OPERATION,
            )
        body = read_document(BulkItem, document, where=str(number))
        mode = _mode(body.import_mode)
        if mode in _DELETE_MODES:
            return _ReadItem(device_id, document, body, mode)
        return _ReadItem(device_id, document, body, mode, body.twin())
    except Exception as error:  # noqa: BLE001 - told for this item, and logged if it is ours
        return _ReadItem(device_id, document, fault=error)


def _read_items(request: ServiceRequest) -> list[_ReadItem]:
    items = request.value()
    if not isinstance(items, list) or not 1 <= len(items) <= MAX_ITEMS:
        count = (
            f"{len(items)} items, not 1 to {MAX_ITEMS}" if isinstance(items, list) else "no list"
        )
        raise InputInvalid(
            f"body: {count}.",
            f"Send a JSON array of 1 to {MAX_ITEMS} devices; more in several requests.",
            field="body",
        )
    for number, item in enumerate(items):
        if not isinstance(item, dict) or not isinstance(item.get("id"), str):
            raise InputInvalid(
                f"{number}.id: missing, or no text.",
                "Give each device its id.",
                field=f"{number}.id",
            )
    ((commonest, times),) = Counter(
        (item["id"], str(item.get("moduleId") or "")) for item in items
    ).most_common(1)
    if times > 1:
        raise InputInvalid(
            f"body: {quoted(commonest[0])} is there {times} times.",
            "Give each device once: there is no order among them.",
            field="body",
        )
    return [_read_item(number, item) for number, item in enumerate(items)]


def _failed(device_id: str, item: dict[str, Any], error: Exception) -> JsonObject:
    """Return what is told of an item that failed (Azure: DeviceRegistryOperationError)."""
    code, words = error_code_of(error), words_of(error)
    if code is None:
        failure = failure_of(error)
        code = (
            HubErrorCode.SERVICE_UNAVAILABLE if failure.status == 503 else HubErrorCode.SERVER_ERROR
        )
        tracking_id = log_failure("POST", "/devices", error)
        words = f"{in_sentences(failure.message, failure.remedy)} Tracking id: {tracking_id}."
    module_id, mode = item.get("moduleId"), item.get("importMode")
    return {
        "deviceId": device_id,
        "moduleId": module_id if isinstance(module_id, str) else "",
        "errorCode": code.wire_name,  # Python's model wants the name
        "errorStatus": words,
        "operation": mode if isinstance(mode, str) else ImportMode.CREATE_OR_UPDATE,
    }
