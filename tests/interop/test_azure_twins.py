"""Unmodified Azure SDKs on both sides of a twin: devices over MQTT, back ends over REST."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.interop.sdks import HubSdk, NodeSdk, PythonHubSdk, PythonSdk, Sdk, hub_options
from tests.support.hub_api import HubClient, hub_client

from mooring.pki.certificates import sha256_thumbprint
from mooring.pki.issuing import issue_root
from mooring.pki.names import Subject
from mooring.testing import ThrowAwayCloud

pytestmark = pytest.mark.interop

DEVICE_SDKS = [PythonSdk(), NodeSdk(), PythonSdk(websockets=True), NodeSdk(websockets=True)]
WAIT_S = 60


def wait_until_ready(api: HubClient, device_id: str) -> None:
    """Wait until the device has reported that it is ready."""
    deadline = time.monotonic() + WAIT_S
    while "ready" not in api.got("GET", f"/twins/{device_id}")["properties"]["reported"]:
        assert time.monotonic() < deadline, f"{device_id} did not report"
        time.sleep(0.1)


@pytest.mark.parametrize("sdk", DEVICE_SDKS, ids=lambda sdk: sdk.label)
def test_device_reads_reports_and_is_told(sdk: Sdk, cloud: ThrowAwayCloud, tmp_path: Path) -> None:
    name = f"twin{sdk.label}"
    issued = issue_root(Subject(common_name=name, organization="Quay"), now=datetime.now(UTC))
    cloud.add_device(name, sha256_thumbprint(issued.certificate))
    path = f"/twins/{name}"
    with hub_client(cloud) as api, ThreadPoolExecutor() as pool:
        api.got("PATCH", path, {"properties": {"desired": {"rate": 5, "grün": "ü"}}})
        running = pool.submit(sdk.run_twin, cloud, hub_options(cloud, tmp_path, issued, name))
        wait_until_ready(api, name)
        api.got("PATCH", path, {"properties": {"desired": {"rate": 7, "old": None}}})
        run = running.result(WAIT_S)
        twin = api.got("GET", path)

    assert run.exit_status == 0, run
    first, refused, desired, second = run.events
    assert first["twin"]["desired"] == {"rate": 5, "grün": "ü", "$version": 2}
    assert first["twin"]["reported"] == {"$version": 1}
    assert refused["event"] == "refused"
    if sdk.name == "node":  # Python's SDK shows no more than the status
        assert "bad.key" in refused["message"]
    assert desired["change"] == {"rate": 7, "old": None, "$version": 3}
    assert second["twin"] == {
        "desired": {"rate": 7, "grün": "ü", "$version": 3},
        "reported": {"fw": "1.4", "gerät": "ä", "ready": True, "$version": 3},
    }
    assert twin["properties"]["reported"]["$version"] == 3
    assert twin["version"] == 6


@pytest.mark.exercises("azure-iot-hub (PyPI)", "hub.twin.get", "hub.twin.patch")
@pytest.mark.exercises("azure-iothub (npm)", "hub.twin.get", "hub.twin.patch")
def test_back_end_reads_and_changes_a_twin(hub_sdk: HubSdk, cloud: ThrowAwayCloud) -> None:
    me = {"name": f"back{hub_sdk.name}"}
    change: dict[str, Any] = {"tags": {"site": "north"}, "desired": {"rate": 5, "x": {"y": 1}}}

    _, fresh, merged, stale, again, read = hub_sdk.run(
        cloud,
        ("create", me),
        ("twin", me),
        ("patch_twin", {**me, **change, "etag": "AAAAAAAAAAE="}),
        ("patch_twin", {**me, **change, "etag": "AAAAAAAAAAE="}),
        ("patch_twin", {**me, "tags": {"site": None, "deck": 2}, "desired": {}, "etag": "*"}),
        ("twin", me),
    )

    assert fresh == {
        "event": "twin",
        "id": me["name"],
        "etag": "AAAAAAAAAAE=",
        "version": 2,
        "tags": {},
        "desired": {"$version": 1},
        "reported": {"$version": 1},
    }
    assert (merged["version"], merged["etag"]) == (3, "AAAAAAAAAAI=")
    assert merged["tags"] == {"site": "north"}
    assert merged["desired"] == {"rate": 5, "x": {"y": 1}, "$version": 2}
    assert (stale["refused"], stale["errorCode"]) == (412, "PreconditionFailed")
    assert (again["tags"], again["version"]) == ({"deck": 2}, 4)
    assert again["desired"] == merged["desired"]
    assert {**again, "event": "twin"} == read


@pytest.mark.exercises("azure-iot-hub (PyPI)", "hub.twin.put")
def test_back_end_replaces_a_twin(cloud: ThrowAwayCloud) -> None:
    me = {"name": "backreplace"}
    _, _, replaced, missing = PythonHubSdk().run(
        cloud,
        ("create", me),
        ("patch_twin", {**me, "tags": {"a": 1}, "desired": {"b": 2}}),
        ("replace_twin", {**me, "tags": {"c": 3}, "desired": {"d": 4}}),
        ("twin", {"name": "nobody"}),
    )
    assert replaced["tags"] == {"c": 3}
    assert replaced["desired"] == {"d": 4, "$version": 3}
    assert (missing["refused"], missing["errorCode"]) == (404, "DeviceNotFound")
