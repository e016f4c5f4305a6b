"""Several enrollments, or groups, in one request: each succeeds or fails by itself."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mooring.cloud.api.azure_errors import in_sentences
from mooring.cloud.api.errors import failure_of, log_failure
from mooring.cloud.dps.documents.base import Document
from mooring.cloud.dps.errors import AlreadyExists, InputInvalid
from mooring.cloud.dps.service_api.errors import error_code_of, words_of
from mooring.cloud.dps.service_api.requests import ServiceAnswer, ServiceRequest
from mooring.protocol.azure.error_codes import DpsErrorCode
from mooring.protocol.azure.errors import quoted
from mooring.protocol.azure.identifiers import fold_registration_id as fold
from mooring.protocol.azure.json_documents import JsonObject
from mooring.storage.errors import StorageUnavailable

MAX_ITEMS = 10
"""Azure: DPS limits, bulk operations."""

Item = dict[str, Any]


class BulkMode(StrEnum):
    """What is done to each item (Azure: ``mode``)."""

    CREATE = "create"
    UPDATE = "update"
    UPDATE_IF_MATCH_ETAG = "updateIfMatchETag"
    DELETE = "delete"


class BulkBody(Document):
    """A bulk operation as a caller sends it; each item is read by itself."""

    mode: str = ""
    enrollments: list[Item] | None = None
    enrollment_groups: list[Item] | None = None


@dataclass(frozen=True, slots=True)
class BulkKind:
    """What the items are.

    Attributes:
        member: Of the body, with the items.
        id_member: Of an item, with its id.
        put: Creates or replaces by an item and an If-Match value.
        find: Returns if there is a record of the id, else raises NotFound.
        delete: Deletes by id.
    """

    member: str
    id_member: str
    put: Callable[[str, Item, str | None], Awaitable[object]]
    find: Callable[[str], Awaitable[object]]
    delete: Callable[[str], Awaitable[object]]


async def run_bulk(request: ServiceRequest, kind: BulkKind) -> ServiceAnswer:
    """Do what the body asks for and return which items failed, and why.

    Raises:
        InputInvalid: The mode is unknown, there are no items or too many, or one has no id or
            that of another. Nothing is done then.
    """
    body = request.document(BulkBody)
    mode = _mode(body.mode)
    items = _items(body, kind)

    async def run(item_id: str, item: Item) -> JsonObject | None:
        try:
            await _run_item(mode, item_id, item, kind)
        except Exception as error:  # noqa: BLE001 - told for this item, and logged if it is ours
            code, words = _fault(error, kind)
            return {kind.id_member: item_id, "errorCode": int(code), "errorStatus": words}
        return None

    # At once, so that one commit carries them all.
    outcomes = await asyncio.gather(*(run(item_id, item) for item_id, item in items.items()))
    errors = [outcome for outcome in outcomes if outcome is not None]
    return ServiceAnswer({"isSuccessful": not errors, "errors": errors})


async def _run_item(mode: BulkMode, item_id: str, item: Item, kind: BulkKind) -> None:
    if mode is BulkMode.CREATE:
        try:
            await kind.put(item_id, item, None)
        except AlreadyExists as error:
            raise AlreadyExists(
                error.message,
                f"To replace it, use the mode {BulkMode.UPDATE}, or "
                f"{BulkMode.UPDATE_IF_MATCH_ETAG} with its etag.",
                field=kind.id_member,
            ) from error
        return
    await kind.find(item_id)
    if mode is BulkMode.DELETE:
        await kind.delete(item_id)
    elif mode is BulkMode.UPDATE:
        await kind.put(item_id, item, "*")
    else:
        etag = item.get("etag")
        if not isinstance(etag, str) or not etag:
            raise InputInvalid(
                "etag: missing.",
                f"Give the etag that was read last, or use the mode {BulkMode.UPDATE}.",
                field="etag",
            )
        await kind.put(item_id, item, etag)


def _mode(given: str) -> BulkMode:
    for mode in BulkMode:
        if mode.value.lower() == given.lower():
            return mode
    raise InputInvalid(
        f"mode: {quoted(given)} is not known." if given else "mode: missing.",
        f"Give one of {', '.join(BulkMode)}.",
        field="mode",
    )


def _items(body: BulkBody, kind: BulkKind) -> dict[str, Item]:
    """Return the items by their ids."""
    given = {"enrollments": body.enrollments, "enrollmentGroups": body.enrollment_groups}
    items = given[kind.member] or []
    if not 1 <= len(items) <= MAX_ITEMS:
        raise InputInvalid(
            f"{kind.member}: {len(items)} items, not 1 to {MAX_ITEMS}.",
            "Send them in several requests." if items else "Send the items to work on.",
            field=kind.member,
            code="bulk-items",
        )
    for number, item in enumerate(items):
        if not isinstance(item.get(kind.id_member), str):
            field = f"{kind.member}.{number}.{kind.id_member}"
            raise InputInvalid(
                f"{field}: missing, or no text.", "Give each item its id.", field=field
            )
    ((commonest, count),) = Counter(fold(item[kind.id_member]) for item in items).most_common(1)
    if count > 1:
        raise InputInvalid(
            f"{kind.member}: {quoted(commonest)} is there {count} times.",
            "Give each item once: there is no order among them.",
            field=kind.member,
            code="bulk-items",
        )
    return {item[kind.id_member]: item for item in items}


def _fault(error: Exception, kind: BulkKind) -> tuple[DpsErrorCode, str]:
    """Return number and words for what an item failed of."""
    code = error_code_of(error)
    if code is not None:
        return code, words_of(error)
    failure = failure_of(error)
    tracking_id = log_failure("POST", kind.member, error)
    code = DpsErrorCode.INTERNAL_ERROR
    if isinstance(error, StorageUnavailable):
        code = DpsErrorCode.SERVICE_UNAVAILABLE
    return code, f"{in_sentences(failure.message, failure.remedy)} Tracking id: {tracking_id}."
