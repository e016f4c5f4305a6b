"""One cloud per test, over each back end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.cloudworld import CloudWorld
from tests.support.stores import BACK_ENDS, Stores


@pytest.fixture(params=BACK_ENDS)
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stores]:
    async with BACK_ENDS[request.param](tmp_path) as opened:
        yield opened


@pytest.fixture
async def world(stores: Stores) -> AsyncIterator[CloudWorld]:
    opened = await CloudWorld.open(stores)
    yield opened
    await opened.webhook.close()
