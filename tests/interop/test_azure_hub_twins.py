"""Unmodified Azure service SDKs read and change the twins of a hub over REST."""

from __future__ import annotations

from typing import Any

import pytest
from tests.interop.sdks import HubSdk, PythonHubSdk

from mooring.testing import ThrowAwayCloud

pytestmark = pytest.mark.interop


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
