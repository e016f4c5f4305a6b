"""docs/coverage.md is what a running cloud serves and what the interop tests call."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.docs.coverage_page import exercised, probe_all, render
from tests.docs.hub_operations import MAY_BE_MISSING, NO_CLIENT_AT_HAND, OPERATIONS
from tests.support.cloud import running_cloud

PAGE = Path(__file__).parents[2] / "docs" / "coverage.md"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bool]:
    with running_cloud(tmp_path_factory.mktemp("coverage")) as cloud:
        return probe_all(cloud)


def test_coverage_page_is_fresh(served: dict[str, bool]) -> None:
    assert PAGE.read_text(encoding="utf-8") == render(served, exercised()), (
        "run: python -m tests.docs.coverage_page docs/coverage.md"
    )


def test_every_operation_is_served_but_those_that_may_be_missing(served: dict[str, bool]) -> None:
    assert {key for key, answer in served.items() if not answer} == MAY_BE_MISSING


def test_interop_tests_name_operations_of_the_table() -> None:
    assert exercised().keys() <= {operation.key for operation in OPERATIONS}
    assert len({operation.key for operation in OPERATIONS}) == len(OPERATIONS)


def test_every_operation_that_is_served_is_called_by_a_stranger() -> None:
    clients = exercised()
    uncalled = {
        operation.key
        for operation in OPERATIONS
        if operation.key not in MAY_BE_MISSING and operation.key not in clients
    }
    assert uncalled == NO_CLIENT_AT_HAND
