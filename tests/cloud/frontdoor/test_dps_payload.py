"""Custom payloads, in with the register request and out with its result, by a real webhook."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from tests.cloud.conftest import Device, MakeDevice
from tests.support.cloud import CloudThread, cloud_on_thread
from tests.support.rawmqtt import PUBACK, PUBLISH
from tests.support.webhook import Webhook, choose, reply, webhook_server

REGISTER = "$dps/registrations/PUT/iotdps-register/?$rid=1"
POLL = "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=2&operationId="
VERSION = "api-version=2021-06-01"

Register = Callable[[Device, bytes], dict[str, Any]]


def by_mqtt(device: Device, body: bytes) -> dict[str, Any]:
    """Register over MQTT with `body`; return the result of the poll."""
    with device.at_dps() as raw:
        raw.publish(REGISTER, body, packet_id=None)
        accepted = raw.read()
        assert "/res/202/" in accepted.topic
        operation_id = json.loads(accepted.payload)["operationId"]
        raw.publish(f"{POLL}{operation_id}", b"", packet_id=None)
        return dict(json.loads(raw.read().payload.decode("ascii")))


def by_https(device: Device, body: bytes) -> dict[str, Any]:
    """Register over HTTPS with `body`; return the result of the poll."""
    with device.over_https() as raw:
        accepted = raw.request("PUT", f"{device.dps_path}/register?{VERSION}", body)
        assert accepted.status == 202
        done = raw.request("GET", accepted["location"].removeprefix(f"https://{raw.host}"))
        return dict(done.json())


@pytest.fixture(params=[by_mqtt, by_https], ids=["mqtt", "https"])
def register(request: pytest.FixtureRequest) -> Register:
    """Return each way to register in turn."""
    way: Register = request.param
    return way


@pytest.fixture
def webhook(cloud: CloudThread) -> Generator[Webhook]:
    """Run a webhook beside the cloud."""
    serving = webhook_server()
    yield cloud.run(serving.__aenter__())
    cloud.run(serving.__aexit__(None, None, None))


@pytest.fixture
def device(cloud: CloudThread, make_device: MakeDevice, webhook: Webhook) -> Device:
    """Return a device whose hub the webhook chooses."""
    webhook.reply = choose(cloud.address)
    made = make_device()
    definition = {"webhookUrl": webhook.url, "apiVersion": "2021-10-01"}
    members = {"allocationPolicy": "custom", "customAllocationDefinition": definition}
    cloud.enroll(made.name, made.pem, **members)
    return made


@pytest.mark.parametrize(
    "payload",
    [
        {"modelId": "dtmi:x;1"},
        '{"modelId":"dtmi:x;1"}',  # Java wraps it in a string
        [1, 2.5, {"deep": [None, True]}],
        "größe",
        0,
        False,
        {},
    ],
    ids=repr,
)
def test_payload_of_any_json_type_reaches_the_webhook(
    register: Register, device: Device, webhook: Webhook, payload: Any
) -> None:
    result = register(device, json.dumps({"payload": payload}, ensure_ascii=False).encode())

    assert result["status"] == "assigned"
    (asked,) = webhook.asked
    assert asked.document["deviceRuntimeContext"]["payload"] == payload
    # It is not sent back to the device.
    assert "payload" not in result["registrationState"]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"payload":null}'])
def test_payload_that_is_none_is_not_told_to_the_webhook(
    register: Register, device: Device, webhook: Webhook, body: bytes
) -> None:
    register(device, body)

    (asked,) = webhook.asked
    assert "payload" not in asked.document["deviceRuntimeContext"]


def test_payload_that_the_webhook_returns_is_told_to_the_device_in_ascii(
    cloud: CloudThread, register: Register, device: Device, webhook: Webhook
) -> None:
    payload = {"größe": 7, "nested": {"list": [1, None]}}
    webhook.reply = choose(cloud.address, payload=payload)

    result = register(device, b"{}")

    assert result["registrationState"]["payload"] == payload
    with device.over_https() as raw:
        found = raw.request("POST", f"{device.dps_path}?{VERSION}", b"{}")
    assert found.json() == result["registrationState"]


def test_payload_of_an_earlier_registration_is_gone_when_none_is_returned(
    cloud: CloudThread, register: Register, device: Device, webhook: Webhook
) -> None:
    webhook.reply = choose(cloud.address, payload={"n": 1})
    assert register(device, b"{}")["registrationState"]["payload"] == {"n": 1}
    webhook.reply = choose(cloud.address)

    assert "payload" not in register(device, b"{}")["registrationState"]


def test_webhook_that_fails_is_told_by_the_poll(
    register: Register, device: Device, webhook: Webhook
) -> None:
    webhook.reply = reply(status=500)

    result = register(device, b"{}")

    state = result["registrationState"]
    assert result["status"] == state["status"] == "failed"
    assert state["errorCode"] == 400207
    assert "500" in state["errorMessage"]
    assert not {"assignedHub", "deviceId", "payload"} & state.keys()
    (record,) = device.attempts()
    assert record["failure"]["stage"] == "allocation"


def test_shutdown_does_not_wait_for_a_webhook_and_tells_the_device_to_come_again(
    tmp_path: Path, make_device: MakeDevice, webhook: Webhook
) -> None:
    asked = threading.Event()

    async def think(_: asyncio.StreamWriter) -> None:
        asked.set()
        await asyncio.sleep(60)

    webhook.reply = think  # on the loop of the module's cloud, which goes on
    with cloud_on_thread(tmp_path / "state", drain_s=30.0) as cloud:
        made = make_device(of=cloud)
        definition = {"webhookUrl": webhook.url, "apiVersion": "2021-10-01"}
        members = {"allocationPolicy": "custom", "customAllocationDefinition": definition}
        cloud.enroll(made.name, made.pem, **members)
        with made.at_dps() as raw:
            raw.publish(REGISTER, b"")
            assert asked.wait(10)

            cloud.stop()

            raw.expect(PUBACK)
            answer = raw.expect(PUBLISH)
        # Not 202 and a failed registration, as the webhook's own time limit would end in.
        assert answer.topic == "$dps/registrations/res/503/?$rid=1&retry-after=5"
        assert json.loads(answer.payload)["errorCode"] == 503001
