"""Unmodified Azure service SDKs manage the device identities of a hub over REST.

The clients are separate programs (`python_hub.py`, `node/hub.js`) that are told a connection
string and, by the environment, whom to trust.
"""

from __future__ import annotations

import base64
import secrets

import pytest
from tests.interop.sdks import HubSdk, PythonHubSdk

from mooring.testing import ThrowAwayCloud

pytestmark = pytest.mark.interop

THUMBPRINT = "0A1B" * 16


@pytest.fixture
def name(hub_sdk: HubSdk) -> str:
    """Return a fresh id."""
    return f"{hub_sdk.name}{secrets.token_hex(4)}"


@pytest.mark.exercises(
    "azure-iot-hub (PyPI)", "hub.device.put", "hub.device.get", "hub.device.delete"
)
@pytest.mark.exercises(
    "azure-iothub (npm)", "hub.device.put", "hub.device.get", "hub.device.delete"
)
def test_device_is_created_read_changed_and_deleted(
    hub_sdk: HubSdk, cloud: ThrowAwayCloud, name: str
) -> None:
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    me = {"name": name}

    made, read, again, changed, gone, missing, no_change = hub_sdk.run(
        cloud,
        ("create", {**me, "key": key}),
        ("get", me),
        ("create", me),
        ("update", {**me, "status": "disabled", "kind": "selfSigned", "thumbprint": THUMBPRINT}),
        ("delete", me),
        ("get", me),
        ("update", me),
    )

    assert (made["id"], made["type"], made["key"]) == (name, "sas", key)
    assert (made["status"], made["connection"]) == ("enabled", "Disconnected")
    assert {**made, "event": "get"} == read
    assert (again["refused"], again["errorCode"]) == (409, "DeviceAlreadyExists")
    assert (changed["status"], changed["type"]) == ("disabled", "selfSigned")
    assert changed["thumbprint"] == THUMBPRINT
    assert changed["generation"] == made["generation"]
    assert changed["etag"] != made["etag"]
    assert gone == {"event": "delete"}
    for refusal in (missing, no_change):
        assert (refusal["refused"], refusal["errorCode"]) == (404, "DeviceNotFound")
    if hub_sdk.name == "node":
        assert again["name"] == "DeviceAlreadyExistsError"
        assert missing["name"] == "DeviceNotFoundError"


def test_ids_with_odd_characters_are_taken(
    hub_sdk: HubSdk, cloud: ThrowAwayCloud, name: str
) -> None:
    odd = f"{name}#%+$:@!*?(),='_-.%23"

    made, read, gone = hub_sdk.run(
        cloud, ("create", {"name": odd}), ("get", {"name": odd}), ("delete", {"name": odd})
    )

    assert made["id"] == read["id"] == odd
    assert gone == {"event": "delete"}


def test_edge_device_is_the_parent_of_others(
    hub_sdk: HubSdk, cloud: ThrowAwayCloud, name: str
) -> None:
    (edge,) = hub_sdk.run(cloud, ("create", {"name": name, "edge": True}))
    assert edge["edge"] is True
    leaf, orphan = hub_sdk.run(
        cloud,
        ("create", {"name": f"{name}-leaf", "scope": edge["scope"]}),
        ("create", {"name": f"{name}-orphan", "scope": "ms-azure-iot-edge://nobody-1"}),
    )

    assert leaf["scope"] == edge["scope"]
    assert leaf["parents"] == [edge["scope"]]
    assert (orphan["refused"], orphan["errorCode"]) == (400, "InvalidDeviceScope")


@pytest.mark.exercises("azure-iot-hub (PyPI)", "hub.device.list", "hub.statistics.devices")
@pytest.mark.exercises("azure-iothub (npm)", "hub.device.list", "hub.statistics.devices")
def test_devices_are_listed_and_counted(hub_sdk: HubSdk, cloud: ThrowAwayCloud, name: str) -> None:
    before, _, _, listed, after = hub_sdk.run(
        cloud,
        ("statistics", {}),
        ("create", {"name": name, "kind": "certificateAuthority"}),
        ("create", {"name": f"{name}-off", "status": "disabled"}),
        ("list", {}),
        ("statistics", {}),
    )

    assert {name, f"{name}-off"} <= set(listed["ids"])
    assert after["total"] == before["total"] + 2
    assert after["disabled"] == before["disabled"] + 1
    assert after["enabled"] == before["enabled"] + 1


@pytest.mark.exercises("azure-iot-hub (PyPI)", "hub.statistics.service")
def test_connections_are_counted(cloud: ThrowAwayCloud) -> None:
    (counted,) = PythonHubSdk().run(cloud, ("connections", {}))

    assert counted["connected"] == 0


@pytest.mark.exercises("azure-iot-hub (PyPI)", "hub.device.bulk")
@pytest.mark.exercises("azure-iothub (npm)", "hub.device.bulk")
def test_several_devices_are_changed_at_once(
    hub_sdk: HubSdk, cloud: ThrowAwayCloud, name: str
) -> None:
    items = [{"name": f"{name}-{number}"} for number in range(3)]

    made, again, read = hub_sdk.run(
        cloud,
        ("bulk", {"mode": "create", "items": items}),
        ("bulk", {"mode": "create", "items": [*items[:1], {"name": f"{name}-new"}]}),
        ("get", items[0]),
    )

    assert made == {"event": "bulk", "isSuccessful": True, "errors": []}
    assert again["isSuccessful"] is False
    assert again["errors"] == [[f"{name}-0", "DeviceAlreadyExists"]]
    changed, stale, gone, missing = hub_sdk.run(
        cloud,
        (
            "bulk",
            {
                "mode": "updateIfMatchETag",
                "items": [{**items[0], "etag": read["etag"], "status": "disabled"}],
            },
        ),
        ("bulk", {"mode": "deleteIfMatchETag", "items": [{**items[0], "etag": read["etag"]}]}),
        ("bulk", {"mode": "delete", "items": items}),
        ("get", items[0]),
    )
    assert changed["isSuccessful"] is True
    assert stale["errors"] == [[f"{name}-0", "PreconditionFailed"]]
    assert gone["isSuccessful"] is True
    assert missing["refused"] == 404


def test_etag_that_is_stale_changes_nothing(cloud: ThrowAwayCloud) -> None:
    me = {"name": f"python{secrets.token_hex(4)}"}
    sdk = PythonHubSdk()  # Node's sends no etag with a single device
    (made,) = sdk.run(cloud, ("create", me))

    changed, stale, undeleted, gone = sdk.run(
        cloud,
        ("update", {**me, "etag": made["etag"], "status": "disabled"}),
        ("update", {**me, "etag": made["etag"]}),
        ("delete", {**me, "etag": made["etag"]}),
        ("delete", me),
    )

    assert changed["status"] == "disabled"
    for refusal in (stale, undeleted):
        assert (refusal["refused"], refusal["errorCode"]) == (412, "PreconditionFailed")
    assert gone == {"event": "delete"}
