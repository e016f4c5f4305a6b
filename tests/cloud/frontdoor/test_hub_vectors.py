"""Vectors T1 and T2 of iothub.md section 7, and its tokens, byte for byte.

T3 is in test_hub_twins.py, T4 in cloud/hub/service_api/test_methods.py, T5 in
test_hub_devicebound.py, T6 in cloud/hub/events/test_connection_events.py, T7 in
cloud/hub/service_api/test_devices.py.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.cloud.conftest import Device, MakeDevice
from tests.support.certificates import certify, key_of
from tests.support.cloud import CloudThread
from tests.support.rawmqtt import CONNACK, PUBACK, SUBACK, ConnectionEnded, RawMqtt, packet, text

from mooring.protocol.azure.sas import parse_sas_token, verify_sas_token

HOST = "hawser-hub.example.net"
DEVICE_KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
DEVICE_TOKEN = (
    "SharedAccessSignature sr=hawser-hub.example.net%2Fdevices%2Fdock-07"
    "&sig=PW78vEf%2B33e%2Fvw0rlp8DrxMeplxGDa4tZ%2BUQa3D2%2FWo%3D&se=1893456000"
)
USER_NAME = (
    f"{HOST}/dock-07/?api-version=2020-09-30&DeviceClientType=mooring%2F0.1"
    "&model-id=dtmi%3Amooring%3ADock%3B1"
)


@pytest.fixture(scope="module")
def hub(cloud: CloudThread) -> str:
    """Return the path of the vectors' hub."""
    with cloud.api() as api:
        made = api.post("hubs", json={"name": "hawser-hub", "hostName": HOST})
        assert made.status_code == 201, made.text
    return "hubs/hawser-hub"


@pytest.fixture
def dock(cloud: CloudThread, hub: str, make_device: MakeDevice, tmp_path: Path) -> Any:
    """Return the vectors' device, pinned by its certificate."""
    device = make_device("dock-07", credential=certify("dock-07", key_of("ec")))
    thumbprints = {"primaryThumbprint": device.thumbprint}
    with cloud.api() as api:
        path = f"{hub}/devices/dock-07"
        made = api.put(
            path, json={"authentication": {"type": "selfSigned", "x509Thumbprint": thumbprints}}
        )
        assert made.status_code == 200, made.text
        yield device
        api.delete(path)


def connect(raw: RawMqtt, *, password: str | None = None, user_name: str = USER_NAME) -> bytes:
    """Send T1's CONNECT, and return what the CONNACK says."""
    flags = 0x80 if password is None else 0xC0
    body = text("MQTT") + bytes([4, flags, 0, 60]) + text("dock-07") + text(user_name)
    raw.send(packet(1, 0, body + (b"" if password is None else text(password))))
    return raw.expect(CONNACK).body


def test_t1_connect_and_subscribe(dock: Device) -> None:
    with dock.dial() as raw:
        assert connect(raw) == b"\0\0"
        for number, topic_filter, qos, code in (
            (1, "devices/dock-07/messages/devicebound/#", 1, 1),
            (2, "$iothub/twin/res/#", 1, 1),
            (3, "$iothub/twin/PATCH/properties/desired/#", 2, 1),
            (4, "$iothub/methods/POST/#", 0, 0),
            (5, "devices/+/messages/devicebound/#", 1, 128),
        ):
            raw.send(packet(8, 2, bytes([0, number]) + text(topic_filter) + bytes([qos])))
            assert raw.expect(SUBACK).body == bytes([0, number, code])


def test_t2_telemetry(cloud: CloudThread, hub: str, dock: Device) -> None:
    with cloud.api() as api:
        generation = api.get(f"{hub}/devices/dock-07").json()["generationId"]
        before = {
            info["partition"]: info["lastEnqueuedSequenceNumber"]
            for info in api.get(f"{hub}/partitions").json()["value"]
        }
        topic = "devices/dock-07/messages/events/"
        bag = "%24.mid=m-1&%24.ct=application%2Fjson&%24.ce=utf-8&%24.sub=crane&zone=a%20b&flag="
        with dock.dial() as raw:
            connect(raw)
            raw.publish(topic + bag, b'{"load":12.5}', packet_id=1)
            assert raw.expect(PUBACK).packet_id == 1
            raw.send(packet(3, 0b0011, text(topic) + b"\0\2" + b"kept"))
            assert raw.expect(PUBACK).packet_id == 2
            raw.send(packet(3, 0b0100, text(topic) + b"\0\3" + b"twice"))
            with pytest.raises(ConnectionEnded):
                raw.read()

        first, retained = api.get(f"{hub}/telemetry").json()["value"]

    annotations = first["annotations"]
    enqueued = annotations["x-opt-enqueued-time"]
    assert annotations == {
        "x-opt-sequence-number": 0,
        "x-opt-offset": "0",
        "x-opt-enqueued-time": enqueued,
        "iothub-connection-device-id": "dock-07",
        "iothub-connection-auth-method": '{"scope":"device","type":"x509Certificate",'
        '"issuer":"external","acceptingIpFilterRule":null}',
        "iothub-connection-auth-generation-id": generation,
        "iothub-enqueuedtime": enqueued,
        "iothub-message-source": "Telemetry",
        "dt-dataschema": "dtmi:mooring:Dock;1",
        "dt-subject": "crane",
    }
    assert before[first["partition"]] == -1
    assert first["systemProperties"] == {
        "message-id": "m-1",
        "content-type": "application/json",
        "content-encoding": "utf-8",
    }
    assert first["properties"] == {"zone": "a b", "flag": ""}
    assert first["body"] == {"load": 12.5}
    assert (retained["properties"], retained["body"]) == ({"mqtt-retain": "true"}, "kept")


def test_token_of_a_device_opens_its_hub(cloud: CloudThread, hub: str, make_device: Any) -> None:
    device = make_device("dock-07", certificate=False)
    keys = {"primaryKey": DEVICE_KEY, "secondaryKey": DEVICE_KEY}
    with cloud.api() as api:
        path = f"{hub}/devices/dock-07"
        api.put(path, json={"authentication": {"type": "sas", "symmetricKey": keys}})
        with device.dial() as raw:
            assert connect(raw, password=DEVICE_TOKEN) == b"\0\0"
        with device.dial() as raw:
            assert connect(raw, password=DEVICE_TOKEN.replace("PW78", "PW79")) == b"\0\5"
        api.delete(path)


def test_token_of_a_policy_is_verified_over_the_text_as_sent() -> None:
    token = parse_sas_token(
        "SharedAccessSignature sr=hawser-hub.example.net"
        "&sig=Bj6wU%2B69MKTD2A9KJzlQF0VFU3ufADrW7NJirjv0JP8%3D&se=1893456000&skn=service"
    )
    verify_sas_token(token, [bytes(range(0x64, 0x84))], now=datetime(2029, 1, 1, tzinfo=UTC))
