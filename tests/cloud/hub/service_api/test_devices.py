"""Device identities over the service API: vector T7 of iothub.md, etags, ids, edge scopes."""

from __future__ import annotations

import base64
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.cloud import CloudThread
from tests.support.hub_api import HubClient, registry_error

UNSET = "0001-01-01T00:00:00Z"
SHA1, SHA256 = "0A1B" * 10, "0a1b" * 16


def test_t7_registry(api: HubClient) -> None:
    path = "/devices/dock-07"

    assert api.call("PUT", path, {}).status_code == 200
    again = api.call("PUT", path, {})
    registry_error(again, 409, "DeviceAlreadyExists")
    assert again.json()["Message"].startswith("ErrorCode:DeviceAlreadyExists;")
    assert api.call("PUT", path, {}, if_match='"*"').status_code == 200
    registry_error(api.call("PUT", path, {}, if_match='"stale"'), 412, "PreconditionFailed")
    gone = api.call("DELETE", path, if_match='"*"')
    assert (gone.status_code, gone.content) == (204, b"")
    missing = api.call("GET", path)
    registry_error(missing, 404, "DeviceNotFound")
    assert missing.json()["Message"].startswith("ErrorCode:DeviceNotFound;")
    api.created("dock-07")
    api.got("PATCH", "/twins/dock-07", {"tags": {"site": "north"}})
    counted = api.call(
        "POST",
        "/devices/query",
        {"query": "SELECT COUNT() AS n FROM devices WHERE is_defined(tags.site)"},
    )
    assert (counted.status_code, counted.json()) == (200, [{"n": 1}])
    assert counted.headers["x-ms-item-type"] == "Raw"
    api.gone(path)


def test_new_device_has_every_member_that_azure_gives(api: HubClient, name: str) -> None:
    response = api.call("PUT", f"/devices/{name}", {"deviceId": name})

    document = response.json()
    keys = document["authentication"].pop("symmetricKey")
    assert {len(base64.b64decode(key)) for key in keys.values()} == {64}
    assert response.headers["etag"] == f'"{document["etag"]}"'
    assert document.pop("generationId").isdecimal()
    assert document == {
        "deviceId": name,
        "etag": document["etag"],
        "connectionState": "Disconnected",
        "status": "enabled",
        "statusReason": None,
        "connectionStateUpdatedTime": UNSET,
        "statusUpdatedTime": UNSET,
        "lastActivityTime": UNSET,
        "cloudToDeviceMessageCount": 0,
        "authentication": {
            "x509Thumbprint": {"primaryThumbprint": None, "secondaryThumbprint": None},
            "type": "sas",
        },
        "capabilities": {"iotEdge": False},
        "deviceScope": None,
        "parentScopes": [],
    }


@pytest.mark.parametrize("spelling", ["{}", '"{}"', 'W/"{}"'])
def test_etag_in_any_spelling_admits_the_change_once(
    api: HubClient, name: str, spelling: str
) -> None:
    sent = spelling.format(api.created(name)["etag"])

    changed = api.got("PUT", f"/devices/{name}", {"status": "disabled"}, if_match=sent)

    assert changed["status"] == "disabled"
    assert changed["statusUpdatedTime"] != UNSET
    for method in ("PUT", "DELETE"):
        registry_error(
            api.call(method, f"/devices/{name}", {}, if_match=sent), 412, "PreconditionFailed"
        )


def test_replacing_a_device_that_is_not_there_is_404(api: HubClient, name: str) -> None:
    for if_match in ("*", '"*"', '"any"'):
        response = api.call("PUT", f"/devices/{name}", {}, if_match=if_match)
        registry_error(response, 404, "DeviceNotFound")


def test_deleting_without_if_match_takes_any_version(api: HubClient, name: str) -> None:
    api.created(name)

    api.gone(f"/devices/{name}")

    registry_error(api.call("DELETE", f"/devices/{name}"), 404, "DeviceNotFound")


def test_device_made_anew_has_another_generation(api: HubClient, name: str) -> None:
    first = api.created(name)
    api.gone(f"/devices/{name}")

    assert api.created(name)["generationId"] > first["generationId"]


@pytest.mark.parametrize(
    ("authentication", "kind"),
    [
        ({"x509Thumbprint": {"primaryThumbprint": SHA1}}, "selfSigned"),
        ({"type": "selfSigned", "x509Thumbprint": {"secondaryThumbprint": SHA256}}, "selfSigned"),
        ({"type": "certificateAuthority"}, "certificateAuthority"),
        ({"type": "sas"}, "sas"),
        ({"symmetricKey": {"primaryKey": None}}, "sas"),
        ({}, "sas"),
    ],
)
def test_type_of_authentication_is_as_sent_or_follows_from_what_is_sent(
    api: HubClient, name: str, authentication: dict[str, object], kind: str
) -> None:
    shown = api.created(name, authentication=authentication)["authentication"]

    assert shown["type"] == kind
    thumbprints = {value for value in shown["x509Thumbprint"].values() if value}
    assert bool(thumbprints) is (kind == "selfSigned")
    assert all(value == value.upper() for value in thumbprints)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"authentication": {"type": "none"}}, "authentication.type"),
        ({"authentication": {"type": "selfSigned"}}, "x509Thumbprint"),
        ({"authentication": {"symmetricKey": {"primaryKey": "c2hvcnQ="}}}, "primaryKey"),
        ({"status": "asleep"}, "status"),
        ({"statusReason": "x" * 129}, "statusReason"),
        ({"deviceId": "another"}, "deviceId"),
        ({"capabilities": []}, "capabilities"),
    ],
)
def test_bad_member_is_named(
    api: HubClient, name: str, body: dict[str, object], field: str
) -> None:
    response = api.call("PUT", f"/devices/{name}", body)

    assert field in registry_error(response, 400, "ArgumentInvalid")
    registry_error(api.call("GET", f"/devices/{name}"), 404, "DeviceNotFound")


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 400, "ArgumentNull"),
        (b"{", 400, "DeserializationError"),
        (b"[]", 400, "DeserializationError"),
        (b" " * (1024 * 1024) + b"{}", 413, "MessageTooLarge"),
    ],
)
def test_body_that_is_no_object_is_refused(
    api: HubClient, name: str, content: bytes, status: int, code: str
) -> None:
    registry_error(api.call("PUT", f"/devices/{name}", content=content), status, code)


def test_body_of_another_type_is_415(api: HubClient, name: str) -> None:
    response = api.call(
        "PUT", f"/devices/{name}", content=b"{}", headers={"content-type": "text/plain"}
    )

    registry_error(response, 415, "MediaTypeUnsupported")


DEVICE_IDS = st.text("abXY09-.+%_#*?!(),:=@$'", min_size=1, max_size=128).filter(
    lambda text: text not in (".", "..")
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(device_id=DEVICE_IDS)
def test_any_id_is_decoded_exactly_once(api: HubClient, device_id: str) -> None:
    path = f"/devices/{quote(device_id, safe='')}"
    api.call("DELETE", path)

    assert api.got("PUT", path, {"deviceId": device_id})["deviceId"] == device_id
    assert api.got("GET", path)["deviceId"] == device_id
    api.gone(path)


def test_ids_that_decode_to_each_other_are_two_devices(api: HubClient, name: str) -> None:
    one, other = f"{name}#", f"{name}%23"
    api.created(quote(one), status="disabled")
    api.created(quote(other), status="enabled")

    assert api.got("GET", f"/devices/{quote(one)}")["status"] == "disabled"
    assert api.got("GET", f"/devices/{quote(other)}")["status"] == "enabled"


@pytest.mark.parametrize("bad", ["a%2Fb", "a%20b", "%FF", "a%00", "x" * 129, "%C3%A4", "a|b"])
def test_id_that_no_device_may_have_is_refused(api: HubClient, bad: str) -> None:
    response = api.call("PUT", f"/devices/{bad}", {})

    assert "deviceId" in registry_error(response, 400, "ArgumentInvalid")


def test_case_of_an_id_counts_and_that_of_the_path_does_not(api: HubClient, name: str) -> None:
    api.created(name)

    assert api.got("GET", f"/Devices/{name}")["deviceId"] == name
    registry_error(api.call("GET", f"/devices/{name.upper()}"), 404, "DeviceNotFound")


@pytest.mark.parametrize("path", ["/devices", "/devices/"])
def test_list_is_by_id_and_as_long_as_top_says(api: HubClient, name: str, path: str) -> None:
    for number in range(3):
        api.created(f"{name}-{number}")

    everything = [device["deviceId"] for device in api.got("GET", path)]
    assert everything == sorted(everything)
    assert {f"{name}-{number}" for number in range(3)} <= set(everything)
    first_two = api.got("GET", path, parameters={"top": "2"})
    assert [device["deviceId"] for device in first_two] == everything[:2]


@pytest.mark.parametrize("top", ["0", "-1", "many", "1.5", "²"])
def test_top_that_is_no_number_is_refused(api: HubClient, top: str) -> None:
    response = api.call("GET", "/devices", parameters={"top": top})

    assert "top" in registry_error(response, 400, "ArgumentInvalid")


def test_edge_device_has_a_scope_that_others_belong_to(api: HubClient, name: str) -> None:
    edge = api.created(name, capabilities={"iotEdge": True})
    scope = edge["deviceScope"]
    assert scope == f"ms-azure-iot-edge://{name}-{edge['generationId']}"
    assert edge["parentScopes"] == []

    leaf = api.created(f"{name}-leaf", deviceScope=scope)
    assert (leaf["deviceScope"], leaf["parentScopes"]) == (scope, [scope])
    below = api.created(f"{name}-below", capabilities={"iotEdge": True}, parentScopes=[scope])
    assert below["deviceScope"] != scope
    assert below["parentScopes"] == [scope]
    # What was read is sent back, as SDKs do.
    for device in (leaf, below):
        path = f"/devices/{device['deviceId']}"
        again = api.got("PUT", path, device, if_match=f'"{device["etag"]}"')
        assert again["parentScopes"] == [scope]
    freed = api.got("PUT", f"/devices/{name}-leaf", {}, if_match="*")
    assert (freed["deviceScope"], freed["parentScopes"]) == (None, [])


@pytest.mark.parametrize("fault", ["unknown", "no edge", "other generation", "two", "itself"])
def test_scope_of_no_edge_device_is_refused(api: HubClient, name: str, fault: str) -> None:
    edge = api.created(name, capabilities={"iotEdge": fault != "no edge"})
    scope = f"ms-azure-iot-edge://{name}-{edge['generationId']}"
    scopes = {
        "unknown": ["ms-azure-iot-edge://nobody-1"],
        "no edge": [scope],
        "other generation": [scope + "0"],
        "two": [scope, "ms-azure-iot-edge://nobody-1"],
        "itself": [scope],
    }[fault]
    itself = fault == "itself"

    response = api.call(
        "PUT",
        f"/devices/{name}" if itself else f"/devices/{name}-leaf",
        {"parentScopes": scopes, "capabilities": {"iotEdge": itself}},
        if_match="*" if itself else None,
    )

    assert "parentScopes" in registry_error(response, 400, "InvalidDeviceScope")


def test_statistics_count_devices_and_connections(
    cloud: CloudThread, api: HubClient, name: str
) -> None:
    before = api.got("GET", "/statistics/devices")
    api.created(name)
    api.created(f"{name}-off", status="disabled")

    after = api.got("GET", "/statistics/devices")

    assert after["totalDeviceCount"] == before["totalDeviceCount"] + 2
    assert after["enabledDeviceCount"] == before["enabledDeviceCount"] + 1
    assert after["disabledDeviceCount"] == before["disabledDeviceCount"] + 1
    api.gone(f"/devices/{name}-off")
    assert (
        api.got("GET", "/statistics/devices")["disabledDeviceCount"]
        == (before["disabledDeviceCount"])
    )
    assert api.got("GET", "/statistics/service") == {"connectedDeviceCount": 0}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/devices/x/modules"),
        ("PUT", "/devices/x/modules/m"),
        ("POST", "/devices/x/files"),
        ("GET", "/jobs/v2/query"),
        ("GET", "/jobs/j"),
        ("PUT", "/configurations/c"),
        ("GET", "/digitaltwins/d"),
    ],
)
def test_what_is_not_there_yet_is_501_and_says_where_it_is_written(
    api: HubClient, method: str, path: str
) -> None:
    response = api.call(method, path, {})

    assert "docs/coverage.md" in registry_error(response, 501, "NotImplemented")


def test_unknown_path_and_method_are_told(api: HubClient, name: str) -> None:
    registry_error(api.call("GET", f"/devices/{name}/nothing"), 404, "NotFound")
    response = api.call("PATCH", f"/devices/{name}", {})
    assert "GET" in registry_error(response, 405, "MethodNotAllowed")
    assert response.headers["allow"] == "DELETE, GET, PUT"


def test_failure_here_is_500_with_a_tracking_id_and_no_cause(
    cloud: CloudThread, api: HubClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cloud.application is not None

    async def broken(*_: object) -> None:
        raise RuntimeError("secret cause")

    monkeypatch.setattr(cloud.application.hub.devices, "count", broken)

    response: httpx.Response = api.call("GET", "/statistics/devices")

    assert "secret" not in registry_error(response, 500, "ServerError")
