"""docs/testing.md: every Python example is run, every name on the page exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.testing.conftest import Suite

from mooring.testing import ThrowAwayCloud, plugin

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"
TEXT = PAGE.read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.mark.slow
@pytest.mark.interop
def test_examples_of_the_page_run_as_they_stand(tmp_path: Path) -> None:
    suite = Suite(tmp_path)
    tests = [block for block in _blocks("python") if "def test_" in block]
    programs = [block for block in _blocks("python") if "def test_" not in block]
    assert len(tests) == 6
    assert len(programs) == 1
    for number, block in enumerate(tests):
        (tmp_path / f"test_example{number}.py").write_text(block)

    passed = sum(block.count("def test_") for block in tests)
    assert f"{passed} passed" in suite.run()

    for block in programs:
        assert "127." in suite.run_command([sys.executable, "-c", block])


def test_ini_file_of_the_page_is_taken(tmp_path: Path) -> None:
    suite = Suite(tmp_path)
    (ini,) = _blocks("ini")
    suite.write("def test_nothing(request): print(request.config.getini('mooring_settings'))")
    (tmp_path / "pytest.ini").write_text(ini)

    assert "retry_after_s = 2" in suite.run("-s", "--strict-config")


def test_workflow_of_the_page_gives_the_options_that_there_are() -> None:
    (workflow,) = _blocks("yaml")
    shell = _blocks("sh")[-1]
    for recipe in (workflow, shell):
        assert "-m pytest -n auto --mooring-state mooring-state" in recipe


def test_names_on_the_page_exist() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "pytest", "--help"], capture_output=True, text=True, check=True
    ).stdout
    for option in set(re.findall(r"--mooring-\w+", TEXT)):
        assert option in shown
    for name in set(re.findall(r"\bmooring_(?!cloud\.)\w+", TEXT)):
        assert hasattr(plugin, name) or f"  {name} (" in shown, name
    table = TEXT.partition("## Enrolling and looking")[2].partition("\n## ")[0]
    cells = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    names = {name for cell in cells for name in re.findall(r"`(\w+)", cell)}
    assert len(names) > 20
    for name in names | set(re.findall(r"\bmooring_cloud\.(\w+)", TEXT)):
        assert hasattr(ThrowAwayCloud, name), name
