"""From the text of a query to its tree, by recursive descent: the clauses."""

from __future__ import annotations

from mooring.protocol.azure.errors import quoted
from mooring.protocol.azure.hub_queries.cursor import ABSENT, Cursor
from mooring.protocol.azure.hub_queries.expressions import KEYWORDS, ExpressionReader, take_path
from mooring.protocol.azure.hub_queries.lexer import MAX_QUERY_CHARS, Kind, malformed, number_of
from mooring.protocol.azure.hub_queries.tree import (
    Aggregate,
    AggregateFunction,
    Collection,
    HubQuery,
    Path,
    SelectItem,
)

MAX_TOP = 1_000_000_000
"""Largest n of TOP n: beyond what a hub can hold."""

_AGGREGATES = {function.value: function for function in AggregateFunction}
_AN_ELEMENT = "a path such as tags.site, COUNT(), AVG, SUM, MIN or MAX"


def parse_hub_query(text: str) -> HubQuery:
    """Return what `text` asks for; keywords are in any case, a semicolon may end it.

    Raises:
        QueryMalformed: It breaks the grammar or a limit: what was found, where, and what there
            must be instead; or it uses what the language does not have.
    """
    if len(text) > MAX_QUERY_CHARS:
        raise malformed(
            f"{len(text)} characters; at most {MAX_QUERY_CHARS} are allowed",
            "Ask in several queries.",
        )
    cursor = Cursor(text)
    cursor.want("select")
    top = _take_top(cursor) if cursor.took("top") else None
    items = _take_select_list(cursor)
    cursor.want("from")
    collection = _take_collection(cursor)
    reader = ExpressionReader(cursor, collection, _take_alias(cursor))
    where = reader.take_condition() if cursor.took("where") else None
    group_by: tuple[Path, ...] = ()
    if cursor.took("group"):
        cursor.want("by")
        group_by = reader.take_paths()
    cursor.took_sign(";")
    if cursor.next.kind is not Kind.END:
        if group_by:
            raise cursor.fault("a comma or the end")
        raise cursor.fault(f"{'WHERE' if where is None else 'AND, OR'}, GROUP BY or the end")
    # What FROM names is known only now, and SELECT may use it.
    items = tuple(SelectItem(_in_document(reader, item.value), item.alias) for item in items)
    query = HubQuery(collection, items, top, where, group_by)
    _check_select_list(query)
    return query


def _take_top(cursor: Cursor) -> int:
    number = number_of(cursor.next) if cursor.next.kind is Kind.NUMBER else None
    if not isinstance(number, int) or not 0 < number <= MAX_TOP:
        raise cursor.fault(f"a whole number from 1 to {MAX_TOP}")
    cursor.take()
    return number


def _take_select_list(cursor: Cursor) -> tuple[SelectItem, ...]:
    if cursor.took_sign("*"):
        if cursor.sees_sign(","):
            raise cursor.fault("FROM: * is given alone")
        return ()
    items = [_take_select_item(cursor)]
    while cursor.took_sign(","):
        items.append(_take_select_item(cursor))
    return tuple(items)


def _take_select_item(cursor: Cursor) -> SelectItem:
    value: Path | Aggregate
    token = cursor.next
    if token.word and cursor.peek().text == "(":
        function = _AGGREGATES.get(token.word)
        if function is None:
            raise cursor.fault(_AN_ELEMENT)
        value = _take_aggregate(cursor, function)
    elif cursor.sees_name():
        value = take_path(cursor)
    else:
        raise cursor.fault(f"*, {_AN_ELEMENT}")
    alias = cursor.take_name("a name after AS") if cursor.took("as") else None
    return SelectItem(value, alias)


def _take_aggregate(cursor: Cursor, function: AggregateFunction) -> Aggregate:
    cursor.count_term()
    cursor.take()
    cursor.want_sign("(")
    path = None
    if function is not AggregateFunction.COUNT:
        path = take_path(cursor)
    elif not cursor.sees_sign(")"):
        raise cursor.fault("): COUNT() counts documents and has no argument")
    cursor.want_sign(")")
    return Aggregate(function, path)


def _take_collection(cursor: Cursor) -> Collection:
    if not cursor.took("devices"):
        raise cursor.fault("devices")
    if not cursor.took_sign("."):
        return Collection.DEVICES
    for collection in (Collection.MODULES, Collection.JOBS):
        if cursor.took(collection.value.partition(".")[2]):
            return collection
    raise cursor.fault("modules or jobs")


def _take_alias(cursor: Cursor) -> str | None:
    if cursor.took("as"):
        return cursor.take_name("a name after AS")
    word = cursor.next.word
    if cursor.sees_name() and word not in KEYWORDS and word not in ABSENT:
        return cursor.take_name("a name")
    return None


def _in_document(reader: ExpressionReader, value: Path | Aggregate) -> Path | Aggregate:
    if isinstance(value, Path):
        return reader.in_document(value)
    if value.path is None:
        return value
    return Aggregate(value.function, reader.in_document(value.path))


def _check_select_list(query: HubQuery) -> None:
    """Raise QueryMalformed if rows could not be made as SELECT and GROUP BY say."""
    if query.group_by and not query.items:
        raise malformed(
            "SELECT * cannot go with GROUP BY",
            "Select what is grouped by, COUNT() and other aggregates.",
        )
    if query.is_aggregate:
        for item in query.items:
            if isinstance(item.value, Path) and item.value not in query.group_by:
                raise malformed(
                    f"{quoted(str(item.value))} is selected beside aggregates and not grouped by",
                    "Add it to GROUP BY, or leave it out of SELECT.",
                )
    names = query.column_names
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise malformed(
            f"two members of SELECT are named {quoted(twice)}",
            "Give each a name of its own with AS.",
        )
