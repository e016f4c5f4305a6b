"""Conditions: what is true of a document, and what an evaluator written anew thinks of it."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.hub_queries import NAMES, expressions, print_expression, values

from mooring.cloud.hub.query.conditions import UNDEFINED, compile_condition, compile_expression
from mooring.protocol.azure.hub_queries import parse_hub_query
from mooring.protocol.azure.hub_queries.tree import (
    And,
    Arithmetic,
    Call,
    Comparison,
    Constant,
    Expression,
    Membership,
    Negation,
    Not,
    Or,
    Path,
    Undefined,
)

TWIN = {
    "deviceId": "dock-07",
    "status": "enabled",
    "version": 4,
    "tags": {"site": "north", "on": True, "none": None, "n": 5, "text": "5", "list": [1, "a"]},
    "properties": {
        "desired": {"rate": 5, "$version": 2},
        "reported": {"rate": 5.0, "deep": {"a": [{"b": 1}]}},
    },
    "capabilities": {"iotEdge": False},
    "parentScopes": ["s1"],
}


def holds(condition: str) -> bool:
    where = parse_hub_query(f"SELECT * FROM devices WHERE {condition}").where
    assert where is not None
    return compile_condition(where)(TWIN)


@pytest.mark.parametrize(
    "condition",
    [
        "tags.site = 'north'",
        "'north' = tags.site",
        "TAGS.site != 'south' AND DeviceId <> 'dock-08'",
        "properties.desired.rate = properties.reported.rate",
        "properties.desired.$version = 2",
        "properties.reported.deep.a[0].b = 1",
        "tags.list[1] = 'a'",
        "tags.on",
        "tags.on = true AND NOT capabilities.iotEdge",
        "tags.none = null",
        "tags.none != 'x'",
        "tags.n != '5'",
        "tags.on != 1",
        "tags.n > 4.5 AND tags.n <= 5 AND tags.site < 'o' AND tags.site >= 'north'",
        "tags.n IN [1, 5]",
        "tags.n NIN ['5', true]",
        "tags.none IN [null]",
        "tags.n * 2 - 1 = 9",
        "7 / 2 = 3.5",
        "-7 % 3 = -1",
        "2 + 3 * 4 = 14 AND (2 + 3) * 4 = 20 AND 10 - 2 - 3 = 5",
        "-tags.n = -5",
        "is_defined(tags.none) AND NOT is_defined(tags.nothing)",
        "NOT is_defined(tags.list[2]) AND NOT is_defined(tags.site.length)",
        "is_null(tags.none) AND NOT is_null(tags.nothing)",
        "is_number(version) AND is_string(tags.text) AND is_bool(tags.on)",
        "is_object(tags) AND is_array(tags.list) AND NOT is_primitive(tags)",
        "is_primitive(tags.none) AND NOT is_primitive(tags.nothing)",
        "NOT is_number(tags.on)",
        "STARTSWITH(deviceId, 'dock') AND endswith(tags.site, 'th') AND contains(deviceId, '-0')",
        "array_contains(parentScopes, 's1') AND NOT array_contains(tags.list, true)",
        "tags.nothing = 1 OR tags.site = 'north'",
        "NOT (tags.nothing = 1 AND tags.site = 'south')",
    ],
)
def test_condition_holds(condition: str) -> None:
    assert holds(condition)


@pytest.mark.parametrize(
    "condition",
    [
        # What leads nowhere is undefined, and so is what is made of it.
        "tags.nothing = 'x'",
        "tags.nothing != 'x'",
        "tags.nothing = undefined",
        "NOT tags.nothing = 'x'",
        "tags.nothing NIN ['x']",
        "tags.nothing + 1 > 0",
        "tags.nothing",
        "NOT tags.nothing",
        "tags.nothing = 1 AND tags.site = 'north'",
        "tags.nothing = 1 OR tags.site = 'south'",
        "contains(tags.nothing, 'a')",
        # Only what is exactly true is taken.
        "tags.n",
        "tags.site",
        "tags.none",
        "tags",
        "NOT tags.n",
        # Kinds differ.
        "tags.n = '5'",
        "tags.text = 5",
        "tags.on = 1",
        "tags.text > 4",
        "tags.on > 0",
        "tags.none < 1",
        "tags.n NIN [5]",
        # Only primitive values compare.
        "tags = tags",
        "tags != 1",
        "tags.list IN [1]",
        "contains(tags.n, '5')",
        # Case counts within tags and properties.
        "tags.Site = 'north'",
        "tags.site = 'North'",
        # No number comes of these.
        "1 / 0 > 0",
        "1 % 0 = 0",
        "1e308 * 10 > 0",
        "tags.text + 1 = 6",
    ],
)
def test_condition_does_not_hold(condition: str) -> None:
    assert not holds(condition)


# -- an evaluator written without a look at the other -------------------------------------------

DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "deviceId": st.sampled_from(["a", "b", "dock"]),
        "status": st.sampled_from(["enabled", "disabled"]),
        "version": st.integers(0, 3),
        **{
            root: st.recursive(
                st.one_of(values, st.sampled_from(["a", "b", 1, 2.0])),
                lambda inner: st.one_of(
                    st.lists(inner, max_size=3),
                    st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
                ),
                max_leaves=6,
            )
            for root in ("tags", "properties", "other")
        },
    },
)


class Nothing(Exception):
    """A value is undefined."""


def naive(expression: Expression, document: dict[str, Any]) -> Any:
    """Return what `expression` is in `document`. Raises Nothing."""
    if isinstance(expression, Constant):
        return expression.value
    if isinstance(expression, Undefined):
        raise Nothing
    if isinstance(expression, Path):
        return at(document, expression.segments)
    if isinstance(expression, Not | And | Or):
        return naive_logic(expression, document)
    if isinstance(expression, Negation | Arithmetic):
        return naive_arithmetic(expression, document)
    if isinstance(expression, Comparison):
        left, right = naive(expression.left, document), naive(expression.right, document)
        return compared(expression.operator.value, left, right)
    if isinstance(expression, Membership):
        value = naive(expression.operand, document)
        found = any(compared("=", value, listed) for listed in expression.values)
        return found != expression.negated
    return called(expression, document)


def at(value: Any, segments: tuple[str | int, ...]) -> Any:
    for segment in segments:
        if not isinstance(value, dict if isinstance(segment, str) else list):
            raise Nothing
        try:
            value = value[segment]
        except (KeyError, IndexError):
            raise Nothing from None
    return value


def naive_logic(expression: Not | And | Or, document: dict[str, Any]) -> bool:
    if isinstance(expression, Not):
        return not boolean(naive(expression.operand, document))
    outcomes = [outcome(operand, document) for operand in expression.operands]
    decisive = isinstance(expression, Or)
    if any(found is decisive for found in outcomes):
        return decisive
    if any(not isinstance(found, bool) for found in outcomes):
        raise Nothing
    return not decisive


def naive_arithmetic(expression: Negation | Arithmetic, document: dict[str, Any]) -> Any:
    if isinstance(expression, Negation):
        return computed("-", 0, naive(expression.operand, document))
    result = naive(expression.first, document)
    for sign, operand in expression.rest:
        result = computed(sign.value, result, naive(operand, document))
    return result


def outcome(expression: Expression, document: dict[str, Any]) -> Any:
    try:
        return naive(expression, document)
    except Nothing:
        return UNDEFINED


def boolean(value: Any) -> bool:
    if value is True or value is False:
        return value
    raise Nothing


def kind(value: Any) -> str:
    if value is None:
        return "null"
    if value is True or value is False:
        return "bool"
    if isinstance(value, str):
        return "text"
    if isinstance(value, int | float):
        return "number"
    return "object" if isinstance(value, dict) else "array"


def compared(operator: str, left: Any, right: Any) -> bool:
    kinds = {kind(left), kind(right)}
    if kinds & {"object", "array"}:
        raise Nothing
    equal = len(kinds) == 1 and left == right
    if operator in {"=", "!="}:
        return equal == (operator == "=")
    if kinds not in ({"number"}, {"text"}):
        raise Nothing
    return (equal and "=" in operator) or (not equal and (left < right) == ("<" in operator))


def computed(sign: str, left: Any, right: Any) -> Any:
    if kind(left) != "number" or kind(right) != "number":
        raise Nothing
    try:
        if sign == "+":
            result = left + right
        elif sign == "-":
            result = left - right
        elif sign == "*":
            result = left * right
        elif sign == "/":
            result = left / right
        else:
            result = math.fmod(left, right)
        result = float(result) if abs(result) > 2**53 else result
    except (ArithmeticError, ValueError):
        raise Nothing from None
    if math.isinf(result) or math.isnan(result):
        raise Nothing
    return result


def called(call: Call, document: dict[str, Any]) -> bool:
    name = call.function.value
    arguments = [outcome(argument, document) for argument in call.arguments]
    if name == "is_defined":
        return arguments[0] is not UNDEFINED
    if name.startswith("is_"):
        found = "undefined" if arguments[0] is UNDEFINED else kind(arguments[0])
        if name == "is_primitive":
            return found in {"null", "bool", "text", "number"}
        return found == {"string": "text"}.get(name[3:], name[3:])
    if any(argument is UNDEFINED for argument in arguments):
        raise Nothing
    whole, part = arguments
    if name == "array_contains":
        if kind(whole) != "array" or kind(part) in {"object", "array"}:
            raise Nothing
        return any(kind(item) == kind(part) and item == part for item in whole)
    if kind(whole) != "text" or kind(part) != "text":
        raise Nothing
    if name == "contains":
        return part in whole
    return whole[: len(part)] == part if name == "starts_with" else whole.endswith(part)


@given(expressions, DOCUMENTS)
def test_value_is_what_a_naive_evaluator_finds(
    expression: Expression, document: dict[str, Any]
) -> None:
    found = compile_expression(expression)(document)
    wanted = outcome(expression, document)
    assert (found is UNDEFINED) == (wanted is UNDEFINED), print_expression(expression)
    if found is not UNDEFINED:
        assert kind(found) == kind(wanted)
        assert found == wanted
