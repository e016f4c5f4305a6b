"""Queries of the service API: a text that says which records, headers that say which page.

Azure: ``x-ms-max-item-count`` and ``x-ms-continuation``, in requests and answers alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from mooring.cloud.dps.documents.base import Document
from mooring.cloud.dps.errors import InputInvalid
from mooring.cloud.dps.queries import Condition, QueryField, to_conditions
from mooring.cloud.dps.service_api.requests import ServiceAnswer, ServiceRequest
from mooring.cloud.paging import Page, page_size
from mooring.protocol.azure.dps_queries import parse_dps_query
from mooring.protocol.azure.errors import quoted
from mooring.protocol.azure.json_documents import JsonObject

# In lower case on the wire: the .NET SDK looks them up by case, and fails without the type.
ITEM_TYPE = "x-ms-item-type"
MAX_ITEM_COUNT = "x-ms-max-item-count"
CONTINUATION = "x-ms-continuation"

MAX_COUNT_DIGITS = 9
"""Of a page size in the header; what is beyond `MAX_PAGE_ITEMS` gets that many."""

RecordT = TypeVar("RecordT")


class QueryBody(Document):
    """A query as a caller sends it."""

    query: str = ""


def read_conditions(
    request: ServiceRequest, fields: tuple[QueryField, ...]
) -> tuple[Condition, ...]:
    """Return what the body asks for; without one, and without a text in it, all.

    Raises:
        InputInvalid: A member that cannot be asked for, or a value that it cannot have.
        AzureError: The body is no JSON object, or the text is no query.
    """
    # Azure's Python SDK asks for a group's registrations without a body.
    text = request.document(QueryBody).query if request.body.strip() else ""
    return to_conditions(parse_dps_query(text).comparisons, fields) if text.strip() else ()


def read_limit(request: ServiceRequest) -> int | None:
    """Return how many items a page may have, or None. Raises InputInvalid."""
    given = request.headers.get(MAX_ITEM_COUNT, "").strip()
    if not given:
        return None
    if not given.isdecimal() or len(given) > MAX_COUNT_DIGITS or int(given) == 0:
        raise InputInvalid(
            f"{MAX_ITEM_COUNT}: {quoted(given)} is no number of items.",
            "Send a whole number from 1 on, or leave the header out.",
            field=MAX_ITEM_COUNT,
        )
    return int(given)


def read_continuation_header(request: ServiceRequest) -> str | None:
    """Return where the page begins."""
    return request.headers.get(CONTINUATION, "").strip() or None


async def page_answer(
    request: ServiceRequest,
    page: Page[RecordT],
    to_json: Callable[[RecordT], JsonObject],
    *,
    item_type: str,
) -> ServiceAnswer:
    """Return the answer that has `page`, and says what is in it and where the next begins."""
    headers = {ITEM_TYPE: item_type, MAX_ITEM_COUNT: str(page_size(read_limit(request)))}
    if page.continuation is not None:
        headers[CONTINUATION] = page.continuation
    # A thousand certificates take a tenth of a second to describe, which no device is to wait.
    documents = await asyncio.to_thread(lambda: [to_json(record) for record in page.items])
    return ServiceAnswer(documents, headers)
