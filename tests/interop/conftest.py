"""The published fixture for each module of interop tests, and each SDK in turn."""

from __future__ import annotations

import pytest
from tests.interop.sdks import NodeSdk, PythonSdk, Sdk

from mooring.testing import ThrowAwayCloud


@pytest.fixture(scope="module")
def cloud(mooring_cloud: ThrowAwayCloud) -> ThrowAwayCloud:
    """Return the cloud that users' own tests get."""
    return mooring_cloud


@pytest.fixture(params=[PythonSdk(), NodeSdk()], ids=lambda sdk: sdk.name)
def sdk(request: pytest.FixtureRequest) -> Sdk:
    """Return each SDK in turn."""
    found: Sdk = request.param
    return found
