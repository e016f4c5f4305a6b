"""The unmodified Azure service SDK for Python purges a queue and collects feedback over REST.

Node's has neither over REST. The client is a program of its own (`python_hub.py`).
"""

from __future__ import annotations

import secrets

import pytest
from tests.interop.sdks import PythonHubSdk

from mooring.testing import ThrowAwayCloud

pytestmark = pytest.mark.interop

BATCH = 64
"""Feedback records that are sent at once, without a wait."""


@pytest.mark.exercises(
    "azure-iot-hub (PyPI)",
    "hub.message.purge",
    "hub.feedback.get",
    "hub.feedback.complete",
    "hub.feedback.abandon",
)
def test_purged_messages_are_told_to_who_asked(cloud: ThrowAwayCloud) -> None:
    sdk, name = PythonHubSdk(), f"python{secrets.token_hex(4)}"
    cloud.calls.put_device("hub", name, {})
    queue = f"hubs/hub/devices/{name}/messages/devicebound"
    numbers = [str(number) for number in range(BATCH)]
    for number in numbers:
        message = {"systemProperties": {"messageId": number, "ack": "negative"}}
        cloud.calls.admin("POST", queue, message)
        if number == "31":
            (purged,) = sdk.run(cloud, ("purge", {"name": name}))
            assert (purged["purged"], purged["id"]) == (32, name)

    purged, given_back, again, nothing, missing = sdk.run(
        cloud,
        ("purge", {"name": name}),
        ("feedback", {"settle": "abandon"}),
        ("feedback", {"settle": "complete"}),
        ("feedback", {"settle": "complete"}),
        ("purge", {"name": f"{name}x"}),
    )

    assert purged["purged"] == 32
    assert given_back["records"] == [[number, "Purged", name] for number in numbers]
    assert again["records"] == given_back["records"]
    assert nothing["records"] == []
    assert (missing["refused"], missing["errorCode"]) == (404, "DeviceNotFound")
