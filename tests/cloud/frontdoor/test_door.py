"""The front door itself: what comes before a service is known, time limits, the end."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.cloud.conftest import Device, MakeDevice
from tests.support.certificates import certify, key_of
from tests.support.cloud import CloudThread, cloud_on_thread
from tests.support.rawmqtt import (
    CONNACK,
    PINGREQ,
    PINGRESP,
    PUBACK,
    PUBLISH,
    ConnectionEnded,
    RawMqtt,
    packet,
    text,
)

from mooring.protocol.azure.sas import decode_key, format_sas_token

FILTER = "$dps/registrations/res/#"
GOOD_DPS = "{scope}/registrations/{name}/api-version=2019-03-31"
REGISTER = "$dps/registrations/PUT/iotdps-register/?$rid=1"


def wait_for(condition: Callable[[], Any]) -> Any:
    """Return the first true result of `condition`."""
    deadline = time.monotonic() + 10
    while not (result := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return result


def ended(raw: RawMqtt) -> bool:
    """Return whether the server closed without saying more."""
    try:
        raw.read()
    except ConnectionEnded:
        return True
    return False


def unknown_attempts(cloud: CloudThread, code: str) -> list[dict[str, Any]]:
    """Return records of connections that never said what they wanted."""
    found = cloud.attempts(kind="unknown", limit=1000)
    return [record for record in found if record["failure"]["code"] == code]


# -- CONNECT ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user_name", "client_id", "code", "failure"),
    [
        # DPS: 4 for what cannot be read, 2 for the wrong client id, 5 without any credentials
        ("{scope}/registrations/{name}", "{name}", 4, "user-name-malformed"),
        ("{scope}/registrations/{name}/api-version=now", "{name}", 4, "user-name-malformed"),
        ("/registrations/{name}/api-version=2019-03-31", "{name}", 4, "user-name-malformed"),
        ("{scope}/registrations//api-version=2019-03-31", "{name}", 4, "user-name-malformed"),
        (
            "{scope}/registrations/{name}/api-version=2019-03-31",
            "x",
            2,
            "client-id-not-registration-id",
        ),
        (
            "{scope}/registrations/{name}/api-version=2019-03-31",
            "",
            2,
            "client-id-not-registration-id",
        ),
        # hub: 5, since 4 makes the C SDK stop for good
        (None, "{name}", 5, "user-name-malformed"),
        ("", "{name}", 5, "user-name-malformed"),
        ("hub.example", "{name}", 5, "user-name-malformed"),
        ("a/b/c/d/e", "{name}", 5, "user-name-malformed"),
        ("hub.example/\u0001", "{name}", 5, "user-name-malformed"),
    ],
)
def test_connect_that_cannot_be_read_is_refused_with_its_code_and_recorded(
    make_device: MakeDevice, user_name: str | None, client_id: str, code: int, failure: str
) -> None:
    device = make_device()
    values = {"scope": device.cloud.id_scope, "name": device.name}
    with device.dial() as raw:
        refused = raw.connect(
            client_id.format(**values), None if user_name is None else user_name.format(**values)
        )
        assert refused == code
        assert ended(raw)

    (record,) = device.cloud.attempts(thumbprint=device.thumbprint)
    assert record["failure"]["code"] == failure
    assert record["failure"]["stage"] == "connect"
    assert record["failure"]["remedy"]


def test_connect_to_dps_ignores_the_case_of_the_registration_id(enrolled: Device) -> None:
    with enrolled.dial() as raw:
        assert raw.connect(enrolled.name.upper(), enrolled.dps_user_name) == 0


def test_connect_to_dps_without_certificate_and_password_is_refused_5(
    make_device: MakeDevice,
) -> None:
    device = make_device(certificate=False)
    with device.dial() as raw:
        assert raw.connect(device.name, device.dps_user_name) == 5

    assert device.attempts()[0]["failure"]["code"] == "no-credentials"


@pytest.mark.parametrize(
    ("protocol", "code", "failure"),
    [
        (text("MQTT") + bytes([5, 2, 0, 60, 0]), 1, "protocol-level-unsupported"),
        (text("MQIsdp") + bytes([3, 2, 0, 60]), 1, "protocol-level-unsupported"),
        (text("MQTT") + bytes([4, 0, 0, 60]) + text(""), 2, "client-id-missing"),
    ],
)
def test_connect_of_another_protocol_is_refused_with_its_code(
    make_device: MakeDevice, protocol: bytes, code: int, failure: str
) -> None:
    device = make_device()
    with device.dial() as raw:
        raw.send(packet(1, 0, protocol + text("x")) if code == 1 else packet(1, 0, protocol))
        assert raw.expect(CONNACK).return_code == code
        assert ended(raw)

    (record,) = device.cloud.attempts(thumbprint=device.thumbprint)
    assert record["failure"]["code"] == failure


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        packet(PINGREQ, 0, b""),
        packet(1, 0, b"\0\4MQTT"),
        b"\x10\xff\xff\xff\x7f",
        packet(1, 1, text("MQTT") + bytes([4, 2, 0, 60]) + text("x")),
    ],
    ids=["http", "ping", "cut", "huge", "flags"],
)
def test_bytes_that_are_no_connect_end_the_connection_and_are_recorded(
    make_device: MakeDevice, data: bytes
) -> None:
    device = make_device()
    with device.dial() as raw:
        raw.send(data)
        assert ended(raw)

    (record,) = device.cloud.attempts(thumbprint=device.thumbprint)
    assert record["kind"] == "unknown"
    assert record["failure"]["stage"] == "connect"


def test_leave_before_connect_is_recorded(make_device: MakeDevice) -> None:
    device = make_device()
    with device.dial():
        pass

    (record,) = wait_for(lambda: device.cloud.attempts(thumbprint=device.thumbprint))
    assert record["failure"]["code"] == "closed-before-connect"


def test_handshake_that_fails_is_recorded_and_counted(cloud: CloudThread) -> None:
    for _ in range(2):
        with socket.create_connection((cloud.address, 8883)) as raw:
            raw.sendall(b"this is not TLS at all")
            assert raw.recv(1024) or True
            while raw.recv(1024):
                pass

    (record,) = wait_for(
        lambda: [r for r in unknown_attempts(cloud, "tls-handshake-failed") if r["count"] >= 2]
    )
    assert record["failure"]["stage"] == "tls"
    assert record["failure"]["cause"]
    assert "server CA" in record["failure"]["remedy"]


def test_handshake_of_a_client_that_does_not_trust_the_server_is_recorded(
    cloud: CloudThread,
) -> None:
    before = sum(r["count"] for r in unknown_attempts(cloud, "tls-handshake-failed"))
    context = ssl.create_default_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection((cloud.address, 8883)) as raw,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        context.wrap_socket(raw, server_hostname=cloud.address)

    wait_for(
        lambda: sum(r["count"] for r in unknown_attempts(cloud, "tls-handshake-failed")) > before
    )


def test_secrets_offered_in_connect_are_nowhere_in_the_records(make_device: MakeDevice) -> None:
    device = make_device()
    password = "SharedAccessSignature sig=topsecret"
    body = text("MQTT") + bytes([4, 0xC2, 0, 60]) + text("x")
    with device.dial() as raw:
        raw.send(packet(1, 0, body + text(device.hub_user_name) + text(password)))
        raw.expect(CONNACK)

    assert "topsecret" not in str(device.cloud.attempts(thumbprint=device.thumbprint))


# -- time ---------------------------------------------------------------------------------------


def test_connection_without_connect_is_ended_after_its_time(
    cloud: CloudThread, make_device: MakeDevice
) -> None:
    device = make_device()
    with device.dial() as raw:
        cloud.pass_time(25)
        raw.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            raw.read()
        raw.socket.settimeout(10)
        cloud.pass_time(10)
        assert ended(raw)

    (record,) = cloud.attempts(thumbprint=device.thumbprint)
    assert record["failure"]["code"] == "connect-timeout"


def test_dps_connection_that_neither_subscribes_nor_registers_is_ended(
    cloud: CloudThread, enrolled: Device
) -> None:
    with enrolled.dial() as raw:
        raw.connect(enrolled.name, enrolled.dps_user_name, keep_alive_s=0)
        cloud.pass_time(58)
        raw.send(packet(PINGREQ, 0, b""))
        raw.expect(PINGRESP)
        cloud.pass_time(5)
        assert ended(raw)

    assert enrolled.attempts()[0]["failure"]["code"] == "neither-subscribed-nor-registered"


def test_dps_connection_with_keep_alive_0_lives_until_its_age(
    cloud: CloudThread, enrolled: Device
) -> None:
    with enrolled.dial() as raw:
        raw.connect(enrolled.name, enrolled.dps_user_name, keep_alive_s=0)
        raw.subscribe(FILTER)
        cloud.pass_time(890)
        raw.send(packet(PINGREQ, 0, b""))
        raw.expect(PINGRESP)
        cloud.pass_time(15)
        assert ended(raw)

    assert enrolled.attempts()[0]["failure"]["code"] == "connection-too-old"


def test_connection_silent_for_one_and_a_half_keep_alives_is_ended(
    cloud: CloudThread, enrolled: Device, hub_device: Device
) -> None:
    with enrolled.at_dps() as dps, hub_device.at_hub(keep_alive_s=60) as hub:
        for _ in range(3):
            cloud.pass_time(80)
            for raw in (dps, hub):
                raw.send(packet(PINGREQ, 0, b""))
                raw.expect(PINGRESP)
        cloud.pass_time(95)
        assert ended(dps)
        assert ended(hub)

    assert enrolled.attempts()[0]["failure"]["code"] == "keep-alive-timeout"
    failed = hub_device.hub_attempts(result="failed")[0]["failure"]
    assert (failed["stage"], failed["code"]) == ("session", "keep-alive-timeout")


@pytest.mark.parametrize("keep_alive_s", [0, 65_535])
def test_hub_connection_is_never_silent_for_longer_than_azure_allows(
    cloud: CloudThread, hub_device: Device, keep_alive_s: int
) -> None:
    with hub_device.at_hub(keep_alive_s=keep_alive_s) as raw:
        cloud.pass_time(1760)
        raw.send(packet(PINGREQ, 0, b""))
        raw.expect(PINGRESP)
        cloud.pass_time(1770)
        assert ended(raw)


def test_hub_connection_with_a_token_is_ended_when_the_token_ends(
    cloud: CloudThread, make_device: MakeDevice
) -> None:
    device = make_device(certificate=False)
    with cloud.api() as api:
        body = {"authentication": {"type": "sas"}}
        made = api.put(f"hubs/hub/devices/{device.name}", json=body).json()
    key = decode_key(made["authentication"]["symmetricKey"]["primaryKey"])
    token = format_sas_token(
        f"{cloud.address}/devices/{device.name}",
        key,
        expires_at=datetime.now(UTC) + timedelta(seconds=300),
    )
    connect = text("MQTT") + bytes([4, 0xC0]) + struct.pack("!H", 600) + text(device.name)
    with device.dial() as raw:
        raw.send(packet(1, 0, connect + text(device.hub_user_name) + text(token)))
        assert raw.expect(CONNACK).return_code == 0
        cloud.pass_time(290)
        raw.send(packet(PINGREQ, 0, b""))
        raw.expect(PINGRESP)
        cloud.pass_time(15)
        assert ended(raw)

    failed = device.hub_attempts(result="failed")[0]["failure"]
    assert failed["code"] == "sas-expired"


# -- bounds and the end -------------------------------------------------------------------------


def test_client_that_sends_on_without_waiting_is_held_back_and_answered_in_order(
    enrolled: Device,
) -> None:
    count = 150  # beyond the window of unacknowledged answers
    with enrolled.at_dps() as raw:
        raw.send(
            b"".join(
                raw.format_publish(f"{REGISTER[:-1]}{number}", b" " * 2000, packet_id=number)
                for number in range(1, count + 1)
            )
        )
        for number in range(1, count + 1):
            assert raw.expect(PUBACK).packet_id == number
            assert f"/202/?$rid={number}&" in raw.expect(PUBLISH).topic


def test_close_finishes_the_commits_that_run_and_acknowledges_them(
    tmp_path: Path, make_device: MakeDevice
) -> None:
    with cloud_on_thread(tmp_path / "cloud") as cloud:
        assert cloud.application is not None
        device = make_device(of=cloud)
        cloud.add_device(device.name, device.thumbprint)
        release, started = threading.Event(), threading.Event()

        def block(connection: object) -> None:
            started.set()
            release.wait(30)

        with device.at_hub() as raw:
            cloud.call(cloud.application.database.submit, block, lambda result, error: None)
            started.wait(10)
            raw.publish(f"devices/{device.name}/messages/events/", b"in time", packet_id=9)
            (session,) = cloud.application.hub_door._live.values()
            wait_for(lambda: session._telemetry._uncommitted == 1)
            stopper = threading.Thread(target=cloud.stop)
            stopper.start()
            wait_for(lambda: session._draining)
            release.set()
            assert raw.expect(PUBACK).packet_id == 9
            assert ended(raw)
        stopper.join(20)

        with cloud_on_thread(tmp_path / "cloud") as again:
            # The address differs, the folder does not: what was acknowledged is there.
            assert [event["body"] for event in again.telemetry()] == ["in time"]


def test_close_lets_a_registration_that_runs_finish(
    tmp_path: Path, make_device: MakeDevice
) -> None:
    with cloud_on_thread(tmp_path / "cloud") as cloud:
        assert cloud.application is not None
        device = make_device(of=cloud)
        cloud.enroll(device.name, device.pem)
        release, started = threading.Event(), threading.Event()

        def block(connection: object) -> None:
            started.set()
            release.wait(30)

        with device.at_dps() as raw:
            cloud.call(cloud.application.database.submit, block, lambda result, error: None)
            started.wait(10)
            raw.publish(REGISTER, b"")
            (listener,) = cloud.application.doors._mqtt
            wait_for(lambda: cloud.application.front_door.tasks._tasks)
            stopper = threading.Thread(target=cloud.stop)
            stopper.start()
            wait_for(lambda: listener._environment.draining)
            release.set()
            raw.expect(PUBACK)
            assert "/202/" in raw.expect(PUBLISH).topic
            assert ended(raw)
        stopper.join(20)


def test_connection_of_a_group_device_holds_no_certificate_after_connack(
    cloud: CloudThread, make_device: MakeDevice
) -> None:
    assert cloud.application is not None
    device = make_device(credential=certify("chainy", key_of("ec")), name="chainy")
    cloud.add_device(device.name, device.thumbprint)
    with device.at_hub():
        (session,) = [
            session
            for session in cloud.application.hub_door._live.values()
            if session.device_id == "chainy"
        ]
        wait_for(lambda: session.link.presented == ())
