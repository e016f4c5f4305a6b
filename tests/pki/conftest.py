"""Fixtures for the tests of `mooring.pki`."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Collection
from pathlib import Path

import pytest
from tests.support.x509 import Made, make_ca


@pytest.fixture(scope="session")
def root() -> Made:
    """A root CA."""
    return make_ca("root")


@pytest.fixture(scope="session")
def intermediate(root: Made) -> Made:
    """An intermediate CA below `root`."""
    return make_ca("intermediate", root, path_length=0)


@pytest.fixture
def openssl(tmp_path: Path) -> Callable[..., str]:
    """Run the machine's `openssl` in the test's folder and return its standard output."""

    def run(*arguments: str, answers: str = "", expected: Collection[int] = (0,)) -> str:
        done = subprocess.run(
            ["openssl", *arguments],
            cwd=tmp_path,
            check=False,
            capture_output=True,
            input=answers,
            text=True,
            timeout=60,
        )
        said = f"openssl {' '.join(arguments)}:\n{done.stderr}{done.stdout}"
        assert done.returncode in expected, said
        return done.stdout

    return run
