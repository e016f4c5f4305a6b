"""The catalogue as a whole: every rule is well formed, listed, documented and can fail."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.lint_cases import CASES

from mooring.pki.lint import CATALOGUE, Field, Rule, Severity
from mooring.pki.lint import rules as rules_package
from mooring.pki.lint.documentation import main, render
from mooring.pki.lint.model import Breach

REPOSITORY = Path(__file__).parents[3]
RULES_FOLDER = Path(str(rules_package.__file__)).parent

every_rule = pytest.mark.parametrize("rule", CATALOGUE, ids=lambda rule: rule.rule_id)


def test_rule_ids_are_distinct() -> None:
    ids = [rule.rule_id for rule in CATALOGUE]
    assert len(ids) == len(set(ids))


def test_catalogue_holds_a_rule_per_file_and_no_others() -> None:
    files = {path.stem for path in RULES_FOLDER.glob("*.py")} - {"__init__"}
    assert files == {rule.rule_id for rule in CATALOGUE}


@every_rule
def test_rule_stands_in_the_file_of_its_name(rule: Rule) -> None:
    assert rule.examine.__module__ == f"{rules_package.__name__}.{rule.rule_id}"


@every_rule
def test_rule_says_what_it_demands_from_where_and_what_to_do(rule: Rule) -> None:
    for text in (rule.citation, rule.description, rule.remedy):
        assert len(text) > 10
    assert rule.description.endswith(".")
    assert rule.remedy.endswith(".")


@every_rule
def test_rule_has_a_good_and_a_bad_case(rule: Rule) -> None:
    assert rule.rule_id in CASES


def test_cases_belong_to_rules_of_the_catalogue() -> None:
    assert set(CASES) == {rule.rule_id for rule in CATALOGUE}


@every_rule
def test_rule_with_its_good_case_applies_and_finds_nothing(rule: Rule) -> None:
    good = CASES[rule.rule_id][0]()
    assert rule.applies(good)
    assert rule.check(good) is None


@every_rule
@pytest.mark.filterwarnings("ignore:Attribute's length:UserWarning")
@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_rule_with_its_bad_case_finds_it(rule: Rule) -> None:
    finding = rule.check(CASES[rule.rule_id][1]())
    assert finding is not None
    assert finding.rule_id == rule.rule_id
    assert finding.severity is rule.severity
    assert finding.citation == rule.citation
    assert finding.message.endswith(".")
    assert finding.remedy


def test_only_the_guides_subject_rules_change_when_strict() -> None:
    strict = {rule.rule_id for rule in CATALOGUE if rule.strict_severity is not None}
    assert strict == {"w_common_name_not_lower_alphanumeric", "w_subject_only_common_name"}


def test_rule_whose_letter_is_not_its_severitys_is_refused() -> None:
    with pytest.raises(ValueError, match="w_nothing"):
        Rule(
            rule_id="w_nothing",
            severity=Severity.ERROR,
            field=Field.CLOCK,
            citation="none",
            description="none",
            remedy="none",
            applies=lambda _context: True,
            examine=lambda _context: Breach("none"),
        )


def test_reference_page_is_fresh() -> None:
    page = (REPOSITORY / "docs" / "lint.md").read_text(encoding="utf-8")
    assert page == render(), "run: python -m mooring.pki.lint.documentation docs/lint.md"


def test_reference_page_is_written_where_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["documentation", str(tmp_path / "lint.md")])
    main()
    assert (tmp_path / "lint.md").read_text(encoding="utf-8") == render()


def test_reference_page_names_every_rule_once() -> None:
    page = render()
    for rule in CATALOGUE:
        assert page.count(f"### `{rule.rule_id}`") == 1
