"""The tables from error number to HTTP status and text."""

from __future__ import annotations

import pytest

from mooring.protocol.azure import errors
from mooring.protocol.azure.errors import AzureError, DpsErrorCode, HubErrorCode

TABLES = pytest.mark.parametrize("table", [DpsErrorCode, HubErrorCode])


@TABLES
def test_table_has_no_number_name_or_text_twice(
    table: type[DpsErrorCode | HubErrorCode],
) -> None:
    members = list(table.__members__.values())
    assert len({m.value for m in members}) == len(members)
    assert len({m.wire_name for m in members}) == len(members)
    assert len({m.text for m in members}) == len(members)


@TABLES
def test_number_when_divided_by_a_thousand_is_an_http_error_status(
    table: type[DpsErrorCode | HubErrorCode],
) -> None:
    for code in table:
        assert code.http_status == code // 1000
        assert 400 <= code.http_status <= 599
        assert code.text.isascii()
        assert code.wire_name.isalnum()


@pytest.mark.parametrize(
    ("code", "number", "status"),
    [
        (DpsErrorCode.UNAUTHORIZED, 401002, 401),
        (DpsErrorCode.ID_SCOPE_NOT_FOUND, 404001, 404),
        (DpsErrorCode.HUB_NOT_SPECIFIED, 400208, 400),
        (DpsErrorCode.THROTTLED, 429001, 429),
        (HubErrorCode.UNAUTHORIZED, 401003, 401),
        (HubErrorCode.DEVICE_NOT_ONLINE, 404103, 404),
    ],
)
def test_code_when_clients_depend_on_it_has_its_number(
    code: DpsErrorCode | HubErrorCode, number: int, status: int
) -> None:
    assert (code, code.http_status) == (number, status)


def test_code_when_looked_up_by_number_is_found() -> None:
    assert HubErrorCode(404001) is HubErrorCode.DEVICE_NOT_FOUND
    assert HubErrorCode(404001).wire_name == "DeviceNotFound"
    with pytest.raises(ValueError, match="999"):
        DpsErrorCode(999)


def test_exceptions_have_codes_of_their_own() -> None:
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, AzureError)
    ]
    assert len(kinds) > 10
    assert len({kind.code for kind in kinds}) == len(kinds)
    assert all(kind.code == kind.code.lower() and " " not in kind.code for kind in kinds)


def test_exception_when_raised_says_its_message_and_keeps_its_fields() -> None:
    error = errors.TopicMalformed("topic 'x' is odd", remedy="Mend it.", field="topic")
    assert str(error) == "topic 'x' is odd"
    assert (error.code, error.remedy, error.field) == ("topic-malformed", "Mend it.", "topic")


def test_quoted_when_text_is_long_or_holds_control_characters_stays_short_and_printable() -> None:
    assert errors.quoted("a\nb") == r"'a\nb'"
    assert len(errors.quoted("x" * 1000)) < 100
