"""Packets refuse to be encoded with values that the specification forbids."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from tests.support.mqtt_packets import packets

from mooring.protocol.mqtt import (
    ConnAck,
    Connect,
    ConnectReturnCode,
    Decoder,
    Packet,
    PacketInvalid,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Subscription,
    UnsubAck,
    Unsubscribe,
    Will,
)
from mooring.protocol.mqtt.limits import MAX_REMAINING_LENGTH_BYTES
from mooring.protocol.mqtt.primitives import encode_remaining_length

FORBIDDEN: dict[str, tuple[Packet, str, str | None]] = {
    "keep-alive too long": (Connect("a", keep_alive_s=65536), "keep_alive_s", None),
    "keep-alive negative": (Connect("a", keep_alive_s=-1), "keep_alive_s", None),
    "no client id in a kept session": (
        Connect("", clean_session=False),
        "client_id",
        "MQTT-3.1.3-7",
    ),
    "password without user name": (Connect("a", password=b"p"), "password", "MQTT-3.1.2-22"),
    "U+0000 in client id": (Connect("a\0"), "client_id", "MQTT-1.5.3-2"),
    "surrogate in user name": (Connect("a", user_name="\ud800"), "user_name", "MQTT-1.5.3-1"),
    "password too long": (
        Connect("a", user_name="u", password=b"p" * 65536),
        "password",
        None,
    ),
    "client id too long": (Connect("ä" * 32768), "client_id", None),
    "will QoS 3": (Connect("a", will=Will("t", b"", qos=3)), "will.qos", "MQTT-3.1.2-14"),
    "will topic empty": (Connect("a", will=Will("", b"")), "topic", "MQTT-4.7.3-1"),
    "will topic with wildcard": (Connect("a", will=Will("#", b"")), "topic", "MQTT-3.3.2-2"),
    "will payload too long": (
        Connect("a", will=Will("t", b"x" * 65536)),
        "will.payload",
        None,
    ),
    "refusal with a session": (
        ConnAck(ConnectReturnCode.NOT_AUTHORIZED, session_present=True),
        "session_present",
        "MQTT-3.2.2-4",
    ),
    "topic empty": (Publish("", b""), "topic", "MQTT-4.7.3-1"),
    "topic with +": (Publish("a+", b""), "topic", "MQTT-3.3.2-2"),
    "topic with U+0000": (Publish("a\0", b""), "topic", "MQTT-1.5.3-2"),
    "topic too long": (Publish("t" * 65536, b""), "topic", None),
    "QoS 3": (Publish("t", b"", qos=3, packet_id=1), "qos", "MQTT-3.3.1-4"),
    "QoS 0 with packet id": (Publish("t", b"", packet_id=1), "packet_id", "MQTT-2.3.1-5"),
    "QoS 0 with dup": (Publish("t", b"", dup=True), "dup", "MQTT-3.3.1-2"),
    "QoS 1 without packet id": (Publish("t", b"", qos=1), "packet id", "MQTT-2.3.1-1"),
    "QoS 1 with packet id 0": (
        Publish("t", b"", qos=1, packet_id=0),
        "packet id",
        "MQTT-2.3.1-1",
    ),
    "PUBACK 0": (PubAck(0), "packet id", "MQTT-2.3.1-1"),
    "PUBREC 65536": (PubRec(65536), "packet id", "MQTT-2.3.1-1"),
    "PUBREL -1": (PubRel(-1), "packet id", "MQTT-2.3.1-1"),
    "PUBCOMP 0": (PubComp(0), "packet id", "MQTT-2.3.1-1"),
    "UNSUBACK 0": (UnsubAck(0), "packet id", "MQTT-2.3.1-1"),
    "SUBSCRIBE to nothing": (Subscribe(1, ()), "subscriptions", "MQTT-3.8.3-3"),
    "SUBSCRIBE with QoS 3": (
        Subscribe(1, (Subscription("t", 3),)),
        "qos",
        "MQTT-3.8.3-4",
    ),
    "SUBSCRIBE to a+": (
        Subscribe(1, (Subscription("a+", 0),)),
        "topic filter",
        "MQTT-4.7.1-3",
    ),
    "SUBACK without codes": (SubAck(1, ()), "codes", "MQTT-3.8.4-5"),
    "SUBACK with code 3": (SubAck(1, (3,)), "codes", "MQTT-3.9.3-2"),
    "UNSUBSCRIBE from nothing": (Unsubscribe(1, ()), "topic_filters", "MQTT-3.10.3-2"),
    "UNSUBSCRIBE from #/a": (Unsubscribe(1, ("#/a",)), "topic filter", "MQTT-4.7.1-2"),
}


@pytest.mark.parametrize(("packet", "field", "clause"), FORBIDDEN.values(), ids=list(FORBIDDEN))
def test_encode_of_forbidden_values_names_field_and_clause(
    packet: Packet, field: str, clause: str | None
) -> None:
    with pytest.raises(PacketInvalid) as caught:
        packet.encode()
    assert caught.value.field == field
    assert caught.value.clause == clause
    assert field in caught.value.message
    assert field in caught.value.remedy


@given(packets)
def test_encode_then_decode_of_any_packet_gives_it_back(packet: Packet) -> None:
    assert Decoder().feed(packet.encode()) == [packet]


@given(packets)
def test_packet_type_of_any_packet_is_that_of_its_first_byte(packet: Packet) -> None:
    assert packet.packet_type == packet.encode()[0] >> 4


@pytest.mark.parametrize(
    ("length", "encoded"),
    [
        (0, "00"),
        (127, "7f"),
        (128, "8001"),
        (16_383, "ff7f"),
        (16_384, "808001"),
        (2_097_151, "ffff7f"),
        (2_097_152, "80808001"),
        (268_435_455, "ffffff7f"),
    ],
)
def test_remaining_length_at_its_bounds_is_that_of_table_2_4(length: int, encoded: str) -> None:
    assert encode_remaining_length(length) == bytes.fromhex(encoded)


def test_remaining_length_beyond_four_bytes_is_refused() -> None:
    with pytest.raises(PacketInvalid, match="268435456"):
        encode_remaining_length(MAX_REMAINING_LENGTH_BYTES + 1)


def test_password_is_not_shown() -> None:
    assert "secret" not in repr(Connect("a", user_name="u", password=b"secret"))


@pytest.mark.parametrize("make", [PubAck, PubRec, PubRel, PubComp, UnsubAck])
def test_packets_that_hold_only_an_id_differ_by_type(make: Callable[[int], Packet]) -> None:
    others = {PubAck, PubRec, PubRel, PubComp, UnsubAck} - {make}
    assert make(1) == make(1)
    assert all(make(1) != other(1) for other in others)
