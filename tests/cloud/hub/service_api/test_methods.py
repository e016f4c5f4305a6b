"""Direct methods over the service API, answered by a real device: vector T4 of iothub.md."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from tests.cloud.conftest import Device
from tests.support.hub_api import HubClient, twin_error
from tests.support.rawmqtt import PUBLISH

Invoke = Callable[..., "Future[httpx.Response]"]


@pytest.fixture
def invoke(api: HubClient, hub_device: Device) -> Any:
    """Return a function that calls a method of `hub_device` meanwhile."""
    with ThreadPoolExecutor(2) as pool:
        yield lambda **body: pool.submit(
            api.call, "POST", f"/twins/{hub_device.name}/methods", body
        )


def test_t4_method(invoke: Invoke, hub_device: Device) -> None:
    with hub_device.at_hub() as raw:
        raw.subscribe("$iothub/methods/POST/#", qos=0)
        calling = invoke(methodName="lift", payload={"h": 3}, responseTimeoutInSeconds=10)
        asked = raw.expect(PUBLISH)
        assert asked.topic == "$iothub/methods/POST/lift/?$rid=1"
        assert (asked.flags, asked.payload) == (0, b'{"h":3}')
        raw.publish("$iothub/methods/res/200/?$rid=1", b'{"ok":true}', packet_id=None)
        response = calling.result(10)

    assert response.status_code == 200
    assert response.content == b'{"status":200,"payload":{"ok":true}}'
    twin_error(invoke(methodName="lift").result(10), 404, "DeviceNotOnline", 404103)


@pytest.mark.parametrize(
    ("body", "sent"),
    [({}, b""), ({"payload": None}, b"null"), ({"payload": "ü"}, b'"\\u00fc"')],
)
def test_payload_that_is_missing_or_null_is_told_apart(
    invoke: Invoke, hub_device: Device, body: dict[str, Any], sent: bytes
) -> None:
    with hub_device.at_hub() as raw:
        raw.subscribe("$iothub/methods/POST/#")
        calling = invoke(methodName="m", **body)
        asked = raw.expect(PUBLISH)
        assert asked.payload == sent
        rid = asked.topic.partition("$rid=")[2]
        raw.publish(f"$iothub/methods/res/404/?$rid={rid}", b"", packet_id=None)

        assert calling.result(10).json() == {"status": 404, "payload": None}


@pytest.mark.parametrize("member", ["responseTimeoutInSeconds", "timeoutInSeconds"])
def test_call_without_an_answer_is_504(invoke: Invoke, hub_device: Device, member: str) -> None:
    with hub_device.at_hub() as raw:
        raw.subscribe("$iothub/methods/POST/#")
        calling = invoke(methodName="m", **{member: 5})
        raw.expect(PUBLISH)

        twin_error(calling.result(20), 504, "GatewayTimeout", 504101)


def test_answer_that_is_no_json_is_502_and_a_lost_connection_404(
    invoke: Invoke, hub_device: Device
) -> None:
    with hub_device.at_hub() as raw:
        raw.subscribe("$iothub/methods/POST/#")
        calling = invoke(methodName="m")
        rid = raw.expect(PUBLISH).topic.partition("$rid=")[2]
        raw.publish(f"$iothub/methods/res/200/?$rid={rid}", b"{no", packet_id=None)
        twin_error(calling.result(10), 502, "GenericBadGateway", 502000)
        calling = invoke(methodName="m")
        raw.expect(PUBLISH)

    twin_error(calling.result(10), 404, "DeviceConnectionClosedRemotely", 404104)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"methodName": "m", "responseTimeoutInSeconds": 4}, "must be within [5; 300]"),
        ({"methodName": "m", "connectTimeoutInSeconds": 301}, "must be within [0; 300]"),
        ({"methodName": ""}, "methodName"),
        ({}, "methodName"),
    ],
)
def test_call_that_is_wrong_is_400(invoke: Invoke, body: dict[str, Any], words: str) -> None:
    assert words in twin_error(invoke(**body).result(10), 400, "ArgumentInvalid", 400004)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"methodName": "m", "responseTimeoutInSeconds": "x"}, "responseTimeoutInSeconds"),
        ({"methodName": 5}, "methodName"),
    ],
)
def test_member_of_a_wrong_type_is_named(invoke: Invoke, body: dict[str, Any], words: str) -> None:
    response = invoke(**body).result(10)
    assert words in twin_error(response, 400, "DeserializationError", 400012)


def test_call_of_nobody_is_404_and_a_large_payload_413(api: HubClient, hub_device: Device) -> None:
    missing = api.call("POST", "/twins/nobody/methods", {"methodName": "m"})
    twin_error(missing, 404, "DeviceNotFound", 404001)
    large = {"methodName": "m", "payload": "x" * 131_072}
    response = api.call("POST", f"/twins/{hub_device.name}/methods", large)
    twin_error(response, 413, "MessageTooLarge", 413001)
