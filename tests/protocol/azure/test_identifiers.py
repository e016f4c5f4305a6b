"""Names: what Azure allows, and what it does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.protocol.azure.errors import IdentifierMalformed
from mooring.protocol.azure.identifiers import (
    MAX_DTMI_CHARS,
    MAX_ID_CHARS,
    Dtmi,
    check_device_id,
    check_id_scope,
    check_registration_id,
    fold_registration_id,
    format_dtmi,
    parse_dtmi,
)


@pytest.mark.parametrize("text", ["0ne00000001", "0ne00HAWSER", "0neABcdef12"])
def test_id_scope_when_shaped_like_one_is_returned(text: str) -> None:
    assert check_id_scope(text) == text


@pytest.mark.parametrize(
    "text", ["", "0ne", "0ne0000001", "0ne000000012", "1ne00000001", "0ne0000-001", "0ne00000001 "]
)
def test_id_scope_when_of_another_shape_is_refused(text: str) -> None:
    with pytest.raises(IdentifierMalformed) as refusal:
        check_id_scope(text)
    assert refusal.value.field == "idScope"


@pytest.mark.parametrize(
    "text", ["a", "-", "edge-gw-01", "A.b_c:d-", "0", "x" * MAX_ID_CHARS, "ends-"]
)
def test_registration_id_when_allowed_is_returned(text: str) -> None:
    assert check_registration_id(text) == text


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "empty"),
        ("x" * (MAX_ID_CHARS + 1), "129 characters"),
        ("ends.", "end"),
        ("ends_", "end"),
        ("ends:", "end"),
        ("a b", "character"),
        ("a/b", "character"),
        ("gerät", "character"),
        ("a\n", "character"),
    ],
)
def test_registration_id_when_not_allowed_names_the_fault(text: str, fault: str) -> None:
    with pytest.raises(IdentifierMalformed, match=fault) as refusal:
        check_registration_id(text, field="enrollmentGroupId")
    assert refusal.value.field == "enrollmentGroupId"


def test_registration_id_when_folded_ignores_ascii_case_only() -> None:
    assert fold_registration_id("Edge-GW-01") == "edge-gw-01"
    # U+212A, the Kelvin sign, lower-cases to an ASCII k: two devices would become one.
    assert fold_registration_id("\N{KELVIN SIGN}") == "\N{KELVIN SIGN}"


@pytest.mark.parametrize("text", ["dock-07", "a+#$'!(),=@%_*?.:", "x" * MAX_ID_CHARS])
def test_device_id_when_allowed_is_returned(text: str) -> None:
    assert check_device_id(text) == text


@pytest.mark.parametrize("text", ["", "a/b", "a b", "ä", "x" * (MAX_ID_CHARS + 1), "a\x00"])
def test_device_id_when_not_allowed_is_refused(text: str) -> None:
    with pytest.raises(IdentifierMalformed):
        check_device_id(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dtmi:mooring:Dock;1", Dtmi("dtmi:mooring:Dock", 1)),
        ("dtmi:Eurotech:RG_10_12_6x;3", Dtmi("dtmi:Eurotech:RG_10_12_6x", 3)),
        ("dtmi:a;999999999", Dtmi("dtmi:a", 999_999_999)),
    ],
)
def test_dtmi_when_well_formed_gives_path_and_version(text: str, expected: Dtmi) -> None:
    assert parse_dtmi(text) == expected
    assert str(expected) == text
    assert format_dtmi(expected.path, expected.version) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "None",
        "dtmi:a",
        "dtmi:a;0",
        "dtmi:a;01",
        "dtmi:a;1000000000",
        "dtmi:;1",
        "dtmi::a;1",
        "dtmi:1a;1",
        "dtmi:a_;1",
        "dtmi:_a;1",
        "DTMI:a;1",
        "dtmi:a;1 ",
        "dtmi:" + "a" * MAX_DTMI_CHARS + ";1",
    ],
)
def test_dtmi_when_malformed_is_refused(text: str) -> None:
    with pytest.raises(IdentifierMalformed) as refusal:
        parse_dtmi(text, field="model-id")
    assert refusal.value.field == "model-id"


@pytest.mark.parametrize("version", [0, -1, 10**9])
def test_dtmi_when_version_is_out_of_range_is_not_formatted(version: int) -> None:
    with pytest.raises(IdentifierMalformed):
        format_dtmi("dtmi:a", version)


@given(st.text(max_size=40))
def test_check_when_text_is_arbitrary_raises_nothing_else(text: str) -> None:
    for check in (check_id_scope, check_registration_id, check_device_id, parse_dtmi):
        try:
            check(text)
        except IdentifierMalformed as error:
            assert error.message.isprintable()  # noqa: PT017  both outcomes are allowed
