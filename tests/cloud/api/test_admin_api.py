"""The admin API over HTTP: who gets in, one shape of errors, every resource once."""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.cloud.conftest import Device, MakeDevice
from tests.support.cloud import CloudThread, cloud_on_thread, https_port
from tests.support.resource_api import resource_client

from mooring.pki.certificates import load_certificate
from mooring.storage.errors import StorageFull


@pytest.fixture
def api(cloud: CloudThread) -> Any:
    """Return a client with the owner token."""
    with cloud.api() as client:
        yield client


def assert_error(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Check the shape of an error answer and return its parts."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    document = response.json()
    assert document.keys() == {"error"}
    error = dict(document["error"])
    assert error.keys() == {"code", "message", "field", "remedy", "tracking_id"}
    assert error["code"] == code
    assert error["message"]
    assert response.headers["x-request-id"] == error["tracking_id"]
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", error["tracking_id"])
    return error


# -- who gets in --------------------------------------------------------------------------------


def test_health_needs_no_token(cloud: CloudThread) -> None:
    assert httpx.get(f"{cloud.api_url}/health").json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "token-missing"),
        ({"Authorization": ""}, "token-missing"),
        ({"Authorization": "Basic b3duZXI6eA=="}, "token-missing"),
        ({"Authorization": "Bearer"}, "token-missing"),
        ({"Authorization": "Bearer wrong"}, "token-refused"),
        ({"Authorization": "Bearer mtk-0000000000000000.x"}, "token-refused"),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "info"),
        ("GET", "hubs"),
        ("PUT", "hubs/hub/devices/x"),
        ("GET", "hubs/hub/telemetry/follow"),
        ("GET", "attempts"),
        ("GET", "attempts/follow"),
        ("POST", "tokens"),
        ("DELETE", "hubs/hub/devices/x"),
    ],
)
def test_call_without_the_right_token_is_refused_401(
    cloud: CloudThread, method: str, path: str, headers: dict[str, str], code: str
) -> None:
    response = httpx.request(method, f"{cloud.api_url}/{path}", headers=headers)

    assert_error(response, 401, code)
    assert response.headers["www-authenticate"] == "Bearer"


def test_every_route_but_health_needs_a_token(cloud: CloudThread, api: httpx.Client) -> None:
    described = api.get("openapi.json").json()["paths"]
    assert len(described) > 15
    for path, methods in described.items():
        for method in methods:
            url = f"http://{cloud.address}:8081" + re.sub(r"{[^}]+}", "x", path)
            status = httpx.request(method, url, json={}).status_code
            assert status == (200 if path.endswith("/health") else 401), (method, path)


def test_made_token_opens_the_api_but_not_what_is_the_owners(
    cloud: CloudThread, api: httpx.Client
) -> None:
    made = api.post("tokens", json={"name": "ci"})
    assert made.status_code == 201
    token = made.json()["token"]
    headers = {"Authorization": f"bearer {token}"}

    info = httpx.get(f"{cloud.api_url}/info", headers=headers).json()

    assert "dps_connection_string" not in info
    assert "connection_string" not in info["hubs"][0]
    for method, path in (
        ("GET", "tokens"),
        ("POST", "tokens"),
        ("DELETE", "tokens/x"),
        ("GET", "hubs/hub/policies"),
        ("PUT", "hubs/hub/policies/x"),
        ("DELETE", "hubs/hub/policies/x"),
    ):
        refused = httpx.request(
            method,
            f"{cloud.api_url}/{path}",
            headers=headers,
            json={"name": "x", "rights": "RegistryRead"},
        )
        assert_error(refused, 403, "owner-only")

    listed = api.get("tokens").json()["value"]
    assert token not in json.dumps(listed)
    token_id = next(row["token_id"] for row in listed if row["name"] == "ci")
    assert api.delete(f"tokens/{token_id}").status_code == 204
    assert_error(httpx.get(f"{cloud.api_url}/info", headers=headers), 401, "token-refused")
    assert_error(api.delete(f"tokens/{token_id}"), 404, "token-not-found")


# -- errors -------------------------------------------------------------------------------------


def test_unknown_path_is_404(api: httpx.Client) -> None:
    assert_error(api.get("nothing/here"), 404, "not-found")


def test_wrong_method_is_405_and_names_the_allowed(api: httpx.Client) -> None:
    response = api.post("info")

    assert_error(response, 405, "method-not-allowed")
    assert "GET" in response.headers["allow"]


def test_body_that_is_no_json_is_400(api: httpx.Client) -> None:
    response = api.put(
        "hubs/hub/devices/x", content=b"{", headers={"content-type": "application/json"}
    )

    assert_error(response, 400, "json-malformed")


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("PUT", "hubs/hub/devices/x", [], "body"),
        ("POST", "hubs", {"name": "x"}, "hostName"),
        ("PUT", "hubs/hub/devices/x", {"status": "maybe"}, "status"),
        ("PUT", "hubs/hub/devices/x", {"authentication": {"type": "x"}}, "authentication.type"),
        ("PUT", "hubs/hub/devices/x", {"deviceId": "y"}, "deviceId"),
        ("GET", "hubs/hub/devices?limit=0", None, "limit"),
        ("GET", "hubs/hub/devices?limit=5000", None, "limit"),
        ("GET", "hubs/hub/devices?continuation=!!", None, "continuation"),
        ("GET", "attempts?continuation=x", None, "continuation"),
        ("GET", "attempts?result=perhaps", None, "result"),
        ("GET", "attempts?kind=nonsense", None, "kind"),
        ("GET", "attempts/follow?result=perhaps", None, "result"),
        ("GET", "hubs/hub/telemetry?start=yesterday", None, "start"),
        (
            "GET",
            f"hubs/hub/partitions/0/telemetry?fromSequenceNumber={2**63}",
            None,
            "fromSequenceNumber",
        ),
        ("POST", "hubs", {"name": "x", "hostName": "x" * 64}, "hostName"),
        ("POST", "tokens", {"name": ""}, "name"),
        ("POST", "tokens", {"name": "x", "extra": 1}, "extra"),
    ],
)
def test_bad_input_is_400_and_names_the_field(
    api: httpx.Client, method: str, path: str, body: Any, field: str
) -> None:
    response = api.request(method, path, json=body)

    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert error["field"] == field
    assert field.rpartition(".")[2] in error["message"]
    assert error["remedy"]


@pytest.mark.parametrize(
    "value", [b'"\\ud800"', b"NaN", b"1e999", b"[" * 40 + b"]" * 40, b'{"\\udfff":1}']
)
def test_body_that_could_not_be_given_back_is_400_and_stores_nothing(
    api: httpx.Client, value: bytes
) -> None:
    response = api.put(
        "hubs/hub/devices/gw-odd",
        content=b'{"unknown":' + value + b"}",
        headers={"content-type": "application/json"},
    )

    assert_error(response, 400, "json-malformed")
    assert api.get("hubs/hub/devices/gw-odd").status_code == 404


def test_body_above_the_limit_is_413_announced_or_not(api: httpx.Client) -> None:
    big = b"[" + b" " * 1_100_000 + b"]"

    def chunks() -> Any:
        for _ in range(20):
            yield b" " * 60_000

    headers = {"content-type": "application/json"}
    path = "hubs/hub/devices/x"
    assert_error(api.put(path, content=big, headers=headers), 413, "body-too-large")
    assert_error(api.put(path, content=chunks(), headers=headers), 413, "body-too-large")


def test_failure_of_the_server_is_500_with_a_tracking_id_and_no_cause(
    cloud: CloudThread, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cloud.application is not None

    async def broken() -> object:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(cloud.application.accounts, "list_tokens", broken)

    response = api.get("tokens")

    assert_error(response, 500, "internal-error")
    assert "secret" not in response.text


def test_full_storage_is_503_with_retry_after(
    cloud: CloudThread, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cloud.application is not None

    async def full(*args: object, **options: object) -> object:
        raise StorageFull("/secret/path: no space", "free some")

    monkeypatch.setattr(cloud.application.accounts, "make_token", full)

    response = api.post("tokens", json={"name": "x"})

    assert_error(response, 503, "storage-full")
    assert response.headers["retry-after"] == "5"
    assert "/secret" not in response.text


# -- info ---------------------------------------------------------------------------------------


def test_info_for_the_owner_has_what_a_machine_needs(cloud: CloudThread) -> None:
    facts = cloud.facts

    assert re.fullmatch(r"0ne[0-9A-F]{8}", facts["id_scope"])
    assert facts["global_endpoint"] == cloud.address
    assert facts["ports"] == {"mqtt": 8883, "https": https_port(), "admin": 8081}
    assert facts["service_url"] == cloud.https_url
    assert facts["resource_id"].endswith("/providers/Microsoft.Devices/provisioningServices/dps")
    assert load_certificate(Path(facts["ca_file"]).read_text())
    assert facts["api_url"] == cloud.api_url
    assert facts["storage"]["state"] == "ok"
    assert facts["retry_after_s"] == 3
    assert facts["dps_connection_string"].startswith(
        f"HostName={cloud.address};SharedAccessKeyName=provisioningserviceowner;SharedAccessKey="
    )
    (hub,) = [hub for hub in facts["hubs"] if hub["name"] == "hub"]
    assert hub["host_name"] == cloud.address
    assert hub["connection_string"].startswith(
        f"HostName={cloud.address};SharedAccessKeyName=iothubowner;SharedAccessKey="
    )
    written = json.loads((cloud.state / "cloud" / "cloud.json").read_text())
    assert written["id_scope"] == facts["id_scope"]
    assert "connection_string" not in json.dumps(written)


def test_policies_are_shown_to_the_owner_and_a_key_can_be_made_anew(api: httpx.Client) -> None:
    before = {row["keyName"]: row for row in api.get("hubs/hub/policies").json()["value"]}
    assert set(before) == {
        *("iothubowner", "service", "device", "registryRead", "registryReadWrite")
    }

    after = api.post("hubs/hub/policies/device/regenerateKey", json={"key": "primary"}).json()

    assert after["primaryKey"] != before["device"]["primaryKey"]
    assert after["secondaryKey"] == before["device"]["secondaryKey"]
    assert_error(
        api.post("hubs/hub/policies/none/regenerateKey", json={"key": "primary"}),
        404,
        "policy-not-found",
    )


def test_policy_of_a_hub_is_made_changed_and_deleted(api: httpx.Client) -> None:
    path = "hubs/hub/policies/reader"

    made = api.put(path, json={"rights": "RegistryRead"}).json()
    assert (made["keyName"], made["rights"]) == ("reader", "RegistryRead")
    changed = api.put(path.replace("reader", "READER"), json={"rights": "ServiceConnect"}).json()

    assert changed == {**made, "rights": "ServiceConnect"}
    assert_error(api.put(path, json={"rights": "ServiceConfig"}), 400, "policy-rights-malformed")
    assert_error(api.put(path, json={"rights": ""}), 400, "policy-rights-malformed")
    short = {"rights": "RegistryRead", "primaryKey": "AAAA"}
    assert_error(api.put(path, json=short), 400, "policy-key-malformed")
    assert changed in api.get("hubs/hub/policies").json()["value"]
    assert api.delete(path).status_code == 204
    assert_error(api.delete(path), 404, "policy-not-found")
    owner = "hubs/hub/policies/iothubowner"
    assert_error(api.delete(owner), 409, "owner-policy-needed")
    assert_error(api.put(owner, json={"rights": "RegistryRead"}), 409, "owner-policy-needed")


# -- hubs ---------------------------------------------------------------------------------------


def test_hub_is_created_linked_certified_and_written_down(
    cloud: CloudThread, api: httpx.Client
) -> None:
    made = api.post("hubs", json={"name": "second", "hostName": "Second.Example"})
    assert made.status_code == 201, made.text
    assert made.json()["connectionString"].startswith("HostName=")

    host_name = made.json()["hostName"]
    assert host_name in linked_hubs(cloud)
    assert host_name in [hub["host_name"] for hub in cloud.facts["hubs"]]
    written = json.loads((cloud.state / "cloud" / "cloud.json").read_text())
    assert host_name in [hub["host_name"] for hub in written["hubs"]]
    assert "second.example" in server_names(cloud)
    assert api.get("hubs/second").json()["hostName"] == host_name

    again = api.post("hubs", json={"name": "second", "hostName": "third.example"})
    assert_error(again, 409, "hub-already-exists")
    assert_error(api.get("hubs/third"), 404, "hub-not-found")


@pytest.mark.parametrize("host_name", ["x" * 64, "1.2.3", "[::1]", "fe80::1%lo", "a..b", "*.a"])
def test_hub_that_the_server_certificate_cannot_name_is_refused_and_not_kept(
    cloud: CloudThread, api: httpx.Client, host_name: str
) -> None:
    response = api.post("hubs", json={"name": "unnamable", "hostName": host_name})

    assert_error(response, 400, "input-invalid")
    assert_error(api.get("hubs/unnamable"), 404, "hub-not-found")
    assert host_name not in linked_hubs(cloud)


def linked_hubs(cloud: CloudThread) -> set[str]:
    """Return the host names of the hubs that DPS assigns to."""
    with resource_client(cloud) as arm:
        return set(arm.linked_hubs())


def server_names(cloud: CloudThread) -> list[str]:
    """Return the names in the certificate that the MQTT port shows now."""
    context = ssl.create_default_context(cafile=str(cloud.ca_file))
    with (
        socket.create_connection((cloud.address, 8883)) as raw,
        context.wrap_socket(raw, server_hostname=cloud.address) as tls,
    ):
        certificate = tls.getpeercert()
    assert certificate is not None
    return [name for _, name in certificate["subjectAltName"]]


def test_device_round_trip_and_etags(api: httpx.Client, make_device: MakeDevice) -> None:
    device = make_device()
    path = f"hubs/hub/devices/{device.name}"
    body = {
        "deviceId": device.name,
        "authentication": {
            "type": "selfSigned",
            "x509Thumbprint": {"primaryThumbprint": device.thumbprint, "secondaryThumbprint": None},
        },
    }
    made = api.put(path, json=body)
    assert made.status_code == 200
    document = made.json()
    assert document["connectionState"] == "Disconnected"
    assert document["lastActivityTime"].startswith("0001-")
    assert document["authentication"]["x509Thumbprint"]["primaryThumbprint"] == device.thumbprint

    assert_error(api.put(path, json=body), 409, "device-already-exists")
    document["status"] = "disabled"
    changed = api.put(path, json=document, headers={"If-Match": document["etag"]}).json()
    assert changed["status"] == "disabled"
    assert changed["generationId"] == document["generationId"]
    assert_error(
        api.put(path, json=document, headers={"If-Match": document["etag"]}), 412, "etag-mismatch"
    )
    listed = api.get("hubs/hub/devices", params={"limit": 1000}).json()["value"]
    assert device.name in [row["deviceId"] for row in listed]
    assert api.delete(path).status_code == 204
    assert_error(api.get(path), 404, "device-not-found")
    assert_error(api.get("hubs/none/devices"), 404, "hub-not-found")


def test_device_without_authentication_is_given_keys(
    api: httpx.Client, make_device: MakeDevice
) -> None:
    device = make_device(certificate=False)

    made = api.put(f"hubs/hub/devices/{device.name}", json={}).json()

    assert made["authentication"]["type"] == "sas"
    assert made["authentication"]["symmetricKey"]["primaryKey"]


# -- telemetry and attempts ---------------------------------------------------------------------


def send(device: Device, *bodies: bytes, bag: str = "") -> None:
    """Send telemetry and wait until it is acknowledged."""
    with device.at_hub() as raw:
        for body in bodies:
            raw.publish(f"devices/{device.name}/messages/events/{bag}", body)
            raw.read()


def test_telemetry_is_read_as_what_it_is(api: httpx.Client, hub_device: Device) -> None:
    send(hub_device, b'{"a":1}', b"plain", b"\xff\x00", b"{broken", b"")

    value = api.get("hubs/hub/telemetry", params={"deviceId": hub_device.name}).json()["value"]

    assert [(event["encoding"], event["body"]) for event in value] == [
        ("json", {"a": 1}),
        ("text", "plain"),
        ("base64", "/wA="),
        ("text", "{broken"),
        ("text", ""),
    ]


def test_telemetry_of_one_partition_is_read_page_by_page(
    api: httpx.Client, hub_device: Device
) -> None:
    send(hub_device, *(b"%d" % number for number in range(5)))
    events = api.get("hubs/hub/telemetry", params={"deviceId": hub_device.name}).json()["value"]
    partition = events[0]["partition"]

    position, found = 0, []
    while True:
        page = api.get(
            f"hubs/hub/partitions/{partition}/telemetry",
            params={"fromSequenceNumber": position, "limit": 2},
        ).json()
        if not page["value"]:
            break
        found += [e["body"] for e in page["value"] if e["deviceId"] == hub_device.name]
        position = page["nextSequenceNumber"]

    assert found == ["0", "1", "2", "3", "4"]
    described = api.get("hubs/hub/partitions").json()["value"]
    assert described[partition]["lastEnqueuedSequenceNumber"] == position - 1
    assert api.get("hubs/hub/partitions/99/telemetry").status_code == 400


def test_telemetry_is_followed_as_it_comes(api: httpx.Client, hub_device: Device) -> None:
    send(hub_device, b"before")
    got: list[dict[str, Any]] = []
    listening = threading.Event()

    def follow() -> None:
        with api.stream(
            "GET", "hubs/hub/telemetry/follow", params={"deviceId": hub_device.name}
        ) as response:
            assert response.headers["content-type"] == "application/x-ndjson"
            for line in response.iter_lines():
                listening.set()
                if line:
                    got.append(json.loads(line))
                if len(got) == 3:
                    return

    reader = threading.Thread(target=follow)
    reader.start()
    assert listening.wait(10)
    send(hub_device, b"1", b"2", b"3")
    reader.join(10)

    assert [event["body"] for event in got] == ["1", "2", "3"]


def test_telemetry_is_followed_from_the_earliest(api: httpx.Client, hub_device: Device) -> None:
    send(hub_device, b"old", b"older")
    parameters = {"deviceId": hub_device.name, "start": "earliest"}
    with api.stream("GET", "hubs/hub/telemetry/follow", params=parameters) as response:
        lines = (line for line in response.iter_lines() if line)
        assert [json.loads(next(lines))["body"] for _ in range(2)] == ["old", "older"]


def test_attempts_are_paged_and_filtered(
    cloud: CloudThread, api: httpx.Client, make_device: MakeDevice
) -> None:
    device = make_device()
    with device.dial() as raw:
        raw.connect(device.name, device.hub_user_name)
    for _ in range(3):
        send_once = make_device()
        with send_once.dial() as raw:
            raw.connect(send_once.name, send_once.hub_user_name)

    (found,) = api.get("attempts", params={"thumbprint": device.thumbprint.lower()}).json()["value"]
    assert found["failure"]["code"] == "unknown-device"
    first = api.get("attempts", params={"limit": 2}).json()
    second = api.get("attempts", params={"limit": 2, "continuation": first["continuation"]}).json()
    ids = [row["attempt_id"] for row in first["value"] + second["value"]]
    assert len(set(ids)) == 4


def test_attempts_are_followed_as_they_end(api: httpx.Client, make_device: MakeDevice) -> None:
    device, other = make_device(), make_device()
    with api.stream("GET", "attempts/follow", params={"thumbprint": device.thumbprint}) as response:
        assert response.headers["content-type"] == "application/x-ndjson"
        lines = response.iter_lines()
        assert next(lines) == ""
        for stranger in (other, device, device):
            with stranger.dial() as raw:
                raw.connect(stranger.name, stranger.hub_user_name)
        found = [json.loads(next(line for line in lines if line)) for _ in range(2)]

    # Identical ones come singly here, and are counted in the list.
    assert [row["context"]["device_id"] for row in found] == [device.name] * 2
    assert [row["count"] for row in found] == [1, 1]
    (kept,) = api.get("attempts", params={"thumbprint": device.thumbprint}).json()["value"]
    assert kept["count"] == 2


@pytest.mark.parametrize("path", ["hubs/hub/telemetry/follow", "attempts/follow"])
def test_follow_ends_when_the_cloud_ends(tmp_path: Path, path: str) -> None:
    with cloud_on_thread(tmp_path / "cloud") as cloud, cloud.api() as api:
        with api.stream("GET", path) as response:
            lines = response.iter_lines()
            next(lines)
            began = time.monotonic()
            stopper = threading.Thread(target=cloud.stop)
            stopper.start()
            assert [line for line in lines if line] == []
        stopper.join(20)
        assert time.monotonic() - began < 5
