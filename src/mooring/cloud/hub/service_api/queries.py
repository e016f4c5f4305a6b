"""Queries over twins in the service API: ``/devices/query``."""

from __future__ import annotations

from pydantic import BaseModel

from mooring.cloud.accounts.model import Right
from mooring.cloud.hub.service_api.requests import Operation, ServiceAnswer, ServiceRequest
from mooring.cloud.hub.throttling.model import HubLimit
from mooring.cloud.paging import MAX_PAGE_ITEMS

# In lower case on the wire: .NET looks them up by case, and fails without the type.
ITEM_TYPE = "x-ms-item-type"
MAX_ITEM_COUNT = "x-ms-max-item-count"
CONTINUATION = "x-ms-continuation"


class QueryBody(BaseModel):
    """A query as a caller sends it."""

    query: str


async def query(request: ServiceRequest) -> ServiceAnswer:
    """Answer a page of a query; headers say what its items are and where the next begins."""
    body = await request.reading(lambda: request.document(QueryBody))
    page = await request.services.hub.query.run(
        request.hub,
        body.query,
        limit=request.count(
            MAX_ITEM_COUNT, request.headers.get(MAX_ITEM_COUNT), most=MAX_PAGE_ITEMS
        ),
        continuation=request.headers.get(CONTINUATION, "").strip() or None,
    )
    request.throttle.charge(len(page.body))
    headers = {ITEM_TYPE: page.item_type.value}
    if page.continuation is not None:
        headers[CONTINUATION] = page.continuation
    return ServiceAnswer(headers=headers, encoded=page.body)


OPERATIONS = (
    Operation("POST", "/devices/query", Right.SERVICE_CONNECT, query, limit=HubLimit.QUERIES),
)
