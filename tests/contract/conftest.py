"""Each store suite runs over each back end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.stores import BACK_ENDS, Stores


@pytest.fixture(params=BACK_ENDS)
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stores]:
    async with BACK_ENDS[request.param](tmp_path) as opened:
        yield opened
