"""One cloud for each module of interop tests, and each SDK in turn."""

from __future__ import annotations

import pytest
from tests.interop.sdks import NodeSdk, PythonSdk, Sdk
from tests.support.cloud import cloud

__all__ = ["cloud", "sdk"]


@pytest.fixture(params=[PythonSdk(), NodeSdk()], ids=lambda sdk: sdk.name)
def sdk(request: pytest.FixtureRequest) -> Sdk:
    """Return each SDK in turn."""
    found: Sdk = request.param
    return found
