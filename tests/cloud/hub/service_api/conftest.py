"""One cloud for a module, and a client of its first hub's service API."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from tests.support.cloud import CloudThread
from tests.support.hub_api import HubClient, hub_client


@pytest.fixture
def api(cloud: CloudThread) -> Iterator[HubClient]:
    """Return a client with the rights of ``iothubowner``."""
    with hub_client(cloud) as client:
        yield client


@pytest.fixture
def name() -> str:
    """Return a fresh id."""
    return f"gw{secrets.token_hex(4)}"
