"""REST as a stranger meets it: tokens, one error shape, limits, publishing, addresses."""

from __future__ import annotations

import json
import socket
import stat
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.gateways import PID, Gateway, running_gateway, self_signed
from tests.support.scripted_azure import ScriptedAzure

from mooring.gateway.api.errors import HTTP_STATUS
from mooring.gateway.api.guard import MAX_BODY_BYTES
from mooring.gateway.application import GatewayApplication
from mooring.gateway.errors import AddressUnavailable, BindRefused, GatewayError
from mooring.gateway.settings import GatewaySettings
from mooring.storage.errors import FolderLocked


def check_shape(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the error of `answer`, which has the one shape."""
    error: dict[str, Any] = answer["error"]
    assert {"code", "message", "field", "remedy", "tracking_id"} <= set(error)
    assert error["message"]
    assert error["remedy"]
    return error


@pytest.mark.parametrize(
    "header", [None, "Bearer wrong", "Basic dXNlcjpwYXNz", "Bearer", "Bearer \xff"]
)
async def test_request_without_the_token_is_refused(gateway: Gateway, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    async with httpx.AsyncClient(base_url=gateway.client.base_url, trust_env=False) as stranger:
        for method, path in (
            ("GET", "info"), ("GET", "connections"), ("POST", "trust"), ("GET", "attempts"),
            ("PUT", f"connections/{PID}/configuration"),
        ):  # fmt: skip
            response = await stranger.request(method, path, headers=headers)
            assert response.status_code == 401
            assert response.headers["www-authenticate"] == "Bearer"
            assert check_shape(response.json())["code"] == "token-refused"


async def test_health_needs_no_token(gateway: Gateway) -> None:
    async with httpx.AsyncClient(base_url=gateway.client.base_url, trust_env=False) as stranger:
        assert (await stranger.get("health")).json() == {"status": "ok"}


async def test_token_scheme_ignores_case(gateway: Gateway) -> None:
    token = gateway.client.headers["authorization"].split()[1]
    response = await gateway.client.get("info", headers={"Authorization": f"bearer {token}"})
    assert response.status_code == 200


async def test_info_when_asked_says_how_the_gateway_is(gateway: Gateway) -> None:
    info = await gateway.call("GET", "info")
    assert info["storage"]["condition"] == "ok"
    assert info["connections"] == {"configured": 0, "connected": 0}
    facts = json.loads((gateway.application.settings.gateway_dir / "gateway.json").read_text())
    assert facts["api_url"] == info["api_url"] == gateway.application.api_url


async def test_state_folder_is_closed_to_others(gateway: Gateway) -> None:
    await gateway.create()
    await gateway.apply(self_signed(), endpoint="localhost")
    for path in gateway.application.settings.gateway_dir.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


async def test_path_method_and_body_when_wrong_have_the_one_shape(gateway: Gateway) -> None:
    check_shape(await gateway.call("GET", "nothing", status=404))
    check_shape(await gateway.call("DELETE", "info", status=405))
    response = await gateway.client.post("connections", content="{not json")
    assert response.status_code == 400
    assert check_shape(response.json())["code"] == "request-malformed"
    answer = await gateway.call("GET", "attempts?limit=0", status=400)
    assert check_shape(answer)["field"] == "limit"
    check_shape(await gateway.call("GET", "attempts/att-0", status=404))
    check_shape(await gateway.call("GET", "connections/AzureDpsX509-9/status", status=404))
    check_shape(await gateway.call("DELETE", "trust/none", status=404))


async def test_body_when_too_large_is_refused_announced_or_not(gateway: Gateway) -> None:
    async def chunks() -> Any:
        for _ in range(MAX_BODY_BYTES // 65_536 + 2):
            yield b" " * 65_536

    for content in (b" " * (MAX_BODY_BYTES + 1), chunks()):
        response = await gateway.client.post("trust", content=content)
        assert response.status_code == 413
        assert check_shape(response.json())["code"] == "request-too-large"


async def test_request_when_wrong_never_repeats_a_key(gateway: Gateway) -> None:
    await gateway.create()
    device = self_signed()
    secret = device.key_pem.splitlines()[1]
    for body in (
        {"tabs": {"X509MqttDataTransport": device.key_pem}},
        {"tabs": device.key_pem},
        {"tabs": {"X509MqttDataTransport": {"scope.id": device.key_pem}}},
        {"tabs": {"X509MqttDataTransport": {"device.model.id": device.key_pem}}},
        {"tabs": {"X509MqttDataTransport": {"global.endpoint": device.key_pem}}},
        {"tabs": {"X509MqttDataTransport": {"device.certificate": device.key_pem}}},
        {"tabs": {device.key_pem: {}}},
        {"tabs": {"X509MqttDataTransport": {device.key_pem: 1}}},
    ):
        answer = await gateway.call("PUT", f"connections/{PID}/configuration", body, status=400)
        check_shape(answer)
        assert secret not in json.dumps(answer), body


@pytest.mark.parametrize(
    "body",
    [
        '{"tabs":{"\\ud800":{}}}',
        '{"tabs":{"X509MqttDataTransport":{"\\ud800":1}}}',
        '{"tabs":{"X509MqttDataTransport":{"device.private.key.passphrase":"\\ud800"}}}',
        '{"tabs":{"X509MqttDataTransport":{"device.certificate":"\\ud800"}}}',
        '{"tabs":' + '{"a":' * 20_000 + "1" + "}" * 20_001,
        '{"tabs":{"X509MqttDataTransport":{"timeout":' + "9" * 5_000 + "}}}",
    ],
    ids=lambda body: body[:70],
)
async def test_request_with_what_no_answer_could_repeat_is_refused(
    gateway: Gateway, body: str
) -> None:
    await gateway.create()
    response = await gateway.client.put(
        f"connections/{PID}/configuration",
        content=body.encode(),
        headers={"Content-Type": "application/json"},
    )
    assert response.status_code == 400
    code = check_shape(response.json())["code"]
    assert code in ("request-malformed", "configuration-refused")


@pytest.mark.parametrize(
    ("message", "status", "field"),
    [
        ({}, 400, "body"),
        ({"text": "a", "json": 1}, 400, "body"),
        ({"base64": "%%"}, 400, "base64"),
        ({"text": "x" * 262_145}, 413, "body"),
        ({"text": "x", "properties": {"$.mid": "1"}}, 400, "properties"),
        ({"text": "x", "properties": {"k": 1}}, 400, "properties.k"),
        ({"text": "x", "timeout_s": 0}, 400, "timeout_s"),
        ({"text": "x", "typo": 1}, 400, "typo"),
    ],
)
async def test_publish_when_malformed_names_the_field(
    gateway: Gateway, azure: ScriptedAzure, message: dict[str, Any], status: int, field: str
) -> None:
    await gateway.trust(azure.ca_pem)
    await gateway.create()
    await gateway.apply(self_signed(), endpoint=azure.endpoint)
    await gateway.connect()
    answer = await gateway.call("POST", f"connections/{PID}/publish", message, status=status)
    assert check_shape(answer)["field"] == field
    assert azure.telemetry == []


@pytest.mark.parametrize(
    ("message", "body", "content"),
    [
        ({"text": "ahoy ü"}, "ahoy ü".encode(), "%24.ct=text%2Fplain&%24.ce=utf-8"),
        ({"json": None}, b"null", "%24.ct=application%2Fjson&%24.ce=utf-8"),
        ({"base64": "AP8="}, b"\x00\xff", "%24.ct=application%2Foctet-stream"),
        (
            {"base64": "AP8=", "content_type": "image/png", "correlation_id": "c"},
            b"\x00\xff",
            "%24.cid=c&%24.ct=image%2Fpng",
        ),
    ],
)
async def test_publish_when_well_formed_sends_the_body_as_it_is(
    gateway: Gateway, azure: ScriptedAzure, message: dict[str, Any], body: bytes, content: str
) -> None:
    await gateway.trust(azure.ca_pem)
    await gateway.create()
    await gateway.apply(self_signed(), endpoint=azure.endpoint)
    await gateway.connect()
    answer = await gateway.publish(**message)
    (sent,) = azure.telemetry
    assert sent.payload == body
    assert sent.topic == f"devices/gw01/messages/events/%24.mid={answer['message_id']}&{content}"


async def test_openapi_describes_every_operation(gateway: Gateway) -> None:
    document = await gateway.call("GET", "openapi.json")
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["description"], (method, path)


def test_every_refusal_has_a_code_of_its_own() -> None:
    kinds = [kind for kind in GatewayError.__subclasses__() if kind is not GatewayError]
    codes = [kind.code for kind in kinds]
    assert len(set(codes)) == len(codes)
    starting = {BindRefused, AddressUnavailable}
    assert set(HTTP_STATUS) == set(kinds) - starting


async def test_second_gateway_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    async with running_gateway(tmp_path):
        with pytest.raises(FolderLocked):
            await GatewayApplication.start(GatewaySettings(state_dir=tmp_path, port=0))
    async with running_gateway(tmp_path):
        pass


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "gateway.example"])
async def test_bind_when_not_loopback_is_refused_and_frees_the_folder(
    tmp_path: Path, host: str
) -> None:
    with pytest.raises(BindRefused, match="plain HTTP"):
        await GatewayApplication.start(GatewaySettings(state_dir=tmp_path, host=host, port=0))
    async with running_gateway(tmp_path):
        pass


async def test_port_when_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(AddressUnavailable, match=str(port)):
            await GatewayApplication.start(GatewaySettings(state_dir=tmp_path, port=port))


async def test_close_when_done_removes_the_facts(tmp_path: Path) -> None:
    async with running_gateway(tmp_path):
        assert (tmp_path / "gateway" / "gateway.json").exists()
    assert not (tmp_path / "gateway" / "gateway.json").exists()
