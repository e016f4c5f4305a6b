"""Queries of IoT Hub at random: their trees, and the texts that stand for them."""

from __future__ import annotations

from hypothesis import strategies as st

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
    ConstantValue,
    Expression,
    Function,
    HubQuery,
    Membership,
    Negation,
    Not,
    Or,
    Path,
    SelectItem,
    Undefined,
)

NAMES = ["a", "b", "list", "Group", "north-east", "$version", "größe", "in", "x y", "1st"]

roots = st.sampled_from(["deviceId", "status", "version", "tags", "properties", "other"])
segments = st.one_of(st.sampled_from(NAMES), st.integers(0, 3))
paths = st.builds(lambda root, rest: Path((root, *rest)), roots, st.lists(segments, max_size=3))
numbers = st.one_of(
    st.integers(-(10**17), 10**17), st.floats(allow_nan=False, allow_infinity=False)
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
values: st.SearchStrategy[ConstantValue] = st.one_of(
    st.none(), st.booleans(), numbers, texts, st.sampled_from(["a", "b", 1, 2])
)
_SUMS = [ArithmeticOperator.PLUS, ArithmeticOperator.MINUS]
_PRODUCTS = [ArithmeticOperator.TIMES, ArithmeticOperator.DIVIDED_BY, ArithmeticOperator.MODULO]


def _arithmetic(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    return st.sampled_from([_SUMS, _PRODUCTS]).flatmap(
        lambda signs: st.builds(
            lambda first, rest: Arithmetic(first, tuple(rest)),
            inner,
            st.lists(st.tuples(st.sampled_from(signs), inner), min_size=1, max_size=3),
        )
    )


def _calls(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    return st.sampled_from(list(Function)).flatmap(
        lambda function: st.builds(
            lambda arguments: Call(function, tuple(arguments)),
            st.lists(inner, min_size=function.arity, max_size=function.arity),
        )
    )


def _larger(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    some = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Not, inner),
        st.builds(And, some),
        st.builds(Or, some),
        st.builds(Comparison, st.sampled_from(list(Comparator)), inner, inner),
        st.builds(
            Membership, inner, st.lists(values, min_size=1, max_size=3).map(tuple), st.booleans()
        ),
        _arithmetic(inner),
        st.builds(Negation, inner),
        _calls(inner),
    )


expressions: st.SearchStrategy[Expression] = st.recursive(
    st.one_of(paths, st.builds(Constant, values), st.just(Undefined())), _larger, max_leaves=8
)


@st.composite
def queries(draw: st.DrawFn, collection: Collection = Collection.DEVICES) -> HubQuery:
    """Return any query of `collection` that is well formed."""
    kind = draw(st.sampled_from(["whole", "members", "aggregates"]))
    group_by: tuple[Path, ...] = ()
    chosen: list[Path | Aggregate] = []
    if kind == "members":
        chosen = list(draw(st.lists(paths, min_size=1, max_size=3)))
    elif kind == "aggregates":
        group_by = tuple(draw(st.lists(paths, max_size=2)))
        aggregates = st.one_of(
            st.just(Aggregate(AggregateFunction.COUNT)),
            st.builds(Aggregate, st.sampled_from(list(AggregateFunction)[1:]), paths),
        )
        chosen = [
            *draw(st.lists(aggregates, min_size=1, max_size=3)),
            *draw(st.lists(st.sampled_from(group_by), max_size=2) if group_by else st.just([])),
        ]
    items = tuple(
        SelectItem(value, draw(st.sampled_from([f"m{index}", f"M {index}", f"from{index}"])))
        for index, value in enumerate(chosen)
    )
    return HubQuery(
        collection,
        items,
        draw(st.none() | st.integers(1, 10**9)),
        draw(st.none() | expressions),
        group_by,
    )


# -- from trees to texts ------------------------------------------------------------------------

_LOOSENESS: dict[type, int] = {Or: 0, And: 1, Not: 2, Comparison: 3, Membership: 3, Negation: 6}


def _looseness(expression: Expression) -> int:
    if isinstance(expression, Arithmetic):
        return 4 if expression.rest[0][0] in _SUMS else 5
    return _LOOSENESS.get(type(expression), 7)


def print_query(query: HubQuery) -> str:
    """Return a text that says what `query` says."""
    top = "" if query.top is None else f"TOP {query.top} "
    text = f"SELECT {top}{', '.join(map(_item, query.items)) or '*'} FROM {query.collection}"
    if query.where is not None:
        text += f" WHERE {print_expression(query.where)}"
    if query.group_by:
        text += f" GROUP BY {', '.join(map(_path, query.group_by))}"
    return text


def print_expression(expression: Expression, at_least: int = 0) -> str:
    """Return `expression` as text, in parentheses if it is looser than `at_least`."""
    text = _print(expression)
    return f"({text})" if _looseness(expression) < at_least else text


def _print(expression: Expression) -> str:
    match expression:
        case Constant(value):
            return _value(value)
        case Undefined():
            return "undefined"
        case Path():
            return _path(expression)
        case Not(operand):
            return f"NOT {print_expression(operand, 2)}"
        case And(operands):
            return " AND ".join(print_expression(operand, 2) for operand in operands)
        case Or(operands):
            return " OR ".join(print_expression(operand, 1) for operand in operands)
        case Comparison(operator, left, right):
            return f"{print_expression(left, 4)} {operator} {print_expression(right, 4)}"
        case Membership(operand, listed, negated):
            word = "NIN" if negated else "IN"
            return f"{print_expression(operand, 4)} {word} [{', '.join(map(_value, listed))}]"
        case Arithmetic(first, rest):
            tighter = _looseness(expression) + 1
            return print_expression(first, tighter) + "".join(
                f" {operator} {print_expression(operand, tighter)}" for operator, operand in rest
            )
        case Negation(operand):
            # A sign before a number would become the number's.
            inner = print_expression(operand, 6)
            return f"-({inner})" if isinstance(operand, Constant) else f"-{inner}"
        case Call(function, arguments):
            return f"{function.upper()}({', '.join(map(print_expression, arguments))})"


def _item(item: SelectItem) -> str:
    value = item.value
    if isinstance(value, Aggregate):
        text = f"{value.function.upper()}({'' if value.path is None else _path(value.path)})"
    else:
        text = _path(value)
    return text if item.alias is None else f"{text} AS [[{item.alias}]]"


def _path(path: Path) -> str:
    text = str(path.segments[0])
    for segment in path.segments[1:]:
        if isinstance(segment, int):
            text += f"[{segment}]"
        else:
            text += f".{segment}" if segment.isalpha() else f".[[{segment}]]"
    return text


def _value(value: ConstantValue) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"'{escaped}'"
    return repr(value)
