"""Twins: what may stand in one, and what a patch does to it, against a naive model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.protocol.azure.errors import BodyTooLarge, PayloadMalformed, TwinTooLarge
from mooring.protocol.azure.twins import (
    MAX_ENCODED_BYTES,
    MAX_INTEGER,
    MAX_KEYS,
    MAX_PATCH_BYTES,
    MAX_PATCH_VALUES,
    MIN_INTEGER,
    TwinProperties,
    TwinSection,
    check_patch,
    check_section,
    desired_stamp,
    encode_section,
    first_properties,
    first_tags,
    format_desired_notification,
    format_device_document,
    format_twin_etag,
    merge_properties,
    merge_values,
    patch_metadata,
    properties_to_json,
    read_reported_patch,
    read_twin_update,
    replace_properties,
    reported_stamp,
    size_of,
)

AT = datetime(2030, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
TEXT_AT = "2030-01-02T03:04:05.6780000Z"

keys = st.text("abcä", min_size=1, max_size=2)
scalars = st.booleans() | st.integers(MIN_INTEGER, MAX_INTEGER) | st.text("xyä", max_size=4)
leaves = scalars | st.lists(scalars, max_size=2)
documents = st.dictionaries(
    keys,
    st.recursive(leaves, lambda inner: st.dictionaries(keys, inner, max_size=3), max_leaves=8),
    max_size=4,
)
patches = st.dictionaries(
    keys,
    st.recursive(
        leaves | st.none(), lambda inner: st.dictionaries(keys, inner, max_size=3), max_leaves=8
    ),
    max_size=4,
)


def naively_merged(target: Any, patch: Any) -> Any:
    """Return what RFC 7396 §2 says, word by word."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            if name in result:
                del result[name]
        else:
            result[name] = naively_merged(result.get(name), value)
    return result


def mirrors(metadata: Mapping[str, Any], values: Any) -> bool:
    """Return whether there is metadata for each key of `values`, and for nothing else."""
    below = {key: item for key, item in metadata.items() if not key.startswith("$")}
    if not isinstance(values, dict):
        return not below and "$lastUpdated" in metadata
    return (
        "$lastUpdated" in metadata
        and below.keys() == values.keys()
        and all(mirrors(below[key], item) for key, item in values.items())
    )


@given(documents, patches)
def test_merge_does_what_rfc_7396_says_and_leaves_its_arguments_alone(
    values: dict[str, Any], patch: dict[str, Any]
) -> None:
    before = json.dumps([values, patch])
    assert merge_values(values, patch) == naively_merged(values, patch)
    assert json.dumps([values, patch]) == before


@given(documents, st.lists(patches, max_size=5))
def test_every_patch_raises_the_version_by_one_and_metadata_mirrors_the_values(
    values: dict[str, Any], changes: list[dict[str, Any]]
) -> None:
    properties = first_properties(values, AT, desired=True)
    model = values
    for number, patch in enumerate(changes, 2):
        at = AT + timedelta(seconds=number)
        properties = merge_properties(properties, patch, desired_stamp(at, number))
        model = naively_merged(model, patch)
        assert properties.version == number
        assert properties.values == model
        assert mirrors(properties.metadata, model)
        assert properties.metadata["$lastUpdatedVersion"] == number


def test_metadata_says_when_each_key_was_written_last() -> None:
    properties = first_properties({"rate": 5, "net": {"a": 1, "b": [1]}}, AT, desired=True)
    first, second = desired_stamp(AT, 1), desired_stamp(AT + timedelta(seconds=1), 2)

    properties = merge_properties(properties, {"net": {"a": None, "c": {}}}, second)

    assert properties.metadata == {
        **second,
        "rate": first,
        "net": {**second, "b": first, "c": second},
    }


def test_a_text_that_becomes_an_object_has_metadata_of_its_keys_and_back() -> None:
    stamp = reported_stamp(AT)
    properties = first_properties({"a": "x"}, AT, desired=False)
    properties = merge_properties(properties, {"a": {"b": 1}}, stamp)
    assert properties.metadata == {**stamp, "a": {**stamp, "b": stamp}}
    properties = merge_properties(properties, {"a": [1]}, stamp)
    assert properties.metadata == {**stamp, "a": stamp}


def test_replacement_forgets_what_was_there_but_not_the_version() -> None:
    before = TwinProperties({"a": 1}, {"a": reported_stamp(AT)}, 7)
    stamp = desired_stamp(AT, 8)

    after = replace_properties(before, {"b": 2, "c": None}, stamp)

    assert after == TwinProperties({"b": 2}, {**stamp, "b": stamp}, 8)


def test_the_twin_of_a_new_device_has_version_1_and_no_dollar_keys_or_nulls() -> None:
    empty = first_properties({}, AT, desired=True)
    assert properties_to_json(empty) == {"$metadata": {"$lastUpdated": TEXT_AT}, "$version": 1}

    given_values = {"rate": 5, "$version": 9, "old": None, "deep": {"$metadata": {}, "x": 1}}
    filled = first_properties(given_values, AT, desired=True)
    stamp = {"$lastUpdated": TEXT_AT, "$lastUpdatedVersion": 1}
    assert properties_to_json(filled) == {
        "rate": 5,
        "deep": {"x": 1},
        "$metadata": {**stamp, "rate": stamp, "deep": {**stamp, "x": stamp}},
        "$version": 1,
    }
    assert first_tags(given_values) == {"rate": 5, "deep": {"x": 1}}


def test_metadata_of_an_event_covers_deleted_keys() -> None:
    stamp = reported_stamp(AT)
    assert patch_metadata({"a": None, "b": {"c": 1}}, stamp) == {
        **stamp,
        "a": stamp,
        "b": {**stamp, "c": stamp},
    }


# -- what may stand in a twin -----------------------------------------------------------------


def nested(levels: int, value: object = 1) -> dict[str, Any]:
    """Return a section with `levels` objects within one another below it."""
    document: Any = {"last": value}
    for _ in range(levels):
        document = {"x": document}
    assert isinstance(document, dict)
    return document


@pytest.mark.parametrize(
    "patch",
    [
        {},
        {"a": None, "b": {"c": None}},
        {"k" * 1024: 1},
        {"ä" * 512: 1},
        {"a": "x" * 4096},
        {"a": [MIN_INTEGER, MAX_INTEGER, 1.5e300, True, "x", [], {}, {"b": [1]}]},
        nested(10),
        {"a-b_c:d/e": 1},
        {"gerät": "ä"},
    ],
)
def test_what_is_allowed_passes(patch: dict[str, Any]) -> None:
    assert read_reported_patch(json.dumps(patch).encode()) == patch


@pytest.mark.parametrize(
    ("patch", "field"),
    [
        ({"bad.key": 1}, "properties.reported"),
        ({"a": {"b c": 1}}, "properties.reported.a"),
        ({"$version": 3}, "properties.reported"),
        ({"$metadata": {}}, "properties.reported"),
        ({"a": [{"x$": 1}]}, "properties.reported.a[]"),
        ({"a\x1f": 1}, "properties.reported"),
        ({"a\x7f": 1}, "properties.reported"),
        ({"a\x9f": 1}, "properties.reported"),
        ({"k" * 1025: 1}, "properties.reported"),
        ({"ä" * 513: 1}, "properties.reported"),
        ({"a": "x" * 4097}, "properties.reported.a"),
        ({"a": "ä" * 2049}, "properties.reported.a"),
        ({"a": ["x" * 4097]}, "properties.reported.a[]"),
        ({"a": MAX_INTEGER + 1}, "properties.reported.a"),
        ({"a": MIN_INTEGER - 1}, "properties.reported.a"),
        ({"a": [None]}, "properties.reported.a[]"),
        ({"a": [{"b": None}]}, "properties.reported.a[].b"),
        (nested(11), "properties.reported" + ".x" * 11),
        (nested(10, [1]), "properties.reported" + ".x" * 10 + ".last"),
        (nested(20), "properties.reported" + ".x" * 11),
    ],
)
def test_what_breaks_a_rule_is_refused_by_its_place(patch: dict[str, Any], field: str) -> None:
    with pytest.raises(PayloadMalformed) as refused:
        read_reported_patch(json.dumps(patch).encode())
    assert not isinstance(refused.value, TwinTooLarge)
    assert refused.value.field == field
    assert refused.value.remedy


@pytest.mark.parametrize("body", [b"", b" ", b"null", b"[]", b"3", b'{"a":', b'{"a":1e999}'])
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(PayloadMalformed):
        read_reported_patch(body)


def test_a_patch_larger_than_a_packet_is_refused_unread() -> None:
    with pytest.raises(BodyTooLarge):
        read_reported_patch(b'{"a":"%b"}' % (b"x" * MAX_PATCH_BYTES))


def test_size_counts_keys_texts_numbers_and_booleans() -> None:
    assert size_of({"ab": "xyz", "n": 1, "f": 1.5, "b": True, "z": None}) == 5 + 9 + 9 + 5 + 1
    assert size_of({"o": {"k": [1, "ä", [False]]}}) == 1 + 1 + 8 + 1 + 4


def filled(size: int) -> dict[str, Any]:
    """Return a section of just that size."""
    document = {f"k{number:02}": "x" * 1021 for number in range(size // 1024)}
    assert size_of(document) == size
    return document


def test_a_section_may_be_as_large_as_azure_says_and_not_larger() -> None:
    for section, limit in (
        (TwinSection.TAGS, 8192),
        (TwinSection.DESIRED, 32768),
        (TwinSection.REPORTED, 32768),
    ):
        fits = filled(limit)
        assert check_patch(fits, section) == fits
        assert json.loads(encode_section(fits, section)) == fits
        for attempt in (check_patch, check_section, encode_section):
            with pytest.raises(TwinTooLarge) as refused:
                attempt({**fits, "": True}, section)
            assert refused.value.field == section.value


def test_a_section_of_small_numbers_is_measured_too() -> None:
    # 2 characters of text each, 8 by Azure's count.
    with pytest.raises(TwinTooLarge):
        encode_section({"a": [1] * 4096}, TwinSection.REPORTED)
    encode_section({"a": [1] * 4095}, TwinSection.REPORTED)


def test_what_no_rule_counts_is_bounded_as_text() -> None:
    for refuse in (encode_section, check_section):
        with pytest.raises(TwinTooLarge):
            refuse({"a": [[]] * (MAX_ENCODED_BYTES // 3)}, TwinSection.REPORTED)


def test_keys_are_bounded_since_each_has_metadata() -> None:
    half = {chr(0x4E00 + number): "" for number in range(MAX_KEYS // 2 - 1)}
    fits = {"a": half, "b": half}
    encode_section(fits, TwinSection.REPORTED)
    for refuse in (encode_section, check_section):
        with pytest.raises(TwinTooLarge, match=f"{MAX_KEYS + 1} keys"):
            refuse({**fits, "c": ""}, TwinSection.REPORTED)
    # In arrays they have none.
    encode_section({"a": [half, half, half]}, TwinSection.REPORTED)


@given(documents)
def test_a_section_is_refused_only_if_its_size_is_above_the_limit(values: dict[str, Any]) -> None:
    encode_section(values, TwinSection.TAGS)
    padded = {**values, "a": "x" * (8192 - size_of({**values, "a": ""}))}
    encode_section(padded, TwinSection.TAGS)
    with pytest.raises(TwinTooLarge):
        encode_section({**padded, "": True}, TwinSection.TAGS)


def test_a_whole_twin_sent_back_counts_for_what_a_back_end_may_write() -> None:
    update = read_twin_update(
        {
            "deviceId": "x",
            "etag": "AAAAAAAAAAE=",
            "version": 3,
            "tags": {"site": "north"},
            "properties": {
                "desired": {"rate": 5, "$metadata": {"$lastUpdated": "x"}, "$version": 2},
                "reported": {"fw": "1", "$metadata": {}, "$version": 2},
            },
        }
    )
    assert update.tags == {"site": "north"}
    assert update.desired == {"rate": 5}


@pytest.mark.parametrize(
    "body", [{}, {"tags": None, "properties": None}, {"properties": {"desired": None}}]
)
def test_sections_that_are_absent_or_null_are_left_alone(body: dict[str, Any]) -> None:
    update = read_twin_update(body)
    assert update.tags is None
    assert update.desired is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"tags": 3}, "tags"),
        ({"properties": []}, "properties"),
        ({"properties": {"desired": "x"}}, "properties.desired"),
    ],
)
def test_a_section_of_the_wrong_type_is_refused(body: dict[str, Any], field: str) -> None:
    with pytest.raises(PayloadMalformed) as refused:
        read_twin_update(body)
    assert refused.value.field == field


# -- spelling (vectors: own values, iothub.md section 7) ---------------------------------------


def test_etags_are_those_of_the_reference() -> None:
    assert format_twin_etag(1) == "AAAAAAAAAAE="
    assert format_twin_etag(2) == "AAAAAAAAAAI="
    assert format_twin_etag(7) == "AAAAAAAAAAc="


def test_bodies_for_devices_are_those_of_the_reference() -> None:
    assert format_device_document("{}", 1, "{}", 1) == (
        b'{"desired":{"$version":1},"reported":{"$version":1}}'
    )
    assert format_device_document('{"rate":5}', 2, "{}", 1) == (
        b'{"desired":{"rate":5,"$version":2},"reported":{"$version":1}}'
    )
    assert format_desired_notification({"rate": 7, "old": None}, 3) == (
        b'{"rate":7,"old":null,"$version":3}'
    )


@pytest.mark.parametrize("item", [b"[]", b"1", b'""', b"{}"])
def test_a_patch_of_more_values_than_any_twin_holds_is_refused(item: bytes) -> None:
    def patch(count: int) -> bytes:
        return b'{"a":[' + b",".join([item] * count) + b"]}"

    with pytest.raises(BodyTooLarge, match="16384 values"):
        read_reported_patch(patch(MAX_PATCH_VALUES))
    if item != b"1":  # of which 8 bytes each count
        assert read_reported_patch(patch(MAX_PATCH_VALUES - 1))
