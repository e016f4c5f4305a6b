"""JSON from a network: what is refused, and that what we write is plain ASCII."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.protocol.azure.errors import BodyTooLarge, JsonMalformed, PayloadMalformed
from mooring.protocol.azure.json_documents import (
    MAX_DEPTH,
    JsonValue,
    decode_json,
    decode_object,
    encode_json,
    holds_more_than,
    kind_of,
)

LIMIT = 10_000

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(json_values)
def test_value_when_encoded_is_ascii_and_decodes_back(value: JsonValue) -> None:
    data = encode_json(value)
    assert data.isascii()
    assert decode_json(data, max_bytes=LIMIT) == value


def test_encode_is_compact_and_escapes_what_is_not_ascii() -> None:
    assert encode_json({"name": "gerät", "n": [1, None]}) == b'{"name":"ger\\u00e4t","n":[1,null]}'


def test_encode_when_number_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match=r"JSON compliant"):
        encode_json({"x": float("nan")})


def test_decode_when_keys_are_equal_takes_the_last() -> None:
    assert decode_object(b'{"a":1,"a":2}', max_bytes=LIMIT) == {"a": 2}


def test_decode_when_mark_of_byte_order_leads_skips_it() -> None:
    assert decode_json(b"\xef\xbb\xbf[1]", max_bytes=LIMIT) == [1]


def test_decode_when_surrogates_pair_up_gives_the_character() -> None:
    assert decode_json(rb'"\ud83d\ude00"', max_bytes=LIMIT) == "\N{GRINNING FACE}"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"{",
        b"{'a':1}",
        b'{"a":1}x',
        b"NaN",
        b'{"a":Infinity}',
        b"-Infinity",
        b"1e999",
        b"[" + b"9" * 5000 + b"]",
        b"\xff",
        b'"\xc3\x28"',
        rb'"\ud800"',
        rb'{"\udfff":1}',
        rb'[["\ud800x"]]',
        '"x"'.encode("utf-16"),
        b"[" * (MAX_DEPTH + 2) + b"]" * (MAX_DEPTH + 2),
        b'{"a":' * (MAX_DEPTH + 2) + b"1" + b"}" * (MAX_DEPTH + 2),
        b"[" * 5000 + b"]" * 5000,
    ],
)
def test_decode_when_not_acceptable_json_is_refused(data: bytes) -> None:
    with pytest.raises(JsonMalformed) as refusal:
        decode_json(data, max_bytes=20_000, field="payload")
    assert refusal.value.field == "payload"
    assert refusal.value.message.startswith("payload ")


def test_decode_when_as_deep_as_allowed_passes() -> None:
    data = b"[" * MAX_DEPTH + b"1" + b"]" * MAX_DEPTH
    assert decode_json(data, max_bytes=LIMIT) == json.loads(data)


def test_decode_when_above_the_limit_is_refused_unread() -> None:
    assert decode_json(b'"abc"', max_bytes=5) == "abc"
    with pytest.raises(BodyTooLarge, match="6 bytes"):
        decode_json(b'"abcd"', max_bytes=5)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"null", "null"),
        (b"true", "a boolean"),
        (b"1", "a number"),
        (b"1.5", "a number"),
        (b'"x"', "a string"),
        (b"[]", "an array"),
    ],
)
def test_object_when_value_is_another_kind_says_which(data: bytes, kind: str) -> None:
    with pytest.raises(PayloadMalformed, match=f"is {kind}, not a JSON object"):
        decode_object(data, max_bytes=LIMIT)
    assert kind_of({}) == "an object"


@given(st.binary(max_size=60) | st.text('{}[]":,\\ud8eE0123456789.-ntf ', max_size=60))
def test_decode_when_bytes_are_arbitrary_raises_nothing_else(data: bytes | str) -> None:
    with contextlib.suppress(PayloadMalformed):
        decode_json(data.encode() if isinstance(data, str) else data, max_bytes=LIMIT)


@given(json_values, st.integers(0, 30))
def test_holds_more_than_counts_what_is_within(value: JsonValue, count: int) -> None:
    def within(item: JsonValue) -> int:
        below = list(item.values()) if isinstance(item, dict) else item
        return len(below) + sum(map(within, below)) if isinstance(below, list) else 0

    assert holds_more_than(value, count) is (within(value) > count)
