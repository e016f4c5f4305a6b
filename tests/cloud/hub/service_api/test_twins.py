"""Twins over the service API: shape, merging and replacing, etags, refusals."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.hub_api import HubClient, twin_error


def test_new_device_has_a_twin_of_azures_shape(api: HubClient, name: str) -> None:
    device = api.created(name)

    response = api.call("GET", f"/twins/{name}")

    assert response.status_code == 200
    assert response.headers["etag"] == '"AAAAAAAAAAE="'
    document = response.json()
    for section in ("desired", "reported"):
        metadata = document["properties"][section].pop("$metadata")
        assert list(metadata) == ["$lastUpdated"]
    assert document == {
        "deviceId": name,
        "etag": "AAAAAAAAAAE=",
        "deviceEtag": device["etag"],
        "status": "enabled",
        "statusUpdateTime": "0001-01-01T00:00:00Z",
        "connectionState": "Disconnected",
        "lastActivityTime": "0001-01-01T00:00:00Z",
        "cloudToDeviceMessageCount": 0,
        "authenticationType": "sas",
        "x509Thumbprint": {"primaryThumbprint": None, "secondaryThumbprint": None},
        "version": 2,
        "tags": {},
        "properties": {"desired": {"$version": 1}, "reported": {"$version": 1}},
        "capabilities": {"iotEdge": False},
    }


def test_patch_merges_and_put_replaces_what_is_given(api: HubClient, name: str) -> None:
    api.created(name)
    path = f"/twins/{name}"

    api.got("PATCH", path, {"tags": {"a": 1, "b": {"c": 2}}, "properties": {"desired": {"r": 5}}})
    merged = api.got("PATCH", path, {"tags": {"a": None, "b": {"d": 3}}})
    assert merged["tags"] == {"b": {"c": 2, "d": 3}}
    assert (merged["version"], merged["etag"]) == (4, "AAAAAAAAAAM=")
    assert merged["properties"]["desired"]["$version"] == 2

    replaced = api.got("PUT", path, {"tags": {"z": 1}})
    assert replaced["tags"] == {"z": 1}
    assert replaced["properties"] == merged["properties"]
    assert replaced == api.got("GET", path)


def test_whole_twin_can_be_sent_back(api: HubClient, name: str) -> None:
    api.created(name)
    path = f"/twins/{name}"
    api.got("PATCH", path, {"tags": {"a": 1}, "properties": {"desired": {"r": 5}}})
    twin = api.got("GET", path)
    twin["tags"]["a"] = 2
    twin["properties"]["desired"]["r"] = 6
    twin["properties"]["reported"]["lie"] = True

    for method in ("PATCH", "PUT"):
        answered = api.got(method, path, twin, if_match="*")
        assert answered["tags"] == {"a": 2}
        desired = answered["properties"]["desired"]
        assert {key: item for key, item in desired.items() if key[0] != "$"} == {"r": 6}
        assert answered["properties"]["reported"] == {
            "$metadata": answered["properties"]["reported"]["$metadata"],
            "$version": 1,
        }


@pytest.mark.parametrize("spelling", ["{}", '"{}"', 'W/"{}"'])
def test_etag_in_any_spelling_admits_the_change_once(
    api: HubClient, name: str, spelling: str
) -> None:
    api.created(name)
    sent = spelling.format(api.got("GET", f"/twins/{name}")["etag"])
    api.got("PATCH", f"/twins/{name}", {"tags": {"a": 1}}, if_match=sent)
    for method in ("PATCH", "PUT"):
        refused = api.call(method, f"/twins/{name}", {"tags": {"a": 2}}, if_match=sent)
        twin_error(refused, 412, "PreconditionFailed", 412001)
    assert api.got("GET", f"/twins/{name}")["tags"] == {"a": 1}


def test_patch_of_nothing_changes_nothing(api: HubClient, name: str) -> None:
    api.created(name)
    before = api.got("GET", f"/twins/{name}")
    for body in ({}, {"tags": {}}, {"tags": None, "properties": {"desired": {}}}):
        assert api.got("PATCH", f"/twins/{name}", body) == before


def test_unknown_device_is_404(api: HubClient, name: str) -> None:
    for method in ("GET", "PATCH", "PUT"):
        body = None if method == "GET" else {"tags": {}}
        twin_error(api.call(method, f"/twins/{name}", body), 404, "DeviceNotFound", 404001)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"tags": 3}, 400, 400004),
        ({"tags": {"a.b": 3}}, 400, 400004),
        ({"properties": {"desired": {"a": {"$version": 3}}}}, 400, 400004),
        ({"properties": {"desired": {"a": [None]}}}, 400, 400004),
        ({"tags": {f"k{number}": "x" * 4000 for number in range(3)}}, 413, 413001),
    ],
)
def test_patch_that_breaks_a_rule_is_refused(
    api: HubClient, name: str, body: dict[str, Any], status: int, code: int
) -> None:
    api.created(name)
    for method in ("PATCH", "PUT"):
        refused = api.call(method, f"/twins/{name}", body)
        wire_name = "ArgumentInvalid" if status == 400 else "MessageTooLarge"
        assert twin_error(refused, status, wire_name, code)
    assert api.got("GET", f"/twins/{name}")["version"] == 2
