"""Rows of a query: made of one document each, or of many."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mooring.cloud.hub.query.conditions import (
    UNDEFINED,
    Document,
    compile_condition,
    compile_path,
)
from mooring.cloud.hub.query.errors import QueryTooLarge
from mooring.protocol.azure.hub_queries import HubQuery
from mooring.protocol.azure.hub_queries.tree import Aggregate, AggregateFunction, Path
from mooring.protocol.azure.json_documents import encode_json

MAX_GROUPS = 10_000
"""Groups of one GROUP BY: a few megabytes that one query may hold. More are no summary."""

Row = dict[str, Any]
Filter = Callable[[Document], bool]


def compile_filter(query: HubQuery) -> Filter:
    """Return whether a document is taken, as a function."""
    return (lambda _document: True) if query.where is None else compile_condition(query.where)


def compile_projection(query: HubQuery) -> Callable[[Document], Row]:
    """Return the row that is made of one document, as a function; members may be missing in it."""
    if not query.items:
        return dict
    columns = [
        (name, compile_path(item.value))
        for name, item in zip(query.column_names, query.items, strict=True)
        if isinstance(item.value, Path)
    ]

    def project(document: Document) -> Row:
        row = ((name, evaluate(document)) for name, evaluate in columns)
        return {name: value for name, value in row if value is not UNDEFINED}

    return project


@dataclass(slots=True)
class _Numbers:
    """Sum and count of what are numbers; all else is left out."""

    count: int = 0
    total: float = 0

    def add(self, value: Any) -> None:
        if isinstance(value, int | float) and not isinstance(value, bool):
            self.count += 1
            self.total += value

    @property
    def sum(self) -> Any:
        return self.total if self.count and math.isfinite(self.total) else UNDEFINED

    @property
    def average(self) -> Any:
        return UNDEFINED if self.sum is UNDEFINED else self.total / self.count


@dataclass(slots=True)
class _Extreme:
    """The least or the greatest number or text; numbers are less than texts."""

    sign: int
    best: Any = UNDEFINED

    def add(self, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            return
        if self.best is UNDEFINED:
            self.best = value
            return
        ranks = isinstance(value, str), isinstance(self.best, str)
        less = ranks[0] < ranks[1] if ranks[0] != ranks[1] else value < self.best
        greater = not less and value != self.best
        if less if self.sign < 0 else greater:
            self.best = value


@dataclass(slots=True)
class _Group:
    """What is known so far of the documents that agree in what is grouped by."""

    keys: tuple[Any, ...]
    count: int = 0
    numbers: dict[Path, _Numbers] = field(default_factory=dict)
    least: dict[Path, _Extreme] = field(default_factory=dict)
    greatest: dict[Path, _Extreme] = field(default_factory=dict)


class Aggregation:
    """Takes documents in, and gives a row for each group of them."""

    def __init__(self, query: HubQuery) -> None:
        """Begin with no document; `query` is an aggregate."""
        self._query = query
        self._taken = compile_filter(query)
        self._keys = [compile_path(path) for path in query.group_by]
        aggregates = [item.value for item in query.items if isinstance(item.value, Aggregate)]
        paths = {aggregate.path for aggregate in aggregates if aggregate.path is not None}
        self._paths = {path: compile_path(path) for path in paths}
        self._groups: dict[bytes, _Group] = {}
        if not query.group_by:
            self._groups[b""] = self._new_group(())

    def add(self, document: Document) -> None:
        """Take `document` in, if the query asks for it.

        Raises:
            QueryTooLarge: It begins a group more than `MAX_GROUPS`.
        """
        if not self._taken(document):
            return
        group = self._group_of(document)
        group.count += 1
        for path, evaluate in self._paths.items():
            value = evaluate(document)
            group.numbers[path].add(value)
            group.least[path].add(value)
            group.greatest[path].add(value)

    def rows(self) -> list[Row]:
        """Return the rows of all groups, in the order of what is grouped by; TOP holds."""
        keys = sorted(self._groups)[: self._query.top]
        return [self._row(self._groups[key]) for key in keys]

    def _group_of(self, document: Document) -> _Group:
        if not self._keys:
            return self._groups[b""]
        values = tuple(evaluate(document) for evaluate in self._keys)
        # An array for each, empty for undefined: true, 1 and "1" are three groups.
        key = encode_json([[] if value is UNDEFINED else [_whole(value)] for value in values])
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) >= MAX_GROUPS:
                raise QueryTooLarge(
                    f"query: GROUP BY makes more than {MAX_GROUPS} groups.",
                    "Group by something that fewer values share, or narrow WHERE.",
                    field="query",
                )
            group = self._groups[key] = self._new_group(values)
        return group

    def _new_group(self, keys: tuple[Any, ...]) -> _Group:
        return _Group(
            keys,
            numbers={path: _Numbers() for path in self._paths},
            least={path: _Extreme(-1) for path in self._paths},
            greatest={path: _Extreme(1) for path in self._paths},
        )

    def _row(self, group: _Group) -> Row:
        row = {}
        for name, item in zip(self._query.column_names, self._query.items, strict=True):
            value = self._value(group, item.value)
            if value is not UNDEFINED:
                row[name] = value
        return row

    def _value(self, group: _Group, wanted: Path | Aggregate) -> Any:
        if isinstance(wanted, Path):
            return group.keys[self._query.group_by.index(wanted)]
        if wanted.path is None:
            return group.count
        match wanted.function:
            case AggregateFunction.AVG:
                return group.numbers[wanted.path].average
            case AggregateFunction.MIN:
                return group.least[wanted.path].best
            case AggregateFunction.MAX:
                return group.greatest[wanted.path].best
            case _:
                return group.numbers[wanted.path].sum


def _whole(value: Any) -> Any:
    """Return a number so that 1.0 is spelled as 1 is: they are equal."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
