"""Several devices in one request: every import mode, and each item for itself."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.cloud import CloudThread
from tests.support.hub_api import HubClient, registry_error

from mooring.cloud.hub.twins.model import Twin


def bulk(api: HubClient, *items: dict[str, Any]) -> dict[str, Any]:
    """Send `items`, and expect that all succeed."""
    result: dict[str, Any] = api.got("POST", "/devices", list(items))
    assert result == {"isSuccessful": True, "errors": [], "warnings": []}
    return result


def failed(api: HubClient, *items: dict[str, Any]) -> list[dict[str, Any]]:
    """Send `items`, expect that some fail, and return the errors."""
    response = api.call("POST", "/devices", list(items))
    assert response.status_code == 400, response.text
    assert response.headers["iothub-errorcode"] == "BulkRegistryOperationFailure"
    result = response.json()
    assert result.keys() == {"isSuccessful", "errors", "warnings"}
    assert result["isSuccessful"] is False
    for error in result["errors"]:
        assert error.keys() == {"deviceId", "moduleId", "errorCode", "errorStatus", "operation"}
    errors: list[dict[str, Any]] = result["errors"]
    return errors


def codes(errors: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return which devices failed of what."""
    return [(error["deviceId"], error["errorCode"]) for error in errors]


def twin_of(cloud: CloudThread, device_id: str) -> Twin:
    """Return a device's twin."""
    assert cloud.application is not None
    hub = cloud.application.hub
    twin: Twin = cloud.run(hub.twins.get(hub.hubs.list()[0], device_id))
    return twin


def item(device_id: str, mode: str, **members: Any) -> dict[str, Any]:
    """Return one item."""
    return {"id": device_id, "importMode": mode, **members}


def test_hundred_devices_are_made_at_once(api: HubClient, name: str) -> None:
    bulk(api, *(item(f"{name}-{number:02}", "create") for number in range(100)))

    shown = api.got("GET", f"/devices/{name}-99")
    assert shown["authentication"]["type"] == "sas"


def test_device_is_made_with_its_first_twin(cloud: CloudThread, api: HubClient, name: str) -> None:
    bulk(
        api,
        item(
            name,
            "create",
            status="disabled",
            statusReason="spare",
            authentication={"type": "certificateAuthority"},
            capabilities={"iotEdge": True},
            tags={"site": "north"},
            properties={"desired": {"rate": 5, "$version": 9}, "reported": {"no": 1}},
        ),
    )

    shown = api.got("GET", f"/devices/{name}")
    assert (shown["status"], shown["statusReason"]) == ("disabled", "spare")
    assert shown["authentication"]["type"] == "certificateAuthority"
    assert shown["deviceScope"].startswith("ms-azure-iot-edge://")
    twin = twin_of(cloud, name)
    assert (twin.version, twin.etag) == (2, "AAAAAAAAAAE=")
    assert twin.tags == {"site": "north"}
    assert twin.desired.values == {"rate": 5}
    assert twin.reported.values == {}


def test_each_item_succeeds_or_fails_by_itself(api: HubClient, name: str) -> None:
    api.created(name)

    errors = failed(
        api,
        item(name, "create"),
        item(f"{name}-new", "create"),
        item(f"{name} bad", "create"),
        item(f"{name}-none", "update"),
        item(f"{name}-typed", "create", status=7),
        item(f"{name}-mode", "merge"),
        item(name, "create", moduleId="m"),
    )

    assert codes(errors) == [
        (name, "DeviceAlreadyExists"),
        (f"{name} bad", "ArgumentInvalid"),
        (f"{name}-none", "DeviceNotFound"),
        (f"{name}-typed", "ArgumentInvalid"),
        (f"{name}-mode", "ArgumentInvalid"),
        (name, "InvalidOperation"),
    ]
    assert "createOrUpdate" in errors[0]["errorStatus"]
    assert [error["operation"] for error in errors[:1]] == ["create"]
    assert errors[-1]["moduleId"] == "m"
    assert api.got("GET", f"/devices/{name}-new")["status"] == "enabled"


@pytest.mark.parametrize("member", ["eTag", "etag"])
def test_update_by_etag_takes_the_present_one_only(api: HubClient, name: str, member: str) -> None:
    etag = api.created(name)["etag"]
    wanted = {"status": "disabled", member: etag}

    bulk(api, item(name, "UpdateIfMatchETag", **wanted))  # as Node's SDK spells it

    assert api.got("GET", f"/devices/{name}")["status"] == "disabled"
    assert codes(failed(api, item(name, "updateIfMatchETag", **wanted))) == [
        (name, "PreconditionFailed")
    ]
    assert codes(failed(api, item(name, "updateIfMatchETag"))) == [(name, "ArgumentInvalid")]
    bulk(api, item(name, "Update", status="enabled"))
    assert api.got("GET", f"/devices/{name}")["status"] == "enabled"


def test_delete_by_etag_takes_the_present_one_only(api: HubClient, name: str) -> None:
    etag = api.created(name)["etag"]

    errors = failed(api, item(name, "deleteIfMatchETag", eTag="stale"))
    assert codes(errors) == [(name, "PreconditionFailed")]
    bulk(api, item(name, "deleteIfMatchETag", eTag=etag))
    assert codes(failed(api, item(name, "Delete"))) == [(name, "DeviceNotFound")]
    api.created(name)
    bulk(api, item(name, "Delete"))
    registry_error(api.call("GET", f"/devices/{name}"), 404, "DeviceNotFound")


@pytest.mark.parametrize("mode", ["createOrUpdate", "createOrUpdateIfMatchETag", None])
def test_create_or_update_does_either(
    cloud: CloudThread, api: HubClient, name: str, mode: str | None
) -> None:
    first = {"id": name, "tags": {"a": 1}, "properties": {"desired": {"x": 1}}}
    if mode is not None:
        first["importMode"] = mode
    bulk(api, first)
    etag = api.got("GET", f"/devices/{name}")["etag"]

    again = first | {"status": "disabled", "tags": {"b": 2}, "eTag": etag}
    bulk(api, again)

    assert api.got("GET", f"/devices/{name}")["status"] == "disabled"
    twin = twin_of(cloud, name)
    assert twin.tags == {"b": 2}
    assert twin.desired.values == {"x": 1}
    if mode == "createOrUpdateIfMatchETag":
        assert codes(failed(api, again)) == [(name, "PreconditionFailed")]


def test_twins_are_merged_into(cloud: CloudThread, api: HubClient, name: str) -> None:
    api.created(name)
    changes = {"tags": {"a": 1, "b": 2}, "properties": {"desired": {"x": 1}}}
    bulk(api, item(name, "updateTwin", **changes))
    etag = twin_of(cloud, name).etag

    bulk(api, item(name, "updateTwinIfMatchETag", twinETag=etag, tags={"a": None}))

    twin = twin_of(cloud, name)
    assert twin.tags == {"b": 2}
    assert twin.desired.values == {"x": 1}
    errors = failed(api, item(name, "updateTwinIfMatchETag", twinETag=etag, tags={"a": 3}))
    assert codes(errors) == [(name, "PreconditionFailed")]
    errors = failed(api, item(name, "updateTwinIfMatchETag", tags={"a": 3}))
    assert codes(errors) == [(name, "ArgumentInvalid")]
    errors = failed(api, item(f"{name}-none", "updateTwin", tags={"a": 3}))
    assert codes(errors) == [(f"{name}-none", "DeviceNotFound")]
    assert twin_of(cloud, name) == twin


def test_twin_etag_is_looked_at_beside_the_devices_own(
    cloud: CloudThread, api: HubClient, name: str
) -> None:
    api.created(name)

    errors = failed(api, item(name, "update", twinETag="AAAAAAAAAAk=", tags={"a": 1}))

    assert codes(errors) == [(name, "PreconditionFailed")]
    assert twin_of(cloud, name).tags == {}


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"tags": {"a.b": 1}}, "ArgumentInvalid"),
        ({"tags": {"a": "x" * 4000, "b": "x" * 4000, "c": "x" * 400}}, "MessageTooLarge"),
        ({"properties": {"desired": [1]}}, "ArgumentInvalid"),
        ({"properties": {"desired": {"a": [[] for _ in range(300_000)]}}}, "MessageTooLarge"),
    ],
)
@pytest.mark.parametrize("mode", ["create", "createOrUpdate"])
def test_device_with_a_bad_twin_is_not_made(
    api: HubClient, name: str, members: dict[str, Any], code: str, mode: str
) -> None:
    assert codes(failed(api, item(name, mode, **members))) == [(name, code)]
    registry_error(api.call("GET", f"/devices/{name}"), 404, "DeviceNotFound")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ([], "0 items"),
        ([{"id": f"d{number}"} for number in range(101)], "101 items"),
        ({"id": "x"}, "no list"),
        ([{"id": "x"}, {}], "1.id"),
        ([{"id": 7}], "0.id"),
        (["x"], "0.id"),
        ([{"id": "x"}, {"id": "x"}], "'x' is there 2 times"),
    ],
)
def test_request_that_is_no_list_of_devices_changes_nothing(
    api: HubClient, body: Any, said: str
) -> None:
    before = api.got("GET", "/statistics/devices")

    assert said in registry_error(api.call("POST", "/devices", body), 400, "ArgumentInvalid")

    assert api.got("GET", "/statistics/devices") == before
