"""Queries of back ends: a text in, a page of rows out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Protocol

from mooring.cloud.hub.model import Hub, RegistryCounts
from mooring.cloud.hub.query.continuations import Position, decode_position, encode_position
from mooring.cloud.hub.query.errors import QueriesFull, QueryNotServed, QueryTooLarge
from mooring.cloud.hub.query.model import ItemType, QueryPage
from mooring.cloud.hub.query.narrowing import find_candidates
from mooring.cloud.hub.query.rows import Aggregation, Row, compile_filter, compile_projection
from mooring.cloud.hub.query.scanning import TwinScan, TwinSource
from mooring.cloud.hub.twins.documents import twin_to_json
from mooring.cloud.hub.twins.model import Twin
from mooring.cloud.paging import page_size
from mooring.protocol.azure.hub_queries import HubQuery, parse_hub_query
from mooring.protocol.azure.hub_queries.tree import (
    Aggregate,
    AggregateFunction,
    Collection,
    Comparator,
    Comparison,
    Constant,
    Expression,
    Path,
)
from mooring.protocol.azure.json_documents import encode_json

MAX_PAGE_BYTES = 4 * 1024 * 1024
"""Size at which a page ends before it has as many rows as it may: one answer's memory."""

PAGE_TIME_S = 10.0
"""Seconds after which a page ends with what was found: a tenth of the time that SDKs wait."""

AGGREGATE_TIME_S = 80.0
"""Seconds that an aggregate may take; SDKs wait 100. At 100 µs a twin they are 800,000 devices."""

MAX_SCANS = 2
"""Queries that read at one time: as many as there are threads for reads."""

MAX_WAITING = 50
"""Queries that may wait for those; each of them costs a request's memory."""

_COUNT = Aggregate(AggregateFunction.COUNT)


class Registry(Protocol):
    """Whoever knows how many devices there are."""

    async def count(self, hub: Hub) -> RegistryCounts:
        """Return how many there are."""
        ...


class QueryService:
    """Answers queries over the twins of every hub, as they are at the time of the page.

    Nothing is held between pages: a device that comes, goes or changes in between is seen or
    not, depending on where its id stands. None is given twice.
    """

    def __init__(
        self,
        twins: TwinSource,
        registry: Registry,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read from `twins`; `monotonic` gives seconds."""
        self._twins = twins
        self._registry = registry
        self._monotonic = monotonic
        self._scans = asyncio.Semaphore(MAX_SCANS)
        self._waiting = 0

    async def run(
        self, hub: Hub, text: str, *, limit: int | None = None, continuation: str | None = None
    ) -> QueryPage:
        """Return a page of what `text` asks for, of `limit` rows if there are as many.

        Raises:
            mooring.protocol.azure.errors.QueryMalformed: The text is no query.
            QueryNotServed: It asks for modules or jobs.
            ContinuationInvalid: `continuation` is not of this query.
            QueryTooLarge: An aggregate has too many groups, or takes too long.
            QueriesFull: Too many wait already.
        """
        query = parse_hub_query(text)
        if query.collection is not Collection.DEVICES:
            raise QueryNotServed(
                f"query: {query.collection} cannot be queried: there are none yet.",
                "Query devices.",
                field="query",
            )
        position = decode_position(continuation, hub_id=hub.hub_id, text=text)
        make = self._aggregate if query.is_aggregate else self._select
        rows, beyond = await make(hub, query, position, page_size(limit))
        return QueryPage(
            tuple(rows),
            ItemType.RAW if query.items else ItemType.TWIN,
            None if beyond is None else encode_position(beyond, hub_id=hub.hub_id, text=text),
        )

    async def _select(
        self, hub: Hub, query: HubQuery, position: Position, size: int
    ) -> tuple[Sequence[bytes], Position | None]:
        """Return rows of one device each, and where the next page begins."""
        if query.top is not None:
            size = min(size, query.top - position.given)
        scan = TwinScan(self._twins, hub, find_candidates(query.where), position.after)
        page = _Page(query, scan, size)
        ends_at = self._monotonic() + PAGE_TIME_S
        async with self._turn(), aclosing(scan.chunks()) as chunks:
            async for chunk in chunks:
                await asyncio.to_thread(page.take, chunk)
                if page.is_full or self._monotonic() >= ends_at:
                    break
            else:
                return page.rows, None
            given = position.given + len(page.rows)
            if given == query.top or await scan.is_through():
                return page.rows, None
        return page.rows, Position(scan.after, given)

    async def _aggregate(
        self, hub: Hub, query: HubQuery, position: Position, size: int
    ) -> tuple[Sequence[bytes], Position | None]:
        """Return rows of many devices each; they are made anew for each page."""
        rows = await self._count(hub, query)
        if rows is None:
            rows = await self._scan_all(hub, query)
        end = position.given + size
        page = [encode_json(row) for row in rows[position.given : end]]
        return page, Position(None, end) if end < len(rows) else None

    async def _scan_all(self, hub: Hub, query: HubQuery) -> list[Row]:
        aggregation = Aggregation(query)
        scan = TwinScan(self._twins, hub, find_candidates(query.where))

        def add(chunk: Sequence[Twin]) -> None:
            for twin in chunk:
                aggregation.add(twin_to_json(twin))

        ends_at = self._monotonic() + AGGREGATE_TIME_S
        async with self._turn(), aclosing(scan.chunks()) as chunks:
            async for chunk in chunks:
                await asyncio.to_thread(add, chunk)
                scan.after = chunk[-1].identity.device_id
                if self._monotonic() >= ends_at:
                    raise QueryTooLarge(
                        f"query: after {AGGREGATE_TIME_S:.0f} seconds it was only at device "
                        f"{scan.after!r}.",
                        "Narrow it with STARTSWITH(deviceId, '…'), and add up the parts.",
                        field="query",
                    )
            return await asyncio.to_thread(aggregation.rows)

    async def _count(self, hub: Hub, query: HubQuery) -> list[Row] | None:
        """Return the row of a query that the registry's own counts answer; else None."""
        if query.group_by or [item.value for item in query.items] != [_COUNT]:
            return None
        if query.where not in {None, _has_status("enabled"), _has_status("disabled")}:
            return None
        counts = await self._registry.count(hub)
        count = counts.disabled if query.where == _has_status("disabled") else counts.total
        if query.where == _has_status("enabled"):
            count -= counts.disabled
        return [{query.column_names[0]: count}]

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Wait until fewer than `MAX_SCANS` read. Raises QueriesFull."""
        if self._waiting >= MAX_WAITING:
            raise QueriesFull(
                f"query: {MAX_WAITING} queries wait already.", "Send it again in a second."
            )
        self._waiting += 1
        try:
            await self._scans.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._scans.release()


class _Page:
    """Collects rows; used by one thread at a time."""

    def __init__(self, query: HubQuery, scan: TwinScan, size: int) -> None:
        self._is_wanted = compile_filter(query)
        self._project = compile_projection(query)
        self._scan = scan
        self._max_rows = size
        self._bytes = 0
        self.rows: list[bytes] = []

    @property
    def is_full(self) -> bool:
        return len(self.rows) >= self._max_rows or self._bytes >= MAX_PAGE_BYTES

    def take(self, chunk: Sequence[Twin]) -> None:
        """Take what is wanted of `chunk`, up to the first for which there is no room."""
        for twin in chunk:
            document = twin_to_json(twin)
            if self._is_wanted(document):
                if self.is_full:
                    return
                self.rows.append(encode_json(self._project(document)))
                self._bytes += len(self.rows[-1])
            self._scan.after = twin.identity.device_id


def _has_status(status: str) -> Expression:
    return Comparison(Comparator.EQUAL, Path(("status",)), Constant(status))
