"""MQTT over WebSocket as bytes on a real TLS socket: the handshake, frames, closing."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cloud.conftest import Device, MakeDevice
from tests.support.cloud import CloudThread, cloud_on_thread
from tests.support.rawmqtt import CONNACK, CONNECT, PINGREQ, PINGRESP, RawMqtt, packet, text
from tests.support.rawwebsocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    RawMqttOverWebSocket,
    RawWebSocket,
    frame,
)

from mooring.cloud.frontdoor.http_limits import DEFAULT_HTTP_LIMITS
from mooring.transport.server_websocket import MAX_FRAMES_WITHOUT_DATA

PATHS = ("/$iothub/websocket", "/", "/mqtt")
PING_PACKET = packet(PINGREQ, 0, b"")
PONG_PACKET = packet(PINGRESP, 0, b"")
MAX_BYTES = DEFAULT_HTTP_LIMITS.max_message_bytes


def connect_packet(device: Device) -> bytes:
    """Return the CONNECT of a device to DPS."""
    body = text("MQTT") + bytes([4, 0x82]) + struct.pack("!H", 60) + text(device.name)
    return packet(CONNECT, 0, body + text(device.dps_user_name))


def connected(websocket: RawWebSocket, device: Device) -> RawMqtt:
    """Open the WebSocket and connect to DPS."""
    assert websocket.open().status == 101
    raw = RawMqttOverWebSocket(websocket)
    assert raw.connect(device.name, device.dps_user_name) == 0
    return raw


def wait_for(condition: Callable[[], Any]) -> Any:
    """Return the first true result of `condition`."""
    deadline = time.monotonic() + 10
    while not (result := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return result


def attempt_of(device: Device, code: str) -> dict[str, Any]:
    """Return the record of the device's attempt that failed with `code`."""

    def found() -> dict[str, Any] | None:
        records = device.cloud.attempts(thumbprint=device.thumbprint, limit=100)
        return next((r for r in records if r["failure"] and r["failure"]["code"] == code), None)

    record: dict[str, Any] = wait_for(found)
    return record


def expect_closed(websocket: RawWebSocket, code: int) -> None:
    """Check that the server closes with `code`, and its connection once that is answered."""
    closed = websocket.read_frame()
    assert (closed.opcode, closed.code) == (CLOSE, code)
    websocket.send(frame(CLOSE, closed.payload[:2]))
    assert websocket.is_closed_by_server()


# -- opening ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("subprotocol", ["mqtt", "MQTT"])
def test_acceptance_5_websocket_on_each_path_echoes_the_subprotocol_as_it_is_spelled(
    enrolled: Device, path: str, subprotocol: str
) -> None:
    with enrolled.dial_websocket() as websocket:
        answer = websocket.open(path, subprotocol)

        assert answer.status == 101
        assert answer["sec-websocket-protocol"] == subprotocol
        raw = RawMqttOverWebSocket(websocket)
        assert raw.connect(enrolled.name, enrolled.dps_user_name) == 0
        assert raw.subscribe("$dps/registrations/res/#") == 1


@pytest.mark.parametrize(
    ("path", "offered", "chosen"),
    [
        ("/$iothub/websocket?iothub-no-client-cert=true", "mqtt", "mqtt"),
        ("/%24iothub/websocket", "mqtt", "mqtt"),
        ("/mqtt?", "amqp, Mqtt", "Mqtt"),
        ("https://localhost/$iothub/websocket", "AMQPWSB10,mqtt,MQTT", "mqtt"),
    ],
)
def test_open_tolerates_query_strings_and_other_offers(
    enrolled: Device, path: str, offered: str, chosen: str
) -> None:
    with enrolled.dial_websocket() as websocket:
        answer = websocket.open(path, offered)

        assert answer.status == 101
        assert answer["sec-websocket-protocol"] == chosen


def test_open_takes_what_came_behind_the_handshake(enrolled: Device) -> None:
    with enrolled.dial_websocket() as websocket:
        answer = websocket.open(behind=frame(BINARY, connect_packet(enrolled)))

        assert answer.status == 101
        assert websocket.read_frame().payload == packet(CONNACK, 0, b"\0\0")


def test_open_after_an_ordinary_request_on_the_same_connection(enrolled: Device) -> None:
    with enrolled.dial_websocket() as websocket:
        answer = websocket.request("GET", "/nowhere")
        assert answer.status == 404

        connected(websocket, enrolled)


def test_open_does_not_offer_compression(enrolled: Device) -> None:
    with enrolled.dial_websocket() as websocket:
        answer = websocket.open(Sec_WebSocket_Extensions="permessage-deflate")

        assert answer.status == 101
        websocket.send(frame(BINARY, b"x", reserved=4))
        expect_closed(websocket, 1002)


REFUSED: dict[str, tuple[str, str | None, dict[str, str | None], int, int, str]] = {
    "amqp": ("/$iothub/websocket", "AMQPWSB10", {}, 501, 501001, "amqp-not-implemented"),
    "amqp-at-its-own-path": (
        "/$servicebus/websocket/",
        "AMQPWSB10",
        {},
        *(501, 501001, "amqp-not-implemented"),
    ),
    "no-subprotocol": ("/", None, {}, 400, 400000, "websocket-subprotocol-missing"),
    "other-subprotocol": ("/", "mqttv3.1, chat", {}, 400, 400000, "websocket-subprotocol-missing"),
    "other-path": ("/mqtt/", "mqtt", {}, 404, 404000, "websocket-path-unknown"),
    "path-of-the-service-api": ("/enrollments", "mqtt", {}, 404, 404000, "websocket-path-unknown"),
    "old-version": (
        *("/", "mqtt", {"Sec_WebSocket_Version": "8"}),
        *(426, 426000, "websocket-version-unknown"),
    ),
    "no-version": (
        *("/", "mqtt", {"Sec_WebSocket_Version": None}),
        *(426, 426000, "websocket-version-unknown"),
    ),
    "no-key": (
        *("/", "mqtt", {"Sec_WebSocket_Key": None}),
        *(400, 400000, "websocket-handshake-malformed"),
    ),
    "short-key": (
        *("/", "mqtt", {"Sec_WebSocket_Key": "AAAA"}),
        *(400, 400000, "websocket-handshake-malformed"),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_open_that_cannot_be_is_refused_in_http_and_recorded(
    make_device: MakeDevice, case: str
) -> None:
    path, subprotocol, headers, status, code, recorded = REFUSED[case]
    device = make_device()
    with device.dial_websocket() as websocket:
        answer = websocket.open(path, subprotocol, **headers)

        assert answer.status == status
        body = answer.json()
        assert body.keys() == {"errorCode", "trackingId", "message", "timestampUtc"}
        assert body["errorCode"] == code
        assert answer["x-ms-request-id"] == body["trackingId"]
        assert answer["connection"] == "close"
        assert ("sec-websocket-version" in answer) == (status == 426)
        assert websocket.is_closed_by_server()
    record = attempt_of(device, recorded)
    assert [stage["name"] for stage in record["stages"]] == ["tls", "websocket"]
    assert record["context"]["transport"] == "websocket"
    assert record["failure"]["remedy"]


def test_open_by_anything_but_get_is_refused(enrolled: Device) -> None:
    with enrolled.dial_websocket() as websocket:
        answer = websocket.request(
            "POST",
            "/",
            Connection="Upgrade",
            Upgrade="websocket",
            Sec_WebSocket_Version="13",
            Sec_WebSocket_Protocol="mqtt",
            Sec_WebSocket_Key="AAAAAAAAAAAAAAAAAAAAAA==",
        )

        assert answer.status == 400
        assert "GET" in answer.json()["message"]


# -- data ---------------------------------------------------------------------------------------


def test_records_say_that_the_device_came_by_websocket(enrolled: Device) -> None:
    with enrolled.dial_websocket() as websocket:
        connected(websocket, enrolled).disconnect()

    record = attempt_of(enrolled, "gone-before-register")
    assert record["context"]["transport"] == "websocket"
    assert record["stages"][0]["name"] == "tls"
    assert record["stages"][0]["detail"] == "TLSv1.3"


def test_packets_may_be_split_and_joined_across_messages_and_frames(enrolled: Device) -> None:
    connect = connect_packet(enrolled)
    with enrolled.dial_websocket() as websocket:
        assert websocket.open().status == 101
        # one packet in three messages, one of them in fragments, one empty
        websocket.send(frame(BINARY, connect[:1]))
        websocket.send(frame(BINARY, connect[1:5], final=False))
        websocket.send(frame(CONTINUATION, b"", final=False))
        websocket.send(frame(CONTINUATION, connect[5:9]))
        websocket.send(frame(BINARY))
        websocket.send(frame(BINARY, connect[9:]))
        assert websocket.read_frame().payload == packet(CONNACK, 0, b"\0\0")
        # two packets in one message, and half of the next
        websocket.send(frame(BINARY, PING_PACKET * 2 + PING_PACKET[:1]))
        answers = websocket.read_frame().payload
        while len(answers) < 2 * len(PONG_PACKET):
            answers += websocket.read_frame().payload
        assert answers == PONG_PACKET * 2
        websocket.send(frame(BINARY, PING_PACKET[1:]))
        assert websocket.read_frame().payload == PONG_PACKET


def test_bytes_of_frames_one_at_a_time_are_understood(enrolled: Device) -> None:
    with enrolled.dial_websocket() as websocket:
        assert websocket.open().status == 101
        for byte in frame(BINARY, connect_packet(enrolled)) + frame(PING, b"now"):
            websocket.send(bytes([byte]))

        answers = {(f.opcode, f.payload) for f in (websocket.read_frame(), websocket.read_frame())}
        assert answers == {(BINARY, packet(CONNACK, 0, b"\0\0")), (PONG, b"now")}


def test_ping_is_answered_also_between_fragments(enrolled: Device) -> None:
    with enrolled.dial_websocket() as websocket:
        connected(websocket, enrolled)

        websocket.send(frame(PING))
        websocket.send(frame(BINARY, PING_PACKET[:1], final=False))
        websocket.send(frame(PING, b"p" * 125))
        websocket.send(frame(PONG, b"unasked"))
        websocket.send(frame(CONTINUATION, PING_PACKET[1:]))

        frames = [websocket.read_frame() for _ in range(3)]
        assert [received.opcode for received in frames] == [PONG, PONG, BINARY]
        assert [received.payload for received in frames] == [b"", b"p" * 125, PONG_PACKET]


def test_message_of_the_largest_size_is_carried(hub_device: Device) -> None:
    topic = f"devices/{hub_device.name}/messages/events/"
    with hub_device.dial_websocket() as websocket:
        assert websocket.open().status == 101
        raw = RawMqttOverWebSocket(websocket)
        assert raw.connect(hub_device.name, hub_device.hub_user_name) == 0

        raw.publish(topic, b"x" * (255 * 1024))

        assert raw.read().packet_id == 1


# -- closing ------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1000, 1001, 3000, None])
def test_close_by_the_client_is_answered_with_its_code(enrolled: Device, code: int | None) -> None:
    payload = b"" if code is None else struct.pack("!H", code) + b"bye"
    with enrolled.dial_websocket() as websocket:
        connected(websocket, enrolled)

        websocket.send(frame(CLOSE, payload))

        answer = websocket.read_frame()
        assert answer.opcode == CLOSE
        assert answer.payload[:2] == payload[:2]
        assert websocket.is_closed_by_server()


def test_packets_ahead_of_a_close_frame_are_taken(hub_device: Device) -> None:
    topic = f"devices/{hub_device.name}/messages/events/"
    with hub_device.dial_websocket() as websocket:
        assert websocket.open().status == 101
        raw = RawMqttOverWebSocket(websocket)
        assert raw.connect(hub_device.name, hub_device.hub_user_name) == 0
        publish = raw.format_publish(topic, b'{"last":1}')

        websocket.send(frame(BINARY, publish) + frame(CLOSE, struct.pack("!H", 1000)))

        while websocket.read_frame().opcode != CLOSE:
            pass
    stored = hub_device.cloud.telemetry(hub_device.name, at_least=1)
    assert [event["body"] for event in stored] == [{"last": 1}]


def test_end_of_mqtt_closes_the_websocket_in_order(enrolled: Device) -> None:
    with enrolled.dial_websocket() as websocket:
        raw = connected(websocket, enrolled)

        raw.send(packet(14, 0, b""))  # DISCONNECT

        expect_closed(websocket, 1000)


def test_close_frame_that_is_not_answered_does_not_hold_the_connection(
    enrolled: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mooring.transport.server_websocket.CLOSE_S", 0.05)
    with enrolled.dial_websocket() as websocket:
        raw = connected(websocket, enrolled)

        raw.send(packet(14, 0, b""))

        assert websocket.read_frame().opcode == CLOSE
        assert websocket.is_closed_by_server()


def test_refused_connect_is_told_before_the_close(make_device: MakeDevice) -> None:
    device = make_device()
    with device.dial_websocket() as websocket:
        assert websocket.open().status == 101
        raw = RawMqttOverWebSocket(websocket)

        assert raw.connect(device.name, "nonsense") == 5

        expect_closed(websocket, 1000)


BREACHES: dict[str, tuple[bytes, int]] = {
    "text": (frame(TEXT, b"CONNECT"), 1003),
    "text-in-fragments": (frame(TEXT, b"CON", final=False), 1003),
    "unmasked": (frame(BINARY, b"x", masked=False), 1002),
    "reserved-bit": (frame(BINARY, b"x", reserved=1), 1002),
    "unknown-opcode": (frame(3, b"x"), 1002),
    "continuation-of-nothing": (frame(CONTINUATION, b"x"), 1002),
    "new-message-inside-another": (frame(BINARY, final=False) + frame(BINARY), 1002),
    "long-ping": (frame(PING, b"x" * 126), 1002),
    "ping-in-fragments": (frame(PING, b"x", final=False), 1002),
    "close-with-half-a-code": (frame(CLOSE, b"\x03"), 1002),
    "close-with-a-code-that-is-not-sent": (frame(CLOSE, struct.pack("!H", 1006)), 1002),
    "frame-too-large": (bytes([0x82, 0xFF]) + struct.pack("!Q", MAX_BYTES + 1), 1009),
    "length-with-the-highest-bit": (bytes([0x82, 0xFF]) + b"\xff" * 8, 1002),
    "pings-without-end": (frame(PING) * (MAX_FRAMES_WITHOUT_DATA + 1), 1008),
    "empty-frames-without-end": (
        frame(BINARY, final=False)
        + frame(CONTINUATION, final=False) * (MAX_FRAMES_WITHOUT_DATA + 1),
        1008,
    ),
}


@pytest.mark.parametrize("case", BREACHES)
@pytest.mark.parametrize("when", ["before-connect", "in-session"])
def test_breach_closes_with_its_code_and_is_recorded(
    make_device: MakeDevice, case: str, when: str
) -> None:
    sent, code = BREACHES[case]
    device = make_device()
    device.cloud.enroll(device.name, device.pem)
    with device.dial_websocket() as websocket:
        assert websocket.open().status == 101
        if when == "in-session":
            raw = RawMqttOverWebSocket(websocket)
            assert raw.connect(device.name, device.dps_user_name) == 0

        websocket.send(sent)

        while (closed := websocket.read_frame()).opcode == PONG:
            pass
        assert (closed.opcode, closed.code) == (CLOSE, code)
        websocket.send(frame(CLOSE, closed.payload[:2]))
        assert websocket.is_closed_by_server()
    record = attempt_of(device, "websocket-broken")
    assert record["failure"]["cause"]
    assert record["failure"]["remedy"]
    assert record["context"]["transport"] == "websocket"


def test_message_that_grows_beyond_the_largest_is_cut_off(enrolled: Device) -> None:
    piece = PING_PACKET * 16384
    with enrolled.dial_websocket() as websocket:
        connected(websocket, enrolled)
        websocket.socket.settimeout(30)

        opcode = BINARY
        for _ in range(MAX_BYTES // len(piece) + 1):
            websocket.send(frame(opcode, piece, final=False))
            opcode = CONTINUATION

        with pytest.raises(ConnectionError):  # noqa: PT012 - answers to pings come first
            while True:
                closed = websocket.read_frame()
                if closed.opcode == CLOSE:
                    assert closed.code == 1009
                    raise ConnectionError
    assert attempt_of(enrolled, "websocket-broken")


def test_websocket_without_connect_is_closed_in_time(cloud: CloudThread, enrolled: Device) -> None:
    with enrolled.dial_websocket() as websocket:
        assert websocket.open().status == 101

        cloud.pass_time(31)

        expect_closed(websocket, 1000)
    assert attempt_of(enrolled, "connect-timeout")["context"]["transport"] == "websocket"


def test_end_of_the_cloud_says_that_the_server_goes_away(
    make_device: MakeDevice, tmp_path: Path
) -> None:
    with cloud_on_thread(tmp_path / "state") as ending:
        device = make_device(of=ending)
        ending.enroll(device.name, device.pem)
        with device.dial_websocket() as websocket:
            connected(websocket, device)
            stopping = threading.Thread(target=ending.stop)
            stopping.start()

            expect_closed(websocket, 1001)
        stopping.join()


def test_client_that_vanishes_leaves_nothing(cloud: CloudThread, enrolled: Device) -> None:
    with enrolled.dial_websocket() as websocket:
        connected(websocket, enrolled)

    wait_for(lambda: cloud.facts["connections"]["https_open"] == 0)
