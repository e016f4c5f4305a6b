"""JSON as it may come from a network, and as every SDK can read it.

Decoding refuses what JSON does not know (NaN, infinite numbers, lone surrogates) and what would
cost too much (size, depth). Encoding is pure ASCII and compact: the Node SDK decodes bodies as
ASCII, .NET parses each of them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import NoReturn

from mooring.protocol.azure.errors import BodyTooLarge, JsonMalformed, PayloadMalformed

JsonValue = None | bool | int | float | str | Sequence["JsonValue"] | Mapping[str, "JsonValue"]
JsonObject = Mapping[str, JsonValue]

MAX_DEPTH = 32
"""Levels of arrays and objects: IoT Hub allows 10 in a twin, DPS documents have 4."""


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):  # "1e999" is JSON by its grammar, yet no number that returns
        raise ValueError(text)
    return number


# Made once: `json.loads` and `json.dumps` make theirs anew at each call with options.
_decode = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite).decode
_encode = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode


def decode_json(
    data: bytes, *, max_bytes: int, max_values: int | None = None, field: str = "body"
) -> JsonValue:
    """Return the JSON value that `data` (UTF-8, a byte order mark allowed) spells.

    Of equal keys in one object the last wins.

    Raises:
        BodyTooLarge: `data` is longer than `max_bytes`, or holds more than `max_values` values.
        JsonMalformed: Not JSON, NaN or an infinite number, a lone surrogate, or nested deeper
            than `MAX_DEPTH`; names `field`.
    """
    if len(data) > max_bytes:
        raise BodyTooLarge(
            f"{field} has {len(data)} bytes; at most {max_bytes} are allowed",
            remedy="Send a smaller document.",
            field=field,
        )
    try:
        value: JsonValue = _decode(data.decode("utf-8-sig"))
    except RecursionError:
        raise _too_deep(field) from None
    except UnicodeDecodeError as error:
        raise _malformed(field, f"is not UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        fault = f"is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        raise _malformed(field, fault) from error
    except ValueError as error:  # a number of thousands of digits, NaN, an infinite number
        raise _malformed(field, "holds a number that cannot be represented") from error
    _check(value, field, max_values)
    return value


def decode_object(
    data: bytes, *, max_bytes: int, max_values: int | None = None, field: str = "body"
) -> JsonObject:
    """Return the JSON object that `data` spells, as `decode_json` with the same errors.

    Raises:
        PayloadMalformed: The value is JSON but no object.
    """
    value = decode_json(data, max_bytes=max_bytes, max_values=max_values, field=field)
    if not isinstance(value, Mapping):
        raise PayloadMalformed(
            f"{field} is {kind_of(value)}, not a JSON object",
            remedy="Send a document in braces, {…}.",
            field=field,
        )
    return value


def encode_json(value: JsonValue) -> bytes:
    """Return `value` as compact, pure ASCII JSON.

    Raises:
        ValueError: A number in it is NaN or infinite.
    """
    return _encode(value).encode("ascii")


def holds_more_than(value: JsonValue, count: int) -> bool:
    """Return whether more than `count` values are in `value`; looks at no more than that many."""
    waiting = [value]
    found = 0
    while waiting:
        item = waiting.pop()
        if isinstance(item, str) or not isinstance(item, Mapping | list):
            continue
        found += len(item)
        if found > count:
            return True
        waiting.extend(item.values() if isinstance(item, Mapping) else item)
    return False


def kind_of(value: JsonValue) -> str:
    """Return the JSON name of a value's type with its article, for messages."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, int | float):
        return "a number"
    return "an object" if isinstance(value, Mapping) else "an array"


def _check(value: JsonValue, field: str, max_values: int | None) -> None:
    """Walk without recursion: number, depth, and strings that no UTF-8 store could take."""
    level: list[JsonValue] = [value]
    depth = found = 0
    while level:
        below: list[JsonValue] = []
        for item in level:
            if isinstance(item, str):
                _check_text(item, field)
                continue
            if isinstance(item, Mapping | list):
                found += len(item)
                if max_values is not None and found > max_values:
                    raise BodyTooLarge(
                        f"{field} holds more than {max_values} values",
                        remedy="Send a smaller document.",
                        field=field,
                    )
            if isinstance(item, Mapping):
                for key in item:
                    _check_text(key, field)
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
        depth += 1
        if below and depth > MAX_DEPTH:
            raise _too_deep(field)
        level = below


def _check_text(text: str, field: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        # RFC 8259 §8.2: half a surrogate pair has no meaning, and cannot be stored.
        raise _malformed(field, "holds half a surrogate pair (\\ud800 to \\udfff)") from error


def _too_deep(field: str) -> JsonMalformed:
    return _malformed(
        field, f"is nested deeper than {MAX_DEPTH} levels", f"Keep it to {MAX_DEPTH} levels."
    )


def _malformed(field: str, fault: str, remedy: str = "Send well-formed JSON.") -> JsonMalformed:
    return JsonMalformed(f"{field} {fault}", remedy=remedy, field=field)
