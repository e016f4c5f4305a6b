"""What a query says, as frozen data.

Chains of one precedence are one node with many operands, so that the depth of a tree is that of
the parentheses in its text, and never the number of its terms.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

ROOT_MEMBERS = {
    name.lower(): name
    for name in (
        "deviceId",
        "moduleId",
        "etag",
        "deviceEtag",
        "status",
        "statusReason",
        "statusUpdateTime",
        "connectionState",
        "lastActivityTime",
        "cloudToDeviceMessageCount",
        "authenticationType",
        "x509Thumbprint",
        "modelId",
        "version",
        "tags",
        "properties",
        "configurations",
        "capabilities",
        "deviceScope",
        "parentScopes",
    )
}
"""The members of a twin itself, by their names in lower case.

Azure's own examples write them in any case (``SELECT DeviceId``) and get them in the twin's
(``deviceId``). What is inside of tags and properties is told apart by case.
"""


class Collection(StrEnum):
    """What may stand after FROM."""

    DEVICES = "devices"
    MODULES = "devices.modules"
    JOBS = "devices.jobs"


class Comparator(StrEnum):
    """Operators that compare two values; ``<>`` is read as ``!=``."""

    EQUAL = "="
    NOT_EQUAL = "!="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="


class ArithmeticOperator(StrEnum):
    """Operators on two numbers."""

    PLUS = "+"
    MINUS = "-"
    TIMES = "*"
    DIVIDED_BY = "/"
    MODULO = "%"


class Function(StrEnum):
    """Functions of conditions, in lower case; ``startswith`` is read as ``starts_with``."""

    IS_DEFINED = "is_defined"
    IS_NULL = "is_null"
    IS_NUMBER = "is_number"
    IS_STRING = "is_string"
    IS_BOOL = "is_bool"
    IS_OBJECT = "is_object"
    IS_ARRAY = "is_array"
    IS_PRIMITIVE = "is_primitive"
    STARTS_WITH = "starts_with"
    ENDS_WITH = "ends_with"
    CONTAINS = "contains"
    ARRAY_CONTAINS = "array_contains"

    @property
    def arity(self) -> int:
        """Return the number of arguments."""
        return 1 if self.value.startswith("is_") else 2


class AggregateFunction(StrEnum):
    """What can be made of many documents."""

    COUNT = "count"
    AVG = "avg"
    SUM = "sum"
    MIN = "min"
    MAX = "max"


ConstantValue = None | bool | int | float | str


@dataclass(frozen=True, slots=True)
class Constant:
    """A value in the text: ``'a'``, ``1.5``, ``0x1F``, ``true``, ``null``."""

    value: ConstantValue


@dataclass(frozen=True, slots=True)
class Undefined:
    """The constant ``undefined``: what a path has that leads nowhere."""


@dataclass(frozen=True, slots=True)
class Path:
    """The way to a value in a document: member names, and indices of arrays.

    The name of the collection, or the alias that FROM gives it, is not part of it.
    """

    segments: tuple[str | int, ...]

    def __str__(self) -> str:
        """Return the path as it can be written in a query."""
        text = ""
        for segment in self.segments:
            if isinstance(segment, int):
                text += f"[{segment}]"
            else:
                name = segment if segment.replace("$", "_").isidentifier() else f"[[{segment}]]"
                text += f".{name}" if text else name
        return text


@dataclass(frozen=True, slots=True)
class Not:
    """``NOT operand``."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class And:
    """``a AND b AND …``, two operands or more."""

    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """``a OR b OR …``, two operands or more."""

    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """``left operator right``."""

    operator: Comparator
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Membership:
    """``operand IN [values]``, or ``operand NIN [values]`` when `negated`."""

    operand: Expression
    values: tuple[ConstantValue, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """``first operator operand operator operand …``, from left to right.

    The operators are of one precedence: ``+ -``, or ``* / %``.
    """

    first: Expression
    rest: tuple[tuple[ArithmeticOperator, Expression], ...]


@dataclass(frozen=True, slots=True)
class Negation:
    """``-operand``; of a number in the text the sign belongs to the constant."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class Call:
    """``function(argument, …)``."""

    function: Function
    arguments: tuple[Expression, ...]


Expression = (
    Constant
    | Undefined
    | Path
    | Not
    | And
    | Or
    | Comparison
    | Membership
    | Arithmetic
    | Negation
    | Call
)


@dataclass(frozen=True, slots=True)
class Aggregate:
    """``COUNT()``, or a function of the values at `path`."""

    function: AggregateFunction
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class SelectItem:
    """One member of each row; `alias` is the name that AS gives it."""

    value: Path | Aggregate
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class HubQuery:
    """What a query asks for.

    Attributes:
        collection: The documents that it is about.
        items: The members of each row; empty for ``*``, whole documents.
        top: At most this many rows, or None.
        where: What a document must fulfil, or None.
        group_by: Documents that agree in all of these make one row.
    """

    collection: Collection
    items: tuple[SelectItem, ...] = ()
    top: int | None = None
    where: Expression | None = None
    group_by: tuple[Path, ...] = ()

    @property
    def is_aggregate(self) -> bool:
        """Return whether a row is made of many documents."""
        return bool(self.group_by) or any(isinstance(item.value, Aggregate) for item in self.items)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Return the names of the members of each row.

        Without AS a path gives its last name, as Azure's tools expect; an aggregate has ``$1``
        and so on, by the order of those without a name.
        """
        names = []
        unnamed = 0
        for item in self.items:
            if item.alias is not None:
                names.append(item.alias)
            elif isinstance(item.value, Aggregate):
                unnamed += 1
                names.append(f"${unnamed}")
            else:
                names.append(next(s for s in reversed(item.value.segments) if isinstance(s, str)))
        return tuple(names)
