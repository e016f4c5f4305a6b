"""Which devices a condition can be true of at all, as far as their ids say so."""

from __future__ import annotations

from dataclasses import dataclass

from mooring.protocol.azure.hub_queries.tree import (
    And,
    Call,
    Comparator,
    Comparison,
    Constant,
    Expression,
    Function,
    Membership,
    Path,
)

_DEVICE_ID = Path(("deviceId",))


@dataclass(frozen=True, slots=True)
class Candidates:
    """Devices to look at; those that a condition is true of are among them.

    Attributes:
        device_ids: The only ones, in their order; None for all.
        prefix: What their ids begin with.
    """

    device_ids: tuple[str, ...] | None = None
    prefix: str = ""


def find_candidates(condition: Expression | None) -> Candidates:
    """Return the devices that `condition` can be true of, by what it says of ``deviceId``.

    Conditions on it count where they stand alone or are joined to others by AND.
    """
    parts = condition.operands if isinstance(condition, And) else (condition,)
    device_ids: set[str] | None = None
    prefix = ""
    for part in parts:
        match part:
            case Comparison(Comparator.EQUAL, left, right) if _DEVICE_ID in (left, right):
                other = right if left == _DEVICE_ID else left
                named = {other.value} if isinstance(other, Constant) else None
            case Membership(operand, values, False) if operand == _DEVICE_ID:
                named = set(values)
            case Call(Function.STARTS_WITH, (operand, Constant(str(text)))):
                if operand == _DEVICE_ID and len(text) > len(prefix):
                    prefix = text
                continue
            case _:
                continue
        if named is not None:
            texts = {value for value in named if isinstance(value, str)}
            device_ids = texts if device_ids is None else device_ids & texts
    if device_ids is None:
        return Candidates(None, prefix)
    return Candidates(tuple(sorted(device_ids)))
