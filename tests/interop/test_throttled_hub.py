"""Unmodified Azure device SDKs at a hub that keeps limits: they wait, come again, lose nothing."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.interop.programs import DeviceProgram, NodeHubDevice, PythonHubDevice
from tests.support.cloud import CloudThread, cloud_on_thread
from tests.support.hub_api import hub_client

from mooring.cloud.hub.mqtt.endings import SHUTTING_DOWN
from mooring.cloud.hub.throttling.model import HubLimit
from mooring.cloud.hub.throttling.service import HubThrottle

pytestmark = [pytest.mark.interop, pytest.mark.slow]

SDKS = {"python": PythonHubDevice(), "node": NodeHubDevice()}
SDK = PythonHubDevice | NodeHubDevice

REFUSALS = {"python": "ClientError", "node": "Error"}
LIMITS = {"deviceToCloudSends": 10, "deviceConnections": 2, "twinUpdates": 2}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudThread]:
    """Run a cloud whose hub keeps small limits."""
    with cloud_on_thread(tmp_path_factory.mktemp("cloud")) as running:
        with running.api() as admin:
            settings = {"throttling": "azure", "limits": LIMITS}
            admin.patch("hubs/hub/settings", json=settings).raise_for_status()
        yield running


@pytest.fixture(params=SDKS)
def sdk(request: pytest.FixtureRequest) -> SDK:
    return SDKS[request.param]


@pytest.fixture
def name(sdk: SDK) -> str:
    return f"{sdk.name}{secrets.token_hex(3)}"


@pytest.fixture
def device(cloud: CloudThread, sdk: SDK, name: str) -> Iterator[DeviceProgram]:
    """Return a connected device."""
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    with hub_client(cloud) as api:
        keys = {"primaryKey": key, "secondaryKey": key}
        api.created(name, authentication={"type": "sas", "symmetricKey": keys})
    with sdk.start(cloud, deviceId=name, symmetricKey=key) as program:
        program.do("connect")
        yield program
        program.do("close")


def at_hub(cloud: CloudThread, work: Callable[[HubThrottle], None]) -> None:
    """Do `work` with the counters of the hub."""
    application = cloud.application
    assert application is not None
    hub = application.hub.hubs.get("hub")
    cloud.call(lambda: work(application.hub.throttling.of(hub)))


def use_up(cloud: CloudThread, limit: HubLimit) -> None:
    """Let others have used up a rate, for longer than a test takes."""

    def book(throttle: HubThrottle) -> None:
        bucket = throttle._buckets[limit]
        bucket.book(bucket.limit * 60, cloud.clock.monotonic(), longest_s=60)

    at_hub(cloud, book)


def give_back(cloud: CloudThread, limit: HubLimit) -> None:
    """Let a rate be as if nobody had come."""

    def fill(throttle: HubThrottle) -> None:
        throttle._buckets[limit]._tokens = float(throttle._buckets[limit].limit)

    at_hub(cloud, fill)


def sent(device: DeviceProgram, body: str) -> bool:
    """Have a message sent; return whether the SDK took it."""
    device.begin("send", body=body, properties={})
    outcome = device.hear(lambda fact: fact.get("step") == "send", "an outcome")
    assert outcome["event"] == "done" or outcome["name"] == "NoConnectionError", outcome
    return bool(outcome["event"] == "done")


def bodies(cloud: CloudThread, name: str) -> list[Any]:
    return [event["body"] for event in cloud.telemetry(name)]


def test_telemetry_over_the_rate_is_slowed_down_and_arrives_in_order(
    cloud: CloudThread, device: DeviceProgram, name: str
) -> None:
    delayed = cloud.get("hubs/hub/quotas")["rates"]["deviceToCloudSends"]["delayed"]
    for number in range(30):
        device.begin("send", body=str(number), properties={})
    for _ in range(30):
        assert device.hear(lambda fact: fact.get("step") == "send", "a send")["event"] == "done"

    assert [str(body) for body in bodies(cloud, name)] == [str(number) for number in range(30)]
    rates = cloud.get("hubs/hub/quotas")["rates"]
    assert rates["deviceToCloudSends"]["delayed"] >= delayed + 10
    assert not cloud.attempts(device_id=name, result="failed")


def test_connect_that_is_throttled_is_tried_again_until_it_succeeds(
    cloud: CloudThread, device: DeviceProgram, name: str
) -> None:
    device.do("send", body="before", properties={})
    use_up(cloud, HubLimit.DEVICE_CONNECTIONS)

    def cut_off() -> None:
        assert cloud.application is not None
        for session in list(cloud.application.hub_door._live.values()):
            session.link.end(SHUTTING_DOWN)

    def was_throttled() -> bool:
        failed = cloud.attempts(device_id=name, result="failed")
        return "throttled" in {attempt["failure"]["code"] for attempt in failed}

    cloud.call(cut_off)
    deadline = time.monotonic() + 40
    while not was_throttled():
        assert time.monotonic() < deadline, "the device did not come again"
        time.sleep(0.05)
    give_back(cloud, HubLimit.DEVICE_CONNECTIONS)
    deadline = time.monotonic() + 60
    while cloud.get(f"hubs/hub/devices/{name}")["connectionState"] != "Connected":
        assert time.monotonic() < deadline, "the device did not get in"
        time.sleep(0.05)
    while not sent(device, "after"):  # Python's refuses until it knows itself that it is back
        assert time.monotonic() < deadline, "the device did not send"
        time.sleep(0.2)

    assert bodies(cloud, name) == ["before", "after"]


def test_twin_patch_that_is_throttled_is_an_answer_and_the_connection_stays(
    cloud: CloudThread, sdk: SDK, device: DeviceProgram, name: str
) -> None:
    if sdk.name == "python":
        device.do("report", patch={"first": 1})  # subscribes to the answers
    use_up(cloud, HubLimit.TWIN_UPDATES)
    device.begin("report", patch={"fw": 1})
    outcome = device.hear(lambda fact: fact.get("step") == "report", "an answer")
    # Both SDKs tell the program, which is to try again.
    assert (outcome["event"], outcome["name"]) == ("failed", REFUSALS[sdk.name]), outcome
    give_back(cloud, HubLimit.TWIN_UPDATES)
    device.do("report", patch={"fw": 2})

    with hub_client(cloud) as api:
        assert api.got("GET", f"/twins/{name}")["properties"]["reported"]["fw"] == 2
    assert cloud.get("hubs/hub/quotas")["rates"]["twinUpdates"]["refused"] >= 1
    assert not cloud.attempts(device_id=name, result="failed")
