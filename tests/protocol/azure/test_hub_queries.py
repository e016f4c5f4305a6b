"""The query language of IoT Hub: what clients send, and what is refused by name."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.hub_queries import print_query, queries

from mooring.protocol.azure.errors import QueryMalformed
from mooring.protocol.azure.hub_queries import HubQuery, parse_hub_query
from mooring.protocol.azure.hub_queries.cursor import MAX_NESTING, MAX_TERMS
from mooring.protocol.azure.hub_queries.lexer import MAX_QUERY_CHARS
from mooring.protocol.azure.hub_queries.tree import (
    Aggregate,
    AggregateFunction,
    And,
    Arithmetic,
    ArithmeticOperator,
    Call,
    Collection,
    Comparator,
    Comparison,
    Constant,
    Expression,
    Function,
    Membership,
    Negation,
    Not,
    Or,
    Path,
    SelectItem,
    Undefined,
)

COUNT = Aggregate(AggregateFunction.COUNT)


def path(text: str) -> Path:
    return Path(tuple(text.split(".")))


def equal(left: str, right: str | float | bool | None) -> Comparison:
    return Comparison(Comparator.EQUAL, path(left), Constant(right))


def where(condition: str) -> Expression | None:
    return parse_hub_query(f"SELECT * FROM devices WHERE {condition}").where


STATUS = "properties.reported.telemetryConfig.status"


@pytest.mark.parametrize(
    ("text", "query"),
    [
        # Azure: query-twins.md, iot-hub-devguide-query-language.md
        ("SELECT * FROM devices", HubQuery(Collection.DEVICES)),
        (
            "SELECT COUNT() as totalNumberOfDevices FROM devices",
            HubQuery(Collection.DEVICES, (SelectItem(COUNT, "totalNumberOfDevices"),)),
        ),
        (
            "SELECT * FROM devices\n WHERE tags.location.region = 'US'\n AND tags.rate >= 60",
            HubQuery(
                Collection.DEVICES,
                where=And(
                    (
                        equal("tags.location.region", "US"),
                        Comparison(
                            Comparator.GREATER_OR_EQUAL,
                            path("tags.rate"),
                            Constant(60),
                        ),
                    )
                ),
            ),
        ),
        (
            "SELECT * FROM devices\n  WHERE properties.reported.connectivity IN ['wired', 'wifi']",
            HubQuery(
                Collection.DEVICES,
                where=Membership(path("properties.reported.connectivity"), ("wired", "wifi")),
            ),
        ),
        (
            f"SELECT {STATUS} AS status,\n COUNT() AS devices\n FROM devices\n GROUP BY {STATUS}",
            HubQuery(
                Collection.DEVICES,
                (SelectItem(path(STATUS), "status"), SelectItem(COUNT, "devices")),
                group_by=(path(STATUS),),
            ),
        ),
        (
            "SELECT DeviceId, LastActivityTime FROM devices WHERE status = 'enabled'",
            HubQuery(
                Collection.DEVICES,
                (SelectItem(path("deviceId")), SelectItem(path("lastActivityTime"))),
                where=equal("status", "enabled"),
            ),
        ),
        (
            "SELECT * FROM devices.jobs WHERE devices.jobs.deviceId = 'myDeviceId'",
            HubQuery(Collection.JOBS, where=equal("deviceId", "myDeviceId")),
        ),
        (
            "SELECT * FROM devices.modules WHERE properties.reported.status = 'scanning'",
            HubQuery(Collection.MODULES, where=equal("properties.reported.status", "scanning")),
        ),
        # The Azure CLI extension, the portal
        (
            "select * from devices where capabilities.iotEdge = true",
            HubQuery(Collection.DEVICES, where=equal("capabilities.iotEdge", True)),
        ),
        (
            "SELECT deviceId FROM devices WHERE configurations.[[fan-1]].status='Applied';",
            HubQuery(
                Collection.DEVICES,
                (SelectItem(path("deviceId")),),
                where=Comparison(
                    Comparator.EQUAL,
                    Path(("configurations", "fan-1", "status")),
                    Constant("Applied"),
                ),
            ),
        ),
        # Azure Industrial IoT: an aggregate without a name beside a path without one
        (
            "SELECT tags.SiteId, COUNT() FROM devices WHERE tags.T = 'G' GROUP BY tags.SiteId",
            HubQuery(
                Collection.DEVICES,
                (SelectItem(path("tags.SiteId")), SelectItem(COUNT)),
                where=equal("tags.T", "G"),
                group_by=(path("tags.SiteId"),),
            ),
        ),
        (
            "SELECT TOP 3 c.deviceId AS id, Min(c.tags.n) FROM devices AS c GROUP BY c.deviceId",
            HubQuery(
                Collection.DEVICES,
                (
                    SelectItem(path("deviceId"), "id"),
                    SelectItem(Aggregate(AggregateFunction.MIN, path("tags.n"))),
                ),
                top=3,
                group_by=(path("deviceId"),),
            ),
        ),
        (
            "SELECT d.tags FROM devices d WHERE devices.tags.a = 1",
            HubQuery(Collection.DEVICES, (SelectItem(path("tags")),), where=equal("tags.a", 1)),
        ),
    ],
)
def test_texts_of_documents_and_tools_are_read(text: str, query: HubQuery) -> None:
    assert parse_hub_query(text) == query


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("SELECT DeviceID, tags.a.b FROM devices", ("deviceId", "b")),
        ("SELECT tags.a[0], tags.[[b c]] AS [[d e]] FROM devices", ("a", "d e")),
        ("SELECT COUNT(), AVG(tags.a), MAX(tags.b) AS top FROM devices", ("$1", "$2", "top")),
    ],
)
def test_columns_are_named(text: str, names: tuple[str, ...]) -> None:
    assert parse_hub_query(text).column_names == names


A, B, C = path("a"), path("b"), path("c")


@pytest.mark.parametrize(
    ("condition", "tree"),
    [
        ("a OR b AND NOT c", Or((A, And((B, Not(C)))))),
        ("(a or b) and c", And((Or((A, B)), C))),
        ("not a = 1", Not(equal("a", 1))),
        ("a <> 'x'", Comparison(Comparator.NOT_EQUAL, A, Constant("x"))),
        ("a Nin [1, -2.5, null, TRUE]", Membership(A, (1, -2.5, None, True), negated=True)),
        (
            "a + b * 2 - 1 < c",
            Comparison(
                Comparator.LESS,
                Arithmetic(
                    A,
                    (
                        (
                            ArithmeticOperator.PLUS,
                            Arithmetic(B, ((ArithmeticOperator.TIMES, Constant(2)),)),
                        ),
                        (ArithmeticOperator.MINUS, Constant(1)),
                    ),
                ),
                C,
            ),
        ),
        ("-a = -1", Comparison(Comparator.EQUAL, Negation(A), Constant(-1))),
        ("a = undefined", Comparison(Comparator.EQUAL, A, Undefined())),
        ("Is_Defined(a.group)", Call(Function.IS_DEFINED, (path("a.group"),))),
        ("startsWith(a, 'x')", Call(Function.STARTS_WITH, (A, Constant("x")))),
        ("ENDS_WITH(a, b)", Call(Function.ENDS_WITH, (A, B))),
        ("a[0].b = 0x1F", Comparison(Comparator.EQUAL, Path(("a", 0, "b")), Constant(31))),
        ("[[and]].[[x y]] = 1e3", Comparison(Comparator.EQUAL, path("and.x y"), Constant(1000.0))),
        ("tags.Größe = .5", equal("tags.Größe", 0.5)),
        ("TAGS.Größe.Tags = 1", equal("tags.Größe.Tags", 1)),
        (
            "properties.desired.$metadata.$lastUpdated = 'x'",
            equal("properties.desired.$metadata.$lastUpdated", "x"),
        ),
        ("a = 12345678901234567890", equal("a", 12345678901234567890.0)),
        (r"""a = 'it\'s \\ \" \u00e4 \uD83D\ude00 "'""", equal("a", 'it\'s \\ " ä 😀 "')),
        ("""a = "it's" """, equal("a", "it's")),
    ],
)
def test_conditions_are_read(condition: str, tree: Expression) -> None:
    assert where(condition) == tree


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the end at character 1, where there must be SELECT"),
        ("*", "'*' at character 1, where there must be SELECT"),
        ("SELECT *", "the end at character 9, where there must be FROM"),
        ("SELECT * FROM enrollments", "'enrollments' at character 15, where there must be devices"),
        ("SELECT * FROM devices.twins", "'twins' at character 23, where there must be modules or"),
        ("SELECT * FROM devices WHERE", "the end at character 28, where there must be a path"),
        ("SELECT * FROM devices WHERE tags.a = 'b", "character 38 does not end"),
        ("SELECT * FROM devices WHERE tags.[[b = 1", "character 34 does not end"),
        ("SELECT * FROM devices WHERE tags.a =", "the end at character 37, where there must be a"),
        ("SELECT * FROM devices WHERE tags.a == 1", "'=' at character 37, where there must be a"),
        ("SELECT * FROM devices WHERE a = b = c", "comparisons are not chained"),
        ("SELECT * FROM devices WHERE (a = 1", "the end at character 35, where there must be )"),
        ("SELECT * FROM devices WHERE a = 1 b", "'b' at character 35, where there must be AND, OR"),
        ("SELECT * FROM devices WHERE a IN ('b')", "'(' at character 34, where there must be ["),
        ("SELECT * FROM devices WHERE a IN []", "']' at character 35, where there must be a text"),
        ("SELECT * FROM devices WHERE a IN [b]", "'b' at character 35, where there must be a text"),
        ("SELECT * FROM devices WHERE a NOT IN ['b']", "NOT IN at character 31 is not in"),
        ("SELECT * FROM devices WHERE tags.2nd = 1", "'.2n' at character 33 is neither"),
        ("SELECT * FROM devices WHERE a['b'] = 1", "where there must be an index"),
        (r"SELECT * FROM devices WHERE a = 'x\n'", "character 35 is no escape"),
        (r"SELECT * FROM devices WHERE a = '\ud83d'", "half a surrogate pair"),
        ("SELECT * FROM devices WHERE a = 1e999", "'1e999' at character 33 is too large"),
        ("SELECT * FROM devices WHERE a = 0xFFFFFFFFFFFFFFFFFF", "is too large"),
        ("SELECT * FROM devices WHERE is_defined(a, b)", "',' at character 41, where there must"),
        ("SELECT * FROM devices WHERE contains(a)", "')' at character 39, where there must be ,"),
        # What the language does not have, though others do
        ("SELECT * FROM devices ORDER BY deviceId", "ORDER at character 23 is not in the language"),
        ("SELECT * FROM devices d JOIN m IN d.modules", "JOIN at character 25 is not in"),
        ("SELECT * FROM devices LIMIT 5", "LIMIT at character 23 is not in the language"),
        ("SELECT DISTINCT tags.a FROM devices", "DISTINCT at character 8 is not in the language"),
        ("SELECT VALUE COUNT() FROM devices", "VALUE at character 8 is not in the language"),
        ("SELECT * FROM devices WHERE a LIKE 'x%'", "LIKE at character 31 is not in the language"),
        ("SELECT * FROM devices WHERE a IS NULL", "IS at character 31 is not in the language"),
        ("SELECT * FROM devices WHERE LOWER(a) = 'x'", "the function 'LOWER' at character 29 is"),
        ("SELECT * FROM devices WHERE has_interface('x')", "the function 'has_interface'"),
        ("SELECT * FROM devices WHERE COUNT() > 1", "COUNT at character 29 stands outside of"),
        ("SELECT COUNT(1) FROM devices", "COUNT() counts documents and has no argument"),
        ("SELECT AVG() FROM devices", "')' at character 12, where there must be a path"),
        ("SELECT LOWER(a) FROM devices", "'LOWER' at character 8, where there must be a path"),
        ("SELECT 1 FROM devices", "'1' at character 8, where there must be *, a path"),
        ("SELECT *, a FROM devices", "* is given alone"),
        ("SELECT TOP 0 * FROM devices", "'0' at character 12, where there must be a whole number"),
        ("SELECT TOP 1.5 * FROM devices", "'1.5' at character 12, where there must be a whole"),
        ("SELECT devices FROM devices", "'devices' is the collection"),
        ("SELECT c FROM devices c", "'c' is the collection"),
        ("SELECT a.x, b.x FROM devices", "two members of SELECT are named 'x'"),
        ("SELECT * FROM devices GROUP BY a", "SELECT * cannot go with GROUP BY"),
        ("SELECT a, COUNT() FROM devices", "'a' is selected beside aggregates"),
        ("SELECT a, b FROM devices GROUP BY a", "'b' is selected beside aggregates"),
        ("SELECT a FROM devices GROUP BY a b", "'b' at character 34, where there must be a comma"),
    ],
)
def test_everything_else_is_refused_by_name(text: str, said: str) -> None:
    with pytest.raises(QueryMalformed) as refused:
        parse_hub_query(text)
    assert said in refused.value.message
    assert refused.value.remedy
    assert refused.value.field == "query"


def test_limits_are_kept() -> None:
    def nested(levels: int, opening: str, closing: str = "") -> str:
        return f"SELECT * FROM devices WHERE {opening * levels}a{closing * levels}"

    for opening, closing in [("(", ")"), ("NOT ", ""), ("-", ""), ("is_null(", ")")]:
        parse_hub_query(nested(MAX_NESTING, opening, closing))
        with pytest.raises(QueryMalformed, match="nested deeper"):
            parse_hub_query(nested(MAX_NESTING + 1, opening, closing))
    for chain in ("a" + " OR a" * (MAX_TERMS - 1), "a" + "+a" * (MAX_TERMS - 1)):
        parse_hub_query(f"SELECT * FROM devices WHERE {chain}")
        with pytest.raises(QueryMalformed, match=f"more than {MAX_TERMS}"):
            parse_hub_query(f"SELECT * FROM devices WHERE {chain} or a")
    text = "SELECT * FROM devices"
    parse_hub_query(text + " " * (MAX_QUERY_CHARS - len(text)))
    with pytest.raises(QueryMalformed, match=f"at most {MAX_QUERY_CHARS}"):
        parse_hub_query(text + " " * (MAX_QUERY_CHARS + 1 - len(text)))


@given(queries())
def test_printed_query_is_read_as_it_was(query: HubQuery) -> None:
    assert parse_hub_query(print_query(query)) == query


KEYWORDS = "SELECT FROM WHERE GROUP BY AS TOP AND OR NOT IN NIN true null undefined is_defined("
OTHERS = "devices modules a count 'b' \"c\" 1 0x 1.5e3 [[x]] [[ ' \" \\ ( ) [ ] , . ; = <> < * + -"
PIECES = KEYWORDS.split() + OTHERS.split()


@given(st.lists(st.sampled_from(PIECES), max_size=30).map(" ".join))
def test_any_row_of_tokens_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(QueryMalformed):
        parse_hub_query(text)
    with contextlib.suppress(QueryMalformed):
        parse_hub_query(f"SELECT * FROM devices WHERE {text}")


@given(st.text(st.characters(), max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(QueryMalformed):
        parse_hub_query(text)
    with contextlib.suppress(QueryMalformed):
        parse_hub_query(f"SELECT * FROM devices WHERE a = {text}")
