"""What a condition says of ids: no device that it is true of is passed over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.hub_queries import expressions

from mooring.cloud.hub.query.conditions import compile_condition
from mooring.cloud.hub.query.narrowing import Candidates, find_candidates
from mooring.protocol.azure.hub_queries import parse_hub_query
from mooring.protocol.azure.hub_queries.tree import (
    And,
    Call,
    Comparator,
    Comparison,
    Constant,
    Expression,
    Function,
    Membership,
    Not,
    Or,
    Path,
)

DEVICE_ID = Path(("deviceId",))
IDS = ["a", "ab", "abc", "b", "ba"]


@pytest.mark.parametrize(
    ("condition", "candidates"),
    [
        ("deviceId = 'b'", Candidates(("b",))),
        ("'b' = deviceId", Candidates(("b",))),
        ("deviceId = tags.x", Candidates()),
        ("deviceId IN ['b', 'a', 1, 'a']", Candidates(("a", "b"))),
        ("deviceId IN ['b', 'a'] AND DeviceId = 'a' AND tags.x = 1", Candidates(("a",))),
        ("STARTSWITH(deviceId, 'a') AND starts_with(deviceId, 'ab')", Candidates(None, "ab")),
        ("STARTSWITH(deviceId, 'ab') AND starts_with(deviceId, 'a')", Candidates(None, "ab")),
        ("startswith(deviceId, 'a') AND deviceId = 'b'", Candidates(("b",))),
        ("deviceId NIN ['a']", Candidates()),
        ("deviceId != 'a'", Candidates()),
        ("deviceId > 'a'", Candidates()),
        ("deviceId = 'a' OR tags.x = 1", Candidates()),
        ("NOT deviceId = 'a'", Candidates()),
        ("tags.deviceId = 'a'", Candidates()),
        ("endswith(deviceId, 'a')", Candidates()),
        ("startswith('a', deviceId)", Candidates()),
    ],
)
def test_candidates_are_found(condition: str, candidates: Candidates) -> None:
    where = parse_hub_query(f"SELECT * FROM devices WHERE {condition}").where

    assert find_candidates(where) == candidates


texts = st.sampled_from(IDS)
of_ids: st.SearchStrategy[Expression] = st.one_of(
    st.builds(lambda text: Comparison(Comparator.EQUAL, DEVICE_ID, Constant(text)), texts),
    st.builds(
        lambda values: Membership(DEVICE_ID, tuple(values)), st.lists(texts, min_size=1, max_size=4)
    ),
    st.builds(lambda text: Call(Function.STARTS_WITH, (DEVICE_ID, Constant(text))), texts),
    st.just(Comparison(Comparator.EQUAL, DEVICE_ID, DEVICE_ID)),
    st.just(Comparison(Comparator.EQUAL, DEVICE_ID, Path(("tags", "a")))),
    expressions,
)
conditions = st.one_of(
    of_ids,
    st.builds(Not, of_ids),
    st.lists(of_ids, min_size=2, max_size=3).map(lambda parts: And(tuple(parts))),
    st.lists(of_ids, min_size=2, max_size=3).map(lambda parts: Or(tuple(parts))),
)


@given(conditions, st.sampled_from(IDS), st.sampled_from([*IDS, 1]))
def test_no_device_that_fits_is_left_out(
    condition: Expression, device_id: str, tag: str | int
) -> None:
    document = {"deviceId": device_id, "tags": {"a": tag}}
    candidates = find_candidates(condition)

    if compile_condition(condition)(document):
        assert candidates.device_ids is None or device_id in candidates.device_ids
        assert device_id.startswith(candidates.prefix)
