"""The query text of the DPS service API: what clients send, and what is refused by name."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.protocol.azure.dps_queries import (
    MAX_QUERY_CHARS,
    Comparison,
    DpsQuery,
    parse_dps_query,
)
from mooring.protocol.azure.errors import QueryMalformed


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM enrollments",  # Python, .NET
        "SELECT * FROM enrollmentgroups",
        "SELECT * FROM enrollmentGroups",
        "select * from enrollments",  # Java's builder, PowerShell
        "SELECT *",  # the Azure CLI
        "*",  # Node's samples
        " select\t*\nfrom Registrations ; ",
        "SELECT*FROM deviceRegistrations",
    ],
)
def test_whole_collection_is_asked_for_in_every_way_that_clients_do(text: str) -> None:
    assert parse_dps_query(text) == DpsQuery()


@pytest.mark.parametrize(
    ("text", "comparisons"),
    [
        (
            "SELECT * FROM enrollments WHERE provisioningStatus = 'enabled'",
            [Comparison("provisioningStatus", "enabled")],
        ),
        (
            "select * where a='1' and b.c = \"it's\" AND d = TRUE",
            [Comparison("a", "1"), Comparison("b.c", "it's"), Comparison("d", True)],
        ),
        ("* where a = 'it''s' and b = false", [Comparison("a", "it's"), Comparison("b", False)]),
        ("* where select = 'and'", [Comparison("select", "and")]),
        ("* where a = ''", [Comparison("a", "")]),
    ],
)
def test_comparisons_are_read(text: str, comparisons: list[Comparison]) -> None:
    assert parse_dps_query(text) == DpsQuery(tuple(comparisons))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the end at character 1, where there must be *"),
        ("SELECT", "the end at character 7, where there must be *"),
        ("SELECT registrationId FROM enrollments", "'registrationId' at character 8"),
        ("SELECT COUNT() FROM enrollments", "'COUNT' at character 8"),
        ("SELECT * FROM devices", "'devices' at character 15"),
        ("SELECT * FROM", "the end at character 14"),
        ("SELECT * FROM enrollments e", "'e' at character 27, where there must be WHERE"),
        ("SELECT * ORDER BY a", "'ORDER' at character 10"),
        ("* WHERE", "the end at character 8, where there must be the name of a member"),
        ("* WHERE a", "the end at character 10, where there must be ="),
        ("* WHERE a != 'b'", "'!' at character 11, where there must be ="),
        ("* WHERE a = b", "'b' at character 13, where there must be a text in quotes"),
        ("* WHERE a = 5", "'5' at character 13"),
        ("* WHERE a = 'b", '"\'" at character 13'),
        ("* WHERE a = 'b' OR c = 'd'", "'OR' at character 17, where there must be AND"),
        ("* WHERE a = 'b' AND", "the end at character 20"),
        ("* WHERE NOT a = 'b'", "'a' at character 13, where there must be ="),
        ("* ; *", "'*' at character 5"),
        ("* WHERE \u00e4 = 'b'", "at character 9"),
    ],
)
def test_anything_else_is_refused_with_what_was_found_and_where(text: str, said: str) -> None:
    with pytest.raises(QueryMalformed) as caught:
        parse_dps_query(text)

    assert said in caught.value.message
    assert caught.value.message.startswith("query: ")
    assert caught.value.remedy
    assert caught.value.field == "query"


def test_text_beyond_the_limit_is_refused() -> None:
    with pytest.raises(QueryMalformed, match=str(MAX_QUERY_CHARS)):
        parse_dps_query("*" + " " * MAX_QUERY_CHARS)


@given(st.text(alphabet=st.sampled_from("SELECT*FROMwhereand ='\"\\;.ab1-\n\u00e4")))
def test_any_text_is_understood_or_refused(text: str) -> None:
    with contextlib.suppress(QueryMalformed):  # and nothing else
        parse_dps_query(text)


@given(st.text(max_size=200))
def test_any_value_in_quotes_is_read_back(value: str) -> None:
    spelled = value.replace("'", "''")

    query = parse_dps_query(f"* WHERE a = '{spelled}'")

    assert query.comparisons == (Comparison("a", value),)
