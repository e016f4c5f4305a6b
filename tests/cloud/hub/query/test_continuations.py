"""Continuations: they come back as they went, and nothing else is one."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.cloud.hub.query.continuations import (
    MAX_CONTINUATION_CHARS,
    Position,
    decode_position,
    encode_position,
)
from mooring.cloud.hub.query.errors import ContinuationInvalid

TEXT = "SELECT * FROM devices"


@given(st.none() | st.text("ab-._%'\"\\é", max_size=128), st.integers(0, 10**9), st.text())
def test_position_comes_back(after: str | None, given_: int, text: str) -> None:
    position = Position(after, given_)

    continuation = encode_position(position, hub_id=1, text=text)

    assert decode_position(continuation, hub_id=1, text=text) == position


def test_longest_device_id_fits() -> None:
    position = Position("'" * 128, 10**9)
    assert len(encode_position(position, hub_id=1, text=TEXT)) <= MAX_CONTINUATION_CHARS


def test_none_is_the_beginning() -> None:
    assert decode_position(None, hub_id=1, text=TEXT) == Position()


@pytest.mark.parametrize(("hub_id", "text"), [(2, TEXT), (1, TEXT + " ")])
def test_continuation_of_another_query_or_hub_is_refused(hub_id: int, text: str) -> None:
    continuation = encode_position(Position("a"), hub_id=1, text=TEXT)

    with pytest.raises(ContinuationInvalid, match="another query or another hub") as refused:
        decode_position(continuation, hub_id=hub_id, text=text)
    assert refused.value.field == "x-ms-continuation"
    assert refused.value.http_status == 400


def packed(parts: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()


@pytest.mark.parametrize(
    "continuation",
    [
        "",
        "x",
        "é",
        "A" * (MAX_CONTINUATION_CHARS + 1),
        packed({}),
        packed(["digest", "a"]),
        packed(["digest", 1, 1]),
        packed(["digest", "a", -1]),
        packed(["digest", "a", 0.5]),
        "W1tbW1tb" * 60,
    ],
)
def test_anything_else_is_refused(continuation: str) -> None:
    with pytest.raises(ContinuationInvalid, match="none that this service gave"):
        decode_position(continuation, hub_id=1, text=TEXT)
