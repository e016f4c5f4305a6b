"""The published fixture for each module of interop tests, and each SDK in turn."""

from __future__ import annotations

import pytest
from tests.interop.sdks import (
    HubSdk,
    NodeHubSdk,
    NodeSdk,
    NodeServiceSdk,
    PythonHubSdk,
    PythonSdk,
    PythonServiceSdk,
    Sdk,
    ServiceSdk,
)

from mooring.testing import ThrowAwayCloud


@pytest.fixture(scope="module")
def cloud(mooring_cloud: ThrowAwayCloud) -> ThrowAwayCloud:
    """Return the cloud that users' own tests get."""
    return mooring_cloud


SDKS = [
    PythonSdk(),
    NodeSdk(),
    PythonSdk(websockets=True),
    NodeSdk(websockets=True),
    NodeSdk(http=True),
]


@pytest.fixture(params=SDKS, ids=lambda sdk: sdk.label)
def sdk(request: pytest.FixtureRequest) -> Sdk:
    """Return each SDK in turn, over MQTT, MQTT in WebSocket, and HTTPS where it has that."""
    found: Sdk = request.param
    return found


@pytest.fixture(params=[PythonServiceSdk(), NodeServiceSdk()], ids=lambda sdk: sdk.name)
def service_sdk(request: pytest.FixtureRequest) -> ServiceSdk:
    """Return each service SDK in turn."""
    found: ServiceSdk = request.param
    return found


@pytest.fixture(params=[PythonHubSdk(), NodeHubSdk()], ids=lambda sdk: sdk.name)
def hub_sdk(request: pytest.FixtureRequest) -> HubSdk:
    """Return each SDK for back ends of a hub in turn."""
    found: HubSdk = request.param
    return found
