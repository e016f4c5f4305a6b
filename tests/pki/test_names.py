"""Subject fields, and the guide's rules C3 and C4."""

from __future__ import annotations

import pytest
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.pki.errors import (
    CommonNameMissing,
    CommonNameNotLowerAlphanumeric,
    PkiError,
    SubjectFieldInvalid,
    SubjectOnlyCommonName,
)
from mooring.pki.names import (
    Subject,
    answer_or_none,
    check_identity_subject,
    proposed_common_name,
)


def test_to_name_when_all_fields_are_filled_keeps_openssls_order() -> None:
    subject = Subject(
        common_name="edge01",
        country="IT",
        state="UD",
        locality="Amaro",
        organization="Quay",
        organizational_unit="Pier",
        email="me@quay.example",
    )
    assert [attribute.oid for attribute in subject.to_name()] == [
        NameOID.COUNTRY_NAME,
        NameOID.STATE_OR_PROVINCE_NAME,
        NameOID.LOCALITY_NAME,
        NameOID.ORGANIZATION_NAME,
        NameOID.ORGANIZATIONAL_UNIT_NAME,
        NameOID.COMMON_NAME,
        NameOID.EMAIL_ADDRESS,
    ]
    assert len(subject.other_fields) == 6
    check_identity_subject(subject)


def test_to_name_when_fields_are_empty_leaves_them_out() -> None:
    assert len(list(Subject(common_name="edge01", state="", country=None).to_name())) == 1


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("common_name", "a" * 65, "65 characters, more than the 64"),
        ("country", "I", "two letters"),
        ("country", "ITA", "two letters"),
        ("country", "1T", "two letters"),
        ("country", "ÌT", "two letters"),
        ("state", "a" * 129, "129 characters"),
        ("locality", "a" * 129, "129 characters"),
        ("organization", "a" * 65, "65 characters"),
        ("organizational_unit", "a" * 65, "65 characters"),
        ("email", "a" * 256, "256 characters"),
        ("email", "mé@quay.example", "ASCII"),
        ("organization", " Quay", "blank"),
        ("organization", "  ", "blank"),
        ("organization", "Qu\nay", "control character"),
    ],
)
def test_subject_when_a_field_is_invalid_refuses(field: str, value: str, fault: str) -> None:
    with pytest.raises(SubjectFieldInvalid, match=fault) as caught:
        Subject(**{field: value})
    assert caught.value.field == field
    assert caught.value.remedy


def test_subject_when_fields_are_at_their_limit_accepts() -> None:
    Subject(common_name="a" * 64, organization="b" * 64, locality="c" * 128, email="d" * 255)


@pytest.mark.parametrize("name", [None, ""])
def test_check_identity_subject_when_no_common_name_refuses(name: str | None) -> None:
    with pytest.raises(CommonNameMissing):
        check_identity_subject(Subject(common_name=name, organization="Quay"))


@pytest.mark.parametrize(
    ("name", "proposed"),
    [
        ("Edge-GW-01", "edgegw01"),
        ("EDGE", "edge"),
        ("città.1", "citta1"),
        ("edge_01", "edge01"),
        ("a b", "ab"),
        ("edge٣", "edge"),
    ],
)
def test_check_identity_subject_when_common_name_breaks_c4_proposes_one(
    name: str, proposed: str
) -> None:
    with pytest.raises(CommonNameNotLowerAlphanumeric) as caught:
        check_identity_subject(Subject(common_name=name, organization="Quay"))
    assert caught.value.proposed == proposed
    assert repr(proposed) in caught.value.remedy
    assert "--any-subject" in caught.value.remedy
    check_identity_subject(Subject(common_name=proposed, organization="Quay"))


def test_check_identity_subject_when_nothing_can_be_proposed_says_the_rule() -> None:
    with pytest.raises(CommonNameNotLowerAlphanumeric) as caught:
        check_identity_subject(Subject(common_name="---", organization="Quay"))
    assert caught.value.proposed == ""
    assert "lower-case letters and digits" in caught.value.remedy


def test_check_identity_subject_when_only_common_name_refuses() -> None:
    with pytest.raises(SubjectOnlyCommonName) as caught:
        check_identity_subject(Subject(common_name="edge01"))
    assert "--any-subject" in caught.value.remedy


@pytest.mark.parametrize(
    ("answer", "meaning"), [(".", None), ("", None), ("  ", None), (" Quay ", "Quay"), ("..", "..")]
)
def test_answer_or_none_when_blank_or_period_is_none(answer: str, meaning: str | None) -> None:
    assert answer_or_none(answer) == meaning


@settings(deadline=None)
@given(st.text(max_size=200))
def test_proposed_common_name_when_anything_is_given_obeys_the_rule(text: str) -> None:
    proposed = proposed_common_name(text)
    if proposed:
        check_identity_subject(Subject(common_name=proposed, organization="Quay"))
    assert proposed_common_name(proposed) == proposed


@settings(deadline=None)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            field: st.text(max_size=300)
            for field in (
                "common_name",
                "country",
                "state",
                "locality",
                "organization",
                "organizational_unit",
                "email",
            )
        },
    )
)
def test_subject_when_anything_is_given_refuses_or_makes_a_name(fields: dict[str, str]) -> None:
    try:
        subject = Subject(**fields)
    except PkiError:
        return
    subject.to_name().public_bytes()
