"""Paths and expressions: the conditions of WHERE, and what SELECT and GROUP BY name."""

from __future__ import annotations

from mooring.protocol.azure.errors import quoted
from mooring.protocol.azure.hub_queries.cursor import ABSENT, Cursor
from mooring.protocol.azure.hub_queries.lexer import Kind, malformed, number_of, text_of
from mooring.protocol.azure.hub_queries.tree import (
    ROOT_MEMBERS,
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
    Membership,
    Negation,
    Not,
    Or,
    Path,
    Undefined,
)

CONSTANTS: dict[str, ConstantValue] = {"true": True, "false": False, "null": None}

KEYWORDS = frozenset(
    {"select", "from", "where", "group", "by", "as", "and", "or", "not", "in", "nin", "top"}
)
"""No path begins with one of these, unless in ``[[…]]``; beyond a dot they are names."""

_COMPARATORS = {
    "=": Comparator.EQUAL,
    "!=": Comparator.NOT_EQUAL,
    "<>": Comparator.NOT_EQUAL,
    "<": Comparator.LESS,
    "<=": Comparator.LESS_OR_EQUAL,
    ">": Comparator.GREATER,
    ">=": Comparator.GREATER_OR_EQUAL,
}
_FUNCTIONS = {function.value: function for function in Function} | {
    "startswith": Function.STARTS_WITH,
    "endswith": Function.ENDS_WITH,
}
_AGGREGATES = frozenset(function.value for function in AggregateFunction)
_A_PATH = "a path such as tags.site"


def take_path(cursor: Cursor) -> Path:
    """Read a path as it is written, with a collection's name or alias before it.

    Raises:
        QueryMalformed: Something else comes.
    """
    token = cursor.next
    reserved = token.word in KEYWORDS or token.word in CONSTANTS
    if reserved or (token.word in ABSENT and cursor.peek().text != "."):
        raise cursor.fault(_A_PATH)
    cursor.count_term()
    segments: list[str | int] = [cursor.take_name(_A_PATH)]
    while True:
        if cursor.took_sign("."):
            segments.append(cursor.take_name("a name, in [[…]] if it is no plain word"))
        elif cursor.took_sign("["):
            number = number_of(cursor.next) if cursor.next.kind is Kind.NUMBER else None
            if not isinstance(number, int):
                raise cursor.fault("an index of an array, 0 for the first")
            cursor.take()
            cursor.want_sign("]")
            segments.append(number)
        else:
            return Path(tuple(segments))


class ExpressionReader:
    """Reads expressions, the loosest operator first, once it is known what FROM names."""

    def __init__(self, cursor: Cursor, collection: Collection, alias: str | None) -> None:
        """Read at `cursor`; paths may begin with the name of `collection`, or with `alias`."""
        self._cursor = cursor
        self._alias = alias
        # The longer first: devices.modules.deviceId.
        self._prefixes = (tuple(collection.value.split(".")), (Collection.DEVICES.value,))

    def in_document(self, path: Path) -> Path:
        """Return `path` without the collection's name or alias, and a twin's member by its name.

        Raises:
            QueryMalformed: Nothing is left of it.
        """
        segments = path.segments
        length = 1 if segments[0] == self._alias else 0
        folded = tuple(str(segment).lower() for segment in segments[:2])
        for prefix in self._prefixes:
            if not length and folded[: len(prefix)] == prefix:
                length = len(prefix)
        rest = segments[length:]
        if not rest or isinstance(rest[0], int):
            raise malformed(
                f"{quoted(str(path))} is the collection, not a member of its documents",
                "Name a member, such as deviceId; whole documents come by SELECT *.",
            )
        return Path((ROOT_MEMBERS.get(rest[0].lower(), rest[0]), *rest[1:]))

    def take_paths(self) -> tuple[Path, ...]:
        """Read paths with commas between them."""
        paths = [self.in_document(take_path(self._cursor))]
        while self._cursor.took_sign(","):
            paths.append(self.in_document(take_path(self._cursor)))
        return tuple(paths)

    def take_condition(self) -> Expression:
        """Read an expression. Raises QueryMalformed."""
        operands = [self._take_and()]
        while self._cursor.took("or"):
            operands.append(self._take_and())
        return operands[0] if len(operands) == 1 else Or(tuple(operands))

    def _take_and(self) -> Expression:
        operands = [self._take_not()]
        while self._cursor.took("and"):
            operands.append(self._take_not())
        return operands[0] if len(operands) == 1 else And(tuple(operands))

    def _take_not(self) -> Expression:
        if not self._cursor.took("not"):
            return self._take_comparison()
        self._cursor.enter()
        operand = self._take_not()
        self._cursor.leave()
        return Not(operand)

    def _take_comparison(self) -> Expression:
        cursor = self._cursor
        left = self._take_sum()
        if cursor.took("in"):
            return Membership(left, self._take_values())
        if cursor.took("nin"):
            return Membership(left, self._take_values(), negated=True)
        if cursor.next.word == "not" and cursor.peek().word == "in":
            raise malformed(
                f"NOT IN at character {cursor.next.at + 1} is not in the language",
                "Use NIN: path NIN ['a', 'b'].",
            )
        if not cursor.sees_sign(*_COMPARATORS):
            return left
        operator = _COMPARATORS[cursor.take().text]
        right = self._take_sum()
        if cursor.sees_sign(*_COMPARATORS):
            raise cursor.fault("AND or OR: comparisons are not chained")
        return Comparison(operator, left, right)

    def _take_values(self) -> tuple[ConstantValue, ...]:
        cursor = self._cursor
        if not cursor.took_sign("["):
            raise cursor.fault("[: the values are given as ['a', 'b']")
        values = [self._take_value()]
        while cursor.took_sign(","):
            values.append(self._take_value())
        cursor.want_sign("]")
        return tuple(values)

    def _take_value(self) -> ConstantValue:
        cursor = self._cursor
        cursor.count_term()
        if cursor.sees_sign("+", "-"):
            factor = -1 if cursor.take().text == "-" else 1
            if cursor.next.kind is not Kind.NUMBER:
                raise cursor.fault("a number")
            return factor * number_of(cursor.take())
        token = cursor.next
        if token.kind is Kind.TEXT:
            return text_of(cursor.take())
        if token.kind is Kind.NUMBER:
            return number_of(cursor.take())
        if token.word in CONSTANTS:
            return CONSTANTS[cursor.take().word]
        raise cursor.fault("a text in quotes, a number, true, false or null")

    def _take_sum(self) -> Expression:
        first = self._take_product()
        rest = []
        while self._cursor.sees_sign("+", "-"):
            operator = ArithmeticOperator(self._cursor.take().text)
            rest.append((operator, self._take_product()))
        return Arithmetic(first, tuple(rest)) if rest else first

    def _take_product(self) -> Expression:
        first = self._take_signed()
        rest = []
        while self._cursor.sees_sign("*", "/", "%"):
            operator = ArithmeticOperator(self._cursor.take().text)
            rest.append((operator, self._take_signed()))
        return Arithmetic(first, tuple(rest)) if rest else first

    def _take_signed(self) -> Expression:
        cursor = self._cursor
        if not cursor.sees_sign("+", "-"):
            return self._take_primary()
        if cursor.peek().kind is Kind.NUMBER:
            return Constant(self._take_value())
        if cursor.take().text == "+":
            raise cursor.fault("a number after +")
        cursor.enter()
        operand = self._take_signed()
        cursor.leave()
        return Negation(operand)

    def _take_primary(self) -> Expression:
        cursor = self._cursor
        token = cursor.next
        if cursor.sees_sign("("):
            cursor.enter()
            cursor.take()
            inner = self.take_condition()
            cursor.want_sign(")")
            cursor.leave()
            return inner
        if token.kind in {Kind.TEXT, Kind.NUMBER} or token.word in CONSTANTS:
            return Constant(self._take_value())
        if token.word == "undefined":
            cursor.count_term()
            cursor.take()
            return Undefined()
        if token.word and token.word not in KEYWORDS and cursor.peek().text == "(":
            return self._take_call()
        if token.word in KEYWORDS or not cursor.sees_name():
            raise cursor.fault("a path, a text in quotes, a number, true, false, null or (")
        return self.in_document(take_path(cursor))

    def _take_call(self) -> Call:
        cursor = self._cursor
        token = cursor.next
        function = _FUNCTIONS.get(token.word)
        if token.word in _AGGREGATES:
            raise malformed(
                f"{token.text} at character {token.at + 1} stands outside of SELECT",
                "Use aggregates in the SELECT clause only.",
            )
        if function is None:
            raise malformed(
                f"the function {token.shown} at character {token.at + 1} is not known",
                f"Use one of {', '.join(known.value.upper() for known in Function)}.",
            )
        cursor.count_term()
        cursor.enter()
        cursor.take()
        cursor.want_sign("(")
        arguments = [self.take_condition()]
        while len(arguments) < function.arity:
            cursor.want_sign(",")
            arguments.append(self.take_condition())
        cursor.want_sign(")")
        cursor.leave()
        return Call(function, tuple(arguments))
