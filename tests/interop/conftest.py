"""One cloud for each module of interop tests, and each SDK in turn."""

from __future__ import annotations

import pytest
from tests.interop.sdks import NodeSdk, PythonSdk, Sdk
from tests.support.cloud import cloud

__all__ = ["cloud", "sdk"]


SDKS = [PythonSdk(), NodeSdk(), PythonSdk(websockets=True), NodeSdk(websockets=True)]


@pytest.fixture(params=SDKS, ids=lambda sdk: sdk.label)
def sdk(request: pytest.FixtureRequest) -> Sdk:
    """Return each SDK in turn, over MQTT and over MQTT in WebSocket."""
    found: Sdk = request.param
    return found
