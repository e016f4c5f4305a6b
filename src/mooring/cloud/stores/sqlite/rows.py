"""Between Python's values and SQLite's."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

from mooring.cloud.work import Work
from mooring.storage.database import Database

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

ResultT_co = TypeVar("ResultT_co", covariant=True)


def to_us(moment: datetime) -> int:
    """Return microseconds since 1970-01-01 UTC."""
    return (moment - _EPOCH) // MICROSECOND


def from_us(microseconds: int) -> datetime:
    """Return the aware UTC moment, exactly."""
    return _EPOCH + timedelta(microseconds=microseconds)


def to_us_or_none(moment: datetime | None) -> int | None:
    """Return microseconds, or None for None."""
    return None if moment is None else to_us(moment)


def from_us_or_none(microseconds: int | None) -> datetime | None:
    """Return the moment, or None for None."""
    return None if microseconds is None else from_us(microseconds)


def dump_json(document: Mapping[str, Any]) -> str:
    """Return a JSON object as the text that is kept."""
    return json.dumps(dict(document), separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class SqliteWork(Generic[ResultT_co]):
    """A prepared change: a function of the writing connection."""

    label: str
    run: Callable[[sqlite3.Connection], ResultT_co]


class SqliteCommitter:
    """Commits prepared works of any adapter of the same database."""

    def __init__(self, database: Database) -> None:
        """Write to `database`."""
        self._database = database

    async def commit(self, *works: Work[Any]) -> tuple[Any, ...]:
        """Run `works` in one savepoint of one transaction."""

        def run(connection: sqlite3.Connection) -> tuple[Any, ...]:
            results = []
            for work in works:
                assert isinstance(work, SqliteWork), f"{work.label}: prepared by another store"
                results.append(work.run(connection))
            return tuple(results)

        # A fleet registers together, and a device waits seconds before it polls.
        return await self._database.write(run, grouped=True)
