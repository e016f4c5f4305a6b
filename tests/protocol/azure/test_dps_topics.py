"""Topics of the DPS device API: what the SDKs send, and what each of them can read back."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.protocol.azure.dps_topics import (
    MAX_OPERATION_ID_CHARS,
    MAX_REQUEST_ID_CHARS,
    MAX_RETRY_AFTER_S,
    RESPONSE_FILTER,
    DpsResponse,
    PollRequest,
    RegisterRequest,
    format_poll_topic,
    format_register_topic,
    format_response_topic,
    parse_request_topic,
    parse_response_topic,
)
from mooring.protocol.azure.errors import TopicMalformed

PUT = "$dps/registrations/PUT/iotdps-register/"
GET = "$dps/registrations/GET/iotdps-get-operationstatus/"
RES = "$dps/registrations/res/"

rids = st.text("0123456789abcdefABCDEF-._~%+", min_size=1, max_size=MAX_REQUEST_ID_CHARS)
operation_ids = st.text("0123456789abcdef.-", min_size=1, max_size=64)


def test_filter_is_the_one_of_the_device_api() -> None:
    assert RESPONSE_FILTER == "$dps/registrations/res/#"


@pytest.mark.parametrize(
    "rid", ["7", "1", "c0ffee00-1d2e-4f3a-8b4c-5d6e7f809101", "a%2Fb", "x" * MAX_REQUEST_ID_CHARS]
)
def test_register_when_rid_is_any_shape_keeps_it_verbatim(rid: str) -> None:
    assert parse_request_topic(f"{PUT}?$rid={rid}") == RegisterRequest(rid)


def test_poll_when_operation_id_is_encoded_decodes_it() -> None:
    request = parse_request_topic(f"{GET}?$rid=8&operationId=4.0123456789abcdef.7d0f%2e")
    assert request == PollRequest("8", "4.0123456789abcdef.7d0f.")


def test_poll_when_keys_differ_in_case_and_order_still_reads_them() -> None:
    assert parse_request_topic(f"{GET}?OPERATIONID=op&x&$RID=8") == PollRequest("8", "op")


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "$dps/registrations/PUT/iotdps-register",
        PUT,
        f"{PUT}$rid=1",
        f"{PUT}?",
        f"{PUT}?$rid=",
        f"{PUT}?rid=1",
        f"{PUT}?$rid={'x' * (MAX_REQUEST_ID_CHARS + 1)}",
        f"{PUT}?$rid=a\x07b",
        "$dps/registrations/put/iotdps-register/?$rid=1",
        f"x{PUT}?$rid=1",
        "$dps/registrations/PUT/iotdps-register/x/?$rid=1",
        f"{GET}?$rid=1",
        f"{GET}?$rid=1&operationId=",
        f"{GET}?operationId=op",
        f"{GET}?$rid=1&operationId={'x' * (MAX_OPERATION_ID_CHARS + 1)}",
        f"{GET}?$rid=1&operationId=a%00b",
        "devices/gw/messages/events/",
    ],
)
def test_request_when_not_in_the_table_is_refused(topic: str) -> None:
    with pytest.raises(TopicMalformed) as refusal:
        parse_request_topic(topic)
    assert refusal.value.field == "topic"


def test_response_when_formatted_has_rid_first_and_retry_after_second() -> None:
    assert format_response_topic(202, "7", 3) == f"{RES}202/?$rid=7&retry-after=3"
    assert format_response_topic(200, "8") == f"{RES}200/?$rid=8"


@given(st.integers(100, 599), rids, st.none() | st.integers(2, 5))
def test_response_when_formatted_is_readable_by_each_sdk(
    status: int, rid: str, retry_after: int | None
) -> None:
    topic = format_response_topic(status, rid, retry_after)
    # The .NET SDK's pattern in our own words: rid directly after "/?", hint directly after it.
    dotnet = re.fullmatch(
        r"\$dps/registrations/res/(\d+)/\?\$rid=([^&]+)(?:&retry-after=(\d+))?", topic
    )
    assert dotnet is not None
    assert dotnet[2] == rid
    # The Python SDK takes the third piece between dollars.
    assert topic.split("$")[2].split("&")[0] == f"rid={rid}"
    if retry_after is not None:
        # The Java SDK looks at the start of each piece between ampersands.
        assert any(p == f"retry-after={retry_after}" for p in topic.split("&"))


@pytest.mark.parametrize(("status", "retry_after"), [(99, None), (600, None), (202, -1)])
def test_response_when_numbers_are_out_of_range_is_not_formatted(
    status: int, retry_after: int | None
) -> None:
    with pytest.raises(ValueError, match=r"status|retry_after"):
        format_response_topic(status, "1", retry_after)


@given(st.integers(100, 599), rids, st.none() | st.integers(0, MAX_RETRY_AFTER_S))
def test_response_when_formatted_parses_back(
    status: int, rid: str, retry_after: int | None
) -> None:
    topic = format_response_topic(status, rid, retry_after)
    assert parse_response_topic(topic) == DpsResponse(status, rid, retry_after)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?retry-after=3&$rid=1", 3),
        ("?$rid=1&new=x&Retry-After=5", 5),
        ("?$rid=1&retry-after=", None),
        ("?$rid=1&retry-after=soon", None),
        ("?$rid=1&retry-after=-3", None),
        ("?$rid=1&retry-after=٣", None),
        ("?$rid=1&retry-after=99999999", MAX_RETRY_AFTER_S),
        ("?$rid=1&retry-after=" + "9" * 5000, MAX_RETRY_AFTER_S),
    ],
)
def test_response_when_hint_is_odd_is_read_with_tolerance(query: str, expected: int | None) -> None:
    assert parse_response_topic(f"{RES}202/{query}") == DpsResponse(202, "1", expected)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        f"{RES}200/",
        f"{RES}20/?$rid=1",
        f"{RES}2000/?$rid=1",
        f"{RES}099/?$rid=1",
        f"{RES}abc/?$rid=1",
        f"{RES}200/?",
        f"{RES}200/?retry-after=3",
        f"{RES}200?$rid=1",
        f"/{RES}200/?$rid=1",
        "$iothub/twin/res/200/?$rid=1",
    ],
)
def test_response_when_not_an_answer_is_refused(topic: str) -> None:
    with pytest.raises(TopicMalformed):
        parse_response_topic(topic)


@given(rids)
def test_register_topic_when_formatted_parses_back(rid: str) -> None:
    assert parse_request_topic(format_register_topic(rid)) == RegisterRequest(rid)


@given(rids, operation_ids)
def test_poll_topic_when_formatted_parses_back(rid: str, operation_id: str) -> None:
    topic = format_poll_topic(rid, operation_id)
    assert parse_request_topic(topic) == PollRequest(rid, operation_id)


@given(st.sampled_from(["", PUT, GET, RES, RES + "200/"]), st.text(max_size=60))
def test_parse_when_text_is_arbitrary_raises_nothing_else(prefix: str, text: str) -> None:
    for parse in (parse_request_topic, parse_response_topic):
        with contextlib.suppress(TopicMalformed):
            parse(prefix + text)
