"""Azure's rates on the wire, switched on: 429, retry-after, and nothing broken by it."""

from __future__ import annotations

import json
from collections.abc import Generator

import pytest
from tests.cloud.conftest import Device
from tests.support.cloud import CloudThread, cloud_on_thread
from tests.support.rawmqtt import PUBACK, PUBLISH, Packet, RawMqtt

from mooring.cloud.dps.throttling import ThrottlingMode

REGISTER = "$dps/registrations/PUT/iotdps-register/?$rid="
POLL = "$dps/registrations/GET/iotdps-get-operationstatus/?$rid="


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Generator[CloudThread]:
    """Run a cloud that keeps Azure's rates."""
    state = tmp_path_factory.mktemp("cloud")
    with cloud_on_thread(state, throttling=ThrottlingMode.AZURE) as running:
        yield running


@pytest.fixture(autouse=True)
def quiet(cloud: CloudThread) -> None:
    """Let the counts of the test before be past."""
    cloud.clock.shift_s += 61


def ask(raw: RawMqtt, topic: str, body: bytes = b"") -> Packet:
    """Publish a request and return the answer."""
    raw.publish(topic, body, packet_id=2)
    assert raw.expect(PUBACK).packet_id == 2
    return raw.expect(PUBLISH)


def use_up_registrations(cloud: CloudThread) -> None:
    """Let others have registered a thousand times."""
    assert cloud.application is not None
    throttling = cloud.application.throttling

    def admit() -> None:
        for _ in range(999):
            throttling.admit_registration()

    cloud.call(admit)


def test_sixth_poll_in_10_s_over_mqtt_is_answered_429_and_the_operation_goes_on(
    cloud: CloudThread, enrolled: Device
) -> None:
    """dps.md 7.3: ``res/429/?$rid=4&retry-after=5``."""
    with enrolled.at_dps() as raw:
        first = json.loads(ask(raw, f"{REGISTER}1").payload)["operationId"]
        for _ in range(5):
            assert ask(raw, f"{POLL}2&operationId={first}").topic.endswith("/res/200/?$rid=2")
        second = json.loads(ask(raw, f"{REGISTER}3").payload)["operationId"]
        throttled = ask(raw, f"{POLL}4&operationId={second}")
        error = json.loads(throttled.payload)

        assert throttled.topic == "$dps/registrations/res/429/?$rid=4&retry-after=5"
        assert error["errorCode"] == 429001
        assert error["message"] == "Throttled."
        assert [record["count"] for record in enrolled.attempts()] == [1]  # this one is not over

        cloud.clock.shift_s += 10
        done = ask(raw, f"{POLL}5&operationId={second}")
        assert json.loads(done.payload)["status"] == "assigned"

    (record,) = enrolled.attempts()
    assert record["result"] == "succeeded"
    assert record["count"] == 2
    assert record["wire_ids"]["trackingId"] == [error["trackingId"]]
    assert record["context"]["detail"].startswith("answered 429 in between: ")


def test_sixth_poll_in_10_s_over_https_is_answered_429_and_the_operation_goes_on(
    cloud: CloudThread, enrolled: Device
) -> None:
    version = "api-version=2021-06-01"
    with enrolled.over_https() as raw:
        ids = [
            raw.request("PUT", f"{enrolled.dps_path}/register?{version}", b"{}").json()[
                "operationId"
            ]
            for _ in range(2)
        ]
        paths = [f"{enrolled.dps_path}/operations/{each}?{version}" for each in ids]
        for _ in range(5):
            assert raw.request("GET", paths[0]).status == 200
        throttled = raw.request("GET", paths[1])

        assert throttled.status == 429
        assert throttled["retry-after"] == "5"
        assert throttled["x-ms-error-code"] == "429001"
        assert throttled.json()["message"] == "Throttled."
        assert len(enrolled.attempts()) == 1

        cloud.clock.shift_s += 10
        assert raw.request("GET", paths[1]).json()["status"] == "assigned"

    (record,) = enrolled.attempts()
    assert record["result"] == "succeeded"
    assert record["wire_ids"]["trackingId"] == [throttled.json()["trackingId"]]


def test_registration_beyond_a_thousand_a_minute_is_answered_429(
    cloud: CloudThread, enrolled: Device
) -> None:
    with enrolled.at_dps() as raw, enrolled.over_https() as https:
        use_up_registrations(cloud)
        operation_id = json.loads(ask(raw, f"{REGISTER}1").payload)["operationId"]
        throttled = ask(raw, f"{REGISTER}2")
        target = f"{enrolled.dps_path}/register?api-version=2021-06-01"
        reply = https.request("PUT", target, b"{}")

        assert throttled.topic == "$dps/registrations/res/429/?$rid=2&retry-after=5"
        assert json.loads(throttled.payload)["errorCode"] == 429001
        assert (reply.status, reply["retry-after"]) == (429, "5")
        # what had begun goes on, and the device may come again
        assert ask(raw, f"{POLL}3&operationId={operation_id}").topic.endswith("/res/200/?$rid=3")
        cloud.clock.shift_s += 60
        assert "/res/202/" in ask(raw, f"{REGISTER}2").topic

    failures = [record["failure"] for record in enrolled.attempts(result="failed")]
    assert "throttled" in {failure["code"] for failure in failures}


def test_poll_by_a_stranger_takes_nothing_from_the_device(
    cloud: CloudThread, enrolled: Device
) -> None:
    nobody = Device(cloud, enrolled.name, None, None)
    with enrolled.over_https() as raw, nobody.over_https() as strange:
        target = f"{enrolled.dps_path}/register?api-version=2021-06-01"
        operation_id = raw.request("PUT", target, b"{}").json()["operationId"]
        path = f"{enrolled.dps_path}/operations/{operation_id}?api-version=2021-06-01"
        for _ in range(6):
            assert strange.request("GET", path).status == 401
        assert raw.request("GET", path).status == 200
