"""docs/settings.md is what the settings say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mooring.cli.settings_page import render

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_settings_page_is_fresh() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), (
        "run: python -m mooring.cli.settings_page docs/settings.md"
    )


def test_settings_page_names_every_variable_that_is_read() -> None:
    page = render()
    for variable in ("MOORING_CLOUD_RETRY_AFTER_S", "MOORING_GATEWAY_PORT", "MOORING_STATE"):
        assert f"`{variable}`" in page


def test_command_in_the_head_of_the_page_writes_it(tmp_path: Path) -> None:
    target = tmp_path / "settings.md"
    subprocess.run([sys.executable, "-m", "mooring.cli.settings_page", str(target)], check=True)
    assert target.read_text(encoding="utf-8") == render()
