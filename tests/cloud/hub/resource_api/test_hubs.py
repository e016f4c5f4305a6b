"""Hubs in the resource API: what they show, their policies, their settings, new ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.cloud import CloudThread, cloud_on_thread
from tests.support.hub_api import hub_client, registry_error
from tests.support.resource_api import (
    GROUP,
    SUBSCRIPTION,
    ResourceClient,
    arm_error,
    resource_client,
)
from tests.support.service_api import signed

HUBS = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.Devices/IotHubs"
HUB = f"{HUBS}/hub"


@pytest.fixture
def arm(cloud: CloudThread) -> Iterator[ResourceClient]:
    with resource_client(cloud) as client:
        yield client


@pytest.fixture
def as_admin(cloud: CloudThread) -> Iterator[ResourceClient]:
    with cloud.api() as api:
        token = api.post("tokens", json={"name": "arm"}).json()["token"]
    with resource_client(cloud, token) as client:
        yield client


def keys(arm: ResourceClient) -> dict[str, dict[str, Any]]:
    """Return the policies with their keys."""
    return {row["keyName"]: row for row in arm.got("POST", f"{HUB}/listkeys")["value"]}


def test_hub_is_shown_without_keys_wherever_it_is_asked_for(
    cloud: CloudThread, arm: ResourceClient
) -> None:
    shown = arm.got("GET", HUB)

    assert (shown["id"], shown["name"]) == (HUB, "hub")
    assert shown["type"] == "Microsoft.Devices/IotHubs"
    assert shown["sku"] == {"name": "S1", "tier": "Standard", "capacity": 1}
    properties = shown["properties"]
    assert properties["hostName"] == cloud.address
    assert properties["provisioningState"] == "Succeeded"
    assert properties["eventHubEndpoints"]["events"]["partitionIds"] == ["0", "1", "2", "3"]
    assert "Key" not in str(properties["authorizationPolicies"]).replace("keyName", "")
    assert [row["keyName"] for row in properties["authorizationPolicies"]] == [
        "device",
        "iothubowner",
        "registryRead",
        "registryReadWrite",
        "service",
    ]
    for path in (HUBS, "/subscriptions/x/providers/Microsoft.Devices/IotHubs", HUBS.lower()):
        assert [hub["name"] for hub in arm.got("GET", path)["value"]] == ["hub"]
    assert arm.got("GET", HUB.replace("/hub", "/HUB"))["etag"] == shown["etag"]


def test_hub_that_is_not_there_is_404(arm: ResourceClient) -> None:
    for method, path in (("GET", ""), ("POST", "/listkeys"), ("GET", "/certificates")):
        arm_error(arm.call(method, f"{HUBS}/nobody{path}"), 404, "resource-not-found")


def test_keys_are_for_the_owner_only(
    cloud: CloudThread, arm: ResourceClient, as_admin: ResourceClient
) -> None:
    assert keys(arm)["service"]["rights"] == "ServiceConnect"
    one = arm.got("POST", f"{HUB}/IotHubKeys/service/listkeys")
    assert one == keys(arm)["service"]
    arm_error(arm.call("POST", f"{HUB}/IotHubKeys/nobody/listkeys"), 404, "policy-not-found")
    for path in ("listkeys", "IotHubKeys/service/listkeys"):
        arm_error(as_admin.call("POST", f"{HUB}/{path}"), 403, "owner-only")
    assert as_admin.call("GET", HUB).status_code == 200


def test_policies_are_made_changed_and_removed(
    cloud: CloudThread, arm: ResourceClient, as_admin: ResourceClient
) -> None:
    before = arm.got("GET", HUB)
    policies = before["properties"]["authorizationPolicies"]
    wanted = [*policies, {"keyName": "reader", "rights": "RegistryRead"}]
    body = {"properties": {"authorizationPolicies": wanted}}

    arm_error(as_admin.call("PUT", HUB, body), 403, "owner-only")
    made = arm.got("PUT", HUB, body)

    assert made["etag"] != before["etag"]
    key = keys(arm)["reader"]["primaryKey"]
    with hub_client(cloud, signed(cloud.address, key, "reader")) as reader:
        assert reader.call("GET", "/devices").status_code == 200
        refused = reader.call("PUT", "/devices/x", {})
        registry_error(refused, 401, "IotHubUnauthorizedAccess")
        # The keys of the others are as they were; sending a list without one removes it.
        wanted[-1]["rights"] = "RegistryWrite"
        arm.got("PUT", HUB, body)
        assert keys(arm)["reader"]["primaryKey"] == key
        registry_error(reader.call("GET", "/devices"), 401, "IotHubUnauthorizedAccess")
        arm.got("PUT", HUB, {"properties": {"authorizationPolicies": policies}})
        registry_error(reader.call("GET", "/devices"), 401, "IotHubUnauthorized")
    assert "reader" not in keys(arm)
    owner = [row for row in policies if row["keyName"] != "iothubowner"]
    refused = arm.call("PUT", HUB, {"properties": {"authorizationPolicies": owner}})
    arm_error(refused, 409, "owner-policy-needed")


def test_change_by_a_stale_etag_is_refused(arm: ResourceClient) -> None:
    etag = arm.got("GET", HUB)["etag"]
    units = {"sku": {"name": "S1", "capacity": 2}}

    assert arm.got("PUT", HUB, units, if_match=f'"{etag}"')["sku"]["capacity"] == 2

    arm_error(arm.call("PUT", HUB, units, if_match=f'"{etag}"'), 412, "etag-mismatch")
    arm_error(arm.call("PUT", HUB, {**units, "etag": etag}), 412, "etag-mismatch")
    # What was read is sent back, as tools do.
    arm.got("PUT", HUB, {**arm.got("GET", HUB), "sku": {"name": "S1", "capacity": 1}})


def test_hub_without_local_auth_takes_bearer_tokens_only(
    cloud: CloudThread, arm: ResourceClient
) -> None:
    with hub_client(cloud) as api:
        assert api.call("GET", "/devices").status_code == 200
        shown = arm.got("PUT", HUB, {"properties": {"disableLocalAuth": True}})
        try:
            assert shown["properties"]["disableLocalAuth"] is True
            refused = api.call("GET", "/devices")
            assert "disableLocalAuth" in registry_error(refused, 401, "IotHubUnauthorized")
            bearer = f"Bearer {cloud.owner_token}"
            assert api.call("GET", "/devices", authorization=bearer).status_code == 200
        finally:
            arm.got("PUT", HUB, {"properties": {"disableLocalAuth": False}})
        assert api.call("GET", "/devices").status_code == 200


@pytest.mark.parametrize(
    "properties",
    [
        {"publicNetworkAccess": "Disabled"},
        {"ipFilterRules": [{"filterName": "a"}]},
        {"disableModuleSAS": True},
    ],
)
def test_protection_that_is_not_there_is_refused(
    arm: ResourceClient, properties: dict[str, Any]
) -> None:
    arm_error(arm.call("PUT", HUB, {"properties": properties}), 501, "not-implemented")


def test_hub_is_not_deleted_and_has_no_tags(arm: ResourceClient) -> None:
    arm_error(arm.call("DELETE", HUB), 409, "hub-not-deletable")
    arm_error(arm.call("PATCH", HUB, {"tags": {"a": "b"}}), 501, "not-implemented")


def test_devices_are_counted(cloud: CloudThread, arm: ResourceClient) -> None:
    with hub_client(cloud) as api:
        api.created("counted", status="disabled")

    counts = arm.got("GET", f"{HUB}/IotHubStats")

    assert counts["disabledDeviceCount"] == 1
    assert counts["totalDeviceCount"] == counts["enabledDeviceCount"] + 1


def test_hub_is_made_and_linked(tmp_path: Path) -> None:
    with cloud_on_thread(tmp_path) as cloud, resource_client(cloud) as arm:
        refused = arm.call("PUT", f"{HUBS}/second", {"location": "local"})
        assert "properties.hostName" in arm_error(refused, 400, "host-name-missing")["message"]
        properties = {
            "hostName": "second.hub.test",
            "eventHubEndpoints": {"events": {"partitionCount": 2}},
        }
        made = arm.call("PUT", f"{HUBS}/second", {"properties": properties})
        assert made.status_code == 201
        assert made.json()["properties"]["hostName"] == "second.hub.test"
        assert len(made.json()["properties"]["eventHubEndpoints"]["events"]["partitionIds"]) == 2
        assert set(arm.linked_hubs()) == {cloud.address, "second.hub.test"}
        # Beside the first hub, where that has a domain.
        refused = arm.call("PUT", f"{HUBS}/bad_name", {"properties": {"hostName": "x.test"}})
        arm_error(refused, 400, "input-invalid")
