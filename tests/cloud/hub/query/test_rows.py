"""Rows of queries: what SELECT takes of a document, and what aggregates make of many."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.cloud.hub.query import rows as rows_module
from mooring.cloud.hub.query.errors import QueryTooLarge
from mooring.cloud.hub.query.rows import Aggregation, compile_projection
from mooring.protocol.azure.hub_queries import parse_hub_query


def aggregated(text: str, *tags: Any) -> list[dict[str, Any]]:
    aggregation = Aggregation(parse_hub_query(text))
    for number, value in enumerate(tags):
        aggregation.add({"deviceId": f"d{number}", "tags": value})
    return aggregation.rows()


def test_projection_takes_what_is_there() -> None:
    text = "SELECT DeviceId, tags.a, tags.b AS [[my b]], tags.c FROM devices"
    project = compile_projection(parse_hub_query(text))

    row = project({"deviceId": "d", "tags": {"a": None, "b": {"x": [1]}}})

    assert row == {"deviceId": "d", "a": None, "my b": {"x": [1]}}


def test_aggregates_of_all_documents_are_one_row() -> None:
    text = (
        "SELECT COUNT() AS n, SUM(tags.a), AVG(tags.a), MIN(tags.a) AS low, MAX(tags.a) AS high "
        "FROM devices WHERE is_defined(tags.a)"
    )

    found = aggregated(text, {"a": 3}, {"a": 1.5}, {}, {"a": "x"}, {"a": True}, {"a": None})

    assert found == [{"n": 5, "$1": 4.5, "$2": 2.25, "low": 1.5, "high": "x"}]


def test_aggregates_of_nothing_leave_their_members_out() -> None:
    text = "SELECT COUNT(), SUM(tags.a), AVG(tags.a), MIN(tags.a), MAX(tags.a) FROM devices"

    assert aggregated(text) == [{"$1": 0}]
    assert aggregated(text, {}, {"a": {}}) == [{"$1": 2}]
    assert aggregated(f"{text} GROUP BY tags.b") == []


def test_groups_are_told_apart_by_kind_and_come_in_order() -> None:
    text = "SELECT tags.a, COUNT() AS n FROM devices GROUP BY tags.a"

    found = aggregated(
        text,
        *({"a": value} for value in ["b", 1, True, "1", None, 1.0, "b", {"x": 1}]),
        {},
        {},
    )

    assert sorted(found, key=repr) == sorted(
        [
            {"n": 2},
            {"a": None, "n": 1},
            {"a": True, "n": 1},
            {"a": 1, "n": 2},
            {"a": "1", "n": 1},
            {"a": "b", "n": 2},
            {"a": {"x": 1}, "n": 1},
        ],
        key=repr,
    )
    top = aggregated(text.replace("SELECT", "SELECT TOP 2"), {"a": "c"}, {"a": "b"}, {"a": "a"})
    assert top == [{"a": "a", "n": 1}, {"a": "b", "n": 1}]


def test_more_groups_than_allowed_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "MAX_GROUPS", 2)
    text = "SELECT COUNT() FROM devices GROUP BY tags.a"

    assert len(aggregated(text, {"a": 1}, {"a": 2}, {"a": 1})) == 2
    with pytest.raises(QueryTooLarge, match="more than 2 groups"):
        aggregated(text, {"a": 1}, {"a": 2}, {"a": 3})


# Whole numbers, whose sum depends on no order.
VALUES = st.one_of(st.integers(-100, 100), st.text(max_size=2), st.booleans(), st.none())


@given(st.lists(st.tuples(st.sampled_from(["x", "y", 1]), VALUES)))
def test_groups_are_what_a_naive_grouping_makes(documents: list[tuple[Any, Any]]) -> None:
    text = "SELECT tags.g, COUNT() AS n, SUM(tags.v) AS s, MAX(tags.v) AS m FROM devices GROUP BY "

    found = aggregated(f"{text} tags.g", *({"g": g, "v": v} for g, v in documents))

    assert {row["g"] for row in found} == {g for g, _ in documents}
    for row in found:
        mine = [v for g, v in documents if g == row["g"]]
        numbers = [v for v in mine if isinstance(v, int | float) and not isinstance(v, bool)]
        texts = [v for v in mine if isinstance(v, str)]
        assert row["n"] == len(mine)
        assert row.get("s") == (sum(numbers) if numbers else None)
        assert row.get("m") == (max(texts) if texts else max(numbers) if numbers else None)
