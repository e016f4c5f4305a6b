"""One cloud and gateway for all tests of the commands that talk to them."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
from tests.support.commandline import CommandLine, QuickCommandLine, house_up


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Generator[CommandLine]:
    """Run `mooring up --detach` for this test process."""
    with house_up(tmp_path_factory.mktemp("house")) as here:
        yield here


@pytest.fixture
def mooring(house: CommandLine, tmp_path: Path) -> CommandLine:
    """Return the command with that house as state, in an empty folder, quick to run."""
    return QuickCommandLine.of(house, tmp_path)


@pytest.fixture
def mooring_process(house: CommandLine, tmp_path: Path) -> CommandLine:
    """Return the same as processes of their own."""
    return CommandLine(house.state, tmp_path, house.address)
