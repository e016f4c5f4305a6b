"""Fixtures of the gateway's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.gateways import Gateway, running_gateway
from tests.support.scripted_azure import ScriptedAzure


@pytest.fixture
async def azure(tmp_path: Path) -> AsyncIterator[ScriptedAzure]:
    """A DPS and hub that do as a test orders."""
    folder = tmp_path / "azure"
    folder.mkdir()
    server = await ScriptedAzure.start(folder)
    yield server
    await server.stop_listening()


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    """A running gateway."""
    async with running_gateway(tmp_path / "state") as running:
        yield running
