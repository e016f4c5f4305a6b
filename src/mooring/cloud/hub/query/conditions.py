"""Conditions of queries, made into functions of documents.

Azure documents that only what is exactly true is taken, and that only primitive values compare.
For the rest the rules are those of the database that its hubs began with: a path that leads
nowhere is undefined, what is made of undefined is undefined, and so is NOT of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from operator import add, ge, gt, le, lt, mul, sub
from typing import Any, Final

from mooring.protocol.azure.hub_queries.tree import (
    And,
    Arithmetic,
    ArithmeticOperator,
    Call,
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
    Undefined,
)

Document = Mapping[str, Any]

MAX_EXACT_INTEGER = 2**53
"""Beyond this whole numbers become floating point, as in JSON of most languages; a product of a
thousand factors would otherwise have thousands of digits."""


class _UndefinedType:
    def __repr__(self) -> str:
        return "UNDEFINED"


UNDEFINED: Final = _UndefinedType()
"""What a path has that leads nowhere, and what is made of that."""

Evaluate = Callable[[Document], Any]

_PRIMITIVES = {type(None): 0, bool: 1, int: 2, float: 2, str: 3}
"""Kinds of values that compare; values of two kinds are never equal (true is not 1)."""
_ORDERED = {2, 3}
"""Numbers and texts have an order; texts that of their characters' numbers."""

_ORDERS: dict[Comparator, Callable[[Any, Any], bool]] = {
    Comparator.LESS: lt,
    Comparator.LESS_OR_EQUAL: le,
    Comparator.GREATER: gt,
    Comparator.GREATER_OR_EQUAL: ge,
}


def compile_condition(expression: Expression) -> Callable[[Document], bool]:
    """Return whether a document fulfils `expression`, as a function."""
    evaluate = compile_expression(expression)
    return lambda document: evaluate(document) is True


def compile_expression(expression: Expression) -> Evaluate:
    """Return the value of `expression` in a document, or UNDEFINED, as a function."""
    match expression:
        case Constant(value):
            return lambda _document: value
        case Undefined():
            return lambda _document: UNDEFINED
        case Path():
            return compile_path(expression)
        case Not(operand):
            return _negated(compile_expression(operand))
        case And(operands):
            return _chain(operands, ends_at=False)
        case Or(operands):
            return _chain(operands, ends_at=True)
        case Comparison(operator, left, right):
            return _comparison(operator, compile_expression(left), compile_expression(right))
        case Membership():
            return _membership(expression)
        case Arithmetic(first, rest):
            return _arithmetic(
                compile_expression(first),
                [(_OPERATIONS[sign], compile_expression(operand)) for sign, operand in rest],
            )
        case Negation(operand):
            inner = compile_expression(operand)
            return lambda document: _calculate(sub, 0, inner(document))
        case Call(function, arguments):
            return _call(function, [compile_expression(argument) for argument in arguments])


def compile_path(path: Path) -> Evaluate:
    """Return what a document has at `path`, or UNDEFINED, as a function."""
    segments = path.segments

    def evaluate(document: Document) -> Any:
        value: Any = document
        for segment in segments:
            if isinstance(segment, str):
                if not isinstance(value, Mapping):
                    return UNDEFINED
                value = value.get(segment, UNDEFINED)
            elif isinstance(value, list) and segment < len(value):
                value = value[segment]
            else:
                return UNDEFINED
        return value

    return evaluate


def _negated(operand: Evaluate) -> Evaluate:
    def evaluate(document: Document) -> Any:
        value = operand(document)
        return not value if isinstance(value, bool) else UNDEFINED

    return evaluate


def _chain(operands: tuple[Expression, ...], *, ends_at: bool) -> Evaluate:
    """Return AND (that ends at false) or OR (that ends at true) of `operands`."""
    compiled = [compile_expression(operand) for operand in operands]

    def evaluate(document: Document) -> Any:
        result: Any = not ends_at
        for operand in compiled:
            value = operand(document)
            if value is ends_at:
                return ends_at
            if value is not result:
                result = UNDEFINED
        return result

    return evaluate


def _comparison(operator: Comparator, left: Evaluate, right: Evaluate) -> Evaluate:
    order = _ORDERS.get(operator)
    if order is not None:

        def in_order(document: Document) -> Any:
            first, second = left(document), right(document)
            kind = _PRIMITIVES.get(type(first))
            if kind in _ORDERED and kind == _PRIMITIVES.get(type(second)):
                return order(first, second)
            return UNDEFINED

        return in_order
    wanted = operator is Comparator.EQUAL

    def is_equal(document: Document) -> Any:
        first, second = left(document), right(document)
        kind, other = _PRIMITIVES.get(type(first)), _PRIMITIVES.get(type(second))
        if kind is None or other is None:
            return UNDEFINED
        return (kind == other and first == second) is wanted

    return is_equal


def _membership(membership: Membership) -> Evaluate:
    operand = compile_expression(membership.operand)
    values = frozenset((_PRIMITIVES[type(value)], value) for value in membership.values)
    wanted = not membership.negated

    def evaluate(document: Document) -> Any:
        value = operand(document)
        kind = _PRIMITIVES.get(type(value))
        return UNDEFINED if kind is None else ((kind, value) in values) is wanted

    return evaluate


def _divide(first: float, second: float) -> float:
    result = first / second
    return int(result) if result.is_integer() and abs(result) <= MAX_EXACT_INTEGER else result


_OPERATIONS: dict[ArithmeticOperator, Callable[[Any, Any], Any]] = {
    ArithmeticOperator.PLUS: add,
    ArithmeticOperator.MINUS: sub,
    ArithmeticOperator.TIMES: mul,
    ArithmeticOperator.DIVIDED_BY: _divide,
    # The sign is that of what is divided, as in C# and JavaScript.
    ArithmeticOperator.MODULO: math.fmod,
}


def _calculate(operation: Callable[[Any, Any], Any], first: Any, second: Any) -> Any:
    """Return a finite number, or UNDEFINED: no numbers, a division by 0, a number too large."""
    if _PRIMITIVES.get(type(first)) != 2 or _PRIMITIVES.get(type(second)) != 2:
        return UNDEFINED
    try:
        result = operation(first, second)
        if isinstance(result, int) and abs(result) > MAX_EXACT_INTEGER:
            result = float(result)
    except (ZeroDivisionError, OverflowError, ValueError):
        return UNDEFINED
    return result if math.isfinite(result) else UNDEFINED


def _arithmetic(
    first: Evaluate, rest: list[tuple[Callable[[Any, Any], Any], Evaluate]]
) -> Evaluate:
    def evaluate(document: Document) -> Any:
        result = first(document)
        for operation, operand in rest:
            result = _calculate(operation, result, operand(document))
        return result

    return evaluate


_TYPES: dict[Function, Callable[[Any], bool]] = {
    Function.IS_DEFINED: lambda value: value is not UNDEFINED,
    Function.IS_NULL: lambda value: value is None,
    Function.IS_NUMBER: lambda value: _PRIMITIVES.get(type(value)) == 2,
    Function.IS_STRING: lambda value: isinstance(value, str),
    Function.IS_BOOL: lambda value: isinstance(value, bool),
    Function.IS_OBJECT: lambda value: isinstance(value, Mapping),
    Function.IS_ARRAY: lambda value: isinstance(value, list),
    Function.IS_PRIMITIVE: lambda value: type(value) in _PRIMITIVES,
}
_TEXTS: dict[Function, Callable[[str, str], bool]] = {
    Function.STARTS_WITH: str.startswith,
    Function.ENDS_WITH: str.endswith,
    Function.CONTAINS: str.__contains__,
}


def _call(function: Function, arguments: list[Evaluate]) -> Evaluate:
    is_type = _TYPES.get(function)
    if is_type is not None:
        (argument,) = arguments
        return lambda document: is_type(argument(document))
    whole, part = arguments
    if function is Function.ARRAY_CONTAINS:
        return _array_contains(whole, part)
    test = _TEXTS[function]

    def evaluate(document: Document) -> Any:
        first, second = whole(document), part(document)
        if isinstance(first, str) and isinstance(second, str):
            return test(first, second)
        return UNDEFINED

    return evaluate


def _array_contains(array: Evaluate, sought: Evaluate) -> Evaluate:
    def evaluate(document: Document) -> Any:
        items, value = array(document), sought(document)
        kind = _PRIMITIVES.get(type(value))
        if not isinstance(items, list) or kind is None:
            return UNDEFINED
        return any(kind == _PRIMITIVES.get(type(item)) and item == value for item in items)

    return evaluate
