"""Message properties in topics."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mooring.protocol.azure.errors import PropertyBagMalformed
from mooring.protocol.azure.property_bag import (
    EMPTY_BAG,
    MAX_CACHED_CHARS,
    MAX_PROPERTIES,
    SYSTEM_PROPERTIES,
    PropertyBag,
    format_property_bag,
    is_property_bag,
    parse_property_bag,
)

values = st.none() | st.text(max_size=20)
keys = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12).filter(
    lambda key: key not in SYSTEM_PROPERTIES
)


def test_parse_when_vector_of_an_sdk_gives_system_and_application() -> None:
    bag = parse_property_bag(
        "%24.mid=m-1&%24.ct=application%2Fjson&%24.ce=utf-8&%24.sub=crane&zone=a%20b&flag="
    )
    assert bag.system == {
        "message-id": "m-1",
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "dt-subject": "crane",
    }
    assert bag.application == {"zone": "a b", "flag": ""}


def test_parse_when_dollar_is_raw_reads_the_same() -> None:
    assert parse_property_bag("$.mid=1&$.cid=2") == parse_property_bag("%24.mid=1&%24.cid=2")


def test_parse_when_empty_gives_the_empty_bag() -> None:
    assert parse_property_bag("") is EMPTY_BAG
    assert not EMPTY_BAG


def test_parse_when_key_has_no_equals_sign_gives_none_not_empty() -> None:
    assert parse_property_bag("null&empty=").application == {"null": None, "empty": ""}


def test_parse_when_value_holds_plus_or_equals_keeps_them() -> None:
    assert parse_property_bag("a=1+1=2&b=1+1%3D2").application == {"a": "1+1=2", "b": "1+1=2"}


def test_parse_when_key_comes_twice_takes_the_last() -> None:
    bag = parse_property_bag("a=1&%61=2&$.ct=x&%24.ct=y")
    assert bag == PropertyBag({"content-type": "y"}, {"a": "2"})


def test_parse_when_system_key_is_unknown_keeps_it_as_application_property() -> None:
    assert parse_property_bag("%24.zzz=1").application == {"$.zzz": "1"}


def test_parse_when_pieces_are_empty_skips_them() -> None:
    assert parse_property_bag("&a=1&&b=2&").application == {"a": "1", "b": "2"}


@pytest.mark.parametrize("text", ["=x", "a=1&=2", "%00=1", "a%0Ab=1", "a=%ff", "%c3%28=1"])
def test_parse_when_key_or_encoding_is_broken_is_refused(text: str) -> None:
    with pytest.raises(PropertyBagMalformed):
        parse_property_bag(text)


def test_parse_when_escape_is_incomplete_keeps_it_as_text() -> None:
    assert parse_property_bag("a=100%&b=%zz").application == {"a": "100%", "b": "%zz"}


def test_parse_when_there_are_too_many_is_refused() -> None:
    at_limit = "&".join(f"k{n}=1" for n in range(MAX_PROPERTIES))
    assert len(parse_property_bag(at_limit).application) == MAX_PROPERTIES
    with pytest.raises(PropertyBagMalformed, match=str(MAX_PROPERTIES)):
        parse_property_bag(at_limit + "&one-more=1")


def test_parse_when_text_repeats_gives_the_same_read_only_bag() -> None:
    first = parse_property_bag("repeated=1")
    assert parse_property_bag("repeated=1") is first
    with pytest.raises(TypeError):
        first.application["repeated"] = "2"  # type: ignore[index]  # that is the point


def test_parse_when_text_is_long_is_not_kept() -> None:
    text = "a=" + "x" * MAX_CACHED_CHARS
    assert parse_property_bag(text) == parse_property_bag(text)
    assert parse_property_bag(text) is not parse_property_bag(text)


def test_format_when_system_property_encodes_the_dollar() -> None:
    bag = PropertyBag(
        {"message-id": "c-1", "to": "/devices/dock-07/messages/deviceBound"},
        {"iothub-ack": "full", "job": "42", "null": None, "empty": ""},
    )
    assert format_property_bag(bag) == (
        "%24.mid=c-1&%24.to=%2Fdevices%2Fdock-07%2Fmessages%2FdeviceBound"
        "&iothub-ack=full&job=42&null&empty="
    )


def test_format_when_space_writes_percent_20() -> None:
    assert format_property_bag(PropertyBag(application={"a b": "c+d e"})) == "a%20b=c%2Bd%20e"


def test_format_when_name_is_no_system_property_is_refused() -> None:
    with pytest.raises(ValueError, match="no-such"):
        format_property_bag(PropertyBag({"no-such": "x"}))


def test_format_when_key_is_empty_is_refused() -> None:
    with pytest.raises(ValueError, match="key"):
        format_property_bag(PropertyBag(application={"": "x"}))


@given(
    st.dictionaries(st.sampled_from(sorted(SYSTEM_PROPERTIES.values())), values, max_size=5),
    st.dictionaries(keys, values, max_size=5),
)
def test_bag_when_formatted_parses_back(
    system: dict[str, str | None], application: dict[str, str | None]
) -> None:
    bag = PropertyBag(system, application)
    assert parse_property_bag(format_property_bag(bag)) == bag


@given(st.text("ab$.mid%24=&+/ \x00é", max_size=40) | st.text(max_size=40))
def test_parse_when_text_is_arbitrary_raises_nothing_else(text: str) -> None:
    with contextlib.suppress(PropertyBagMalformed):
        parse_property_bag(text)


@given(st.text("ab%2475EFxyz=&&==%%\x00\x7f\x9fé", max_size=40) | st.text(max_size=40))
@example("=")
@example("&=a")
@example("%3D=1")
@example("a=%C3&b=%A9")
@example("%c3%a9=1")
@example("%7F")
@example("%7f=1")
@example("a=\x00")
@example("&".join("a" * (MAX_PROPERTIES + 1)))
@example("&".join("a" * MAX_PROPERTIES))
def test_is_property_bag_when_text_is_arbitrary_agrees_with_parsing(text: str) -> None:
    try:
        parse_property_bag(text)
    except PropertyBagMalformed:
        assert not is_property_bag(text)
    else:
        assert is_property_bag(text)
