"""Bulk operations: records in companies that one call takes; a busy service is waited for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from mooring.cli.api import ApiError

MAX_WAITS = 20
"""Times in a row that a service which is busy (429, 503) is waited for."""

WAIT_S = 2
"""How long, unless it says so itself."""

MAX_WAIT_S = 60

_BUSY = (429, 503)

T = TypeVar("T")


def in_companies(
    records: Iterable[dict[str, Any]],
    *,
    key: Callable[[dict[str, Any]], str],
    most: int,
    chars: int,
) -> Iterator[list[dict[str, Any]]]:
    """Yield `records` in their order, at most `most` or `chars` characters of JSON at a time.

    No `key` is twice in one company, since there is no order among its records.
    """
    company: dict[str, dict[str, Any]] = {}
    room = chars
    for record in records:
        name, size = key(record), len(json.dumps(record))
        if company and (len(company) == most or size > room or name in company):
            yield list(company.values())
            company, room = {}, chars
        company[name] = record
        room -= size
    if company:
        yield list(company.values())


def when_free(call: Callable[[], T], sleep: Callable[[float], None]) -> T:
    """Return what `call` returns, called again while the service says that it is busy.

    Raises:
        ApiError: It is busy all the time, or says something else.
    """
    waits = 0
    while True:
        try:
            return call()
        except ApiError as error:
            if error.status not in _BUSY or waits == MAX_WAITS:
                raise
            waits += 1
            sleep(min(error.retry_after_s or WAIT_S, MAX_WAIT_S))
