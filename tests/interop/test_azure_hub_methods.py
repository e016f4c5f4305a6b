"""Unmodified Azure SDKs on both sides of the hub: a back end calls a method of a device."""

from __future__ import annotations

import base64
import secrets

import pytest
from tests.interop.programs import PythonHubDevice
from tests.interop.sdks import HubSdk

from mooring.testing import ThrowAwayCloud

pytestmark = pytest.mark.interop


@pytest.mark.exercises("azure-iot-hub (PyPI)", "hub.method.invoke")
@pytest.mark.exercises("azure-iothub (npm)", "hub.method.invoke")
def test_back_end_calls_a_method_of_a_device(hub_sdk: HubSdk, cloud: ThrowAwayCloud) -> None:
    name = f"callee{hub_sdk.name}"
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    hub_sdk.run(cloud, ("create", {"name": name, "key": key}))
    call = {"name": name, "method": "lift", "payload": {"h": 3, "text": "grüß"}}
    with PythonHubDevice().start(cloud, deviceId=name, symmetricKey=key) as device:
        device.do("connect")
        (answer,) = hub_sdk.run(cloud, ("invoke", call))
        device.do("close")
    away, unknown = hub_sdk.run(
        cloud, ("invoke", {**call, "payload": None}), ("invoke", {**call, "name": "nobody"})
    )

    echo = {"name": "lift", "payload": call["payload"]}
    assert answer == {"event": "invoke", "status": 207, "payload": echo}
    assert (away["refused"], away["errorCode"]) == (404, "DeviceNotOnline")
    assert (unknown["refused"], unknown["errorCode"]) == (404, "DeviceNotFound")
