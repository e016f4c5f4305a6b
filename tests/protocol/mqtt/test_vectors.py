"""The byte traces of tests/vectors/mqtt, decoded and encoded exactly."""

from __future__ import annotations

from pathlib import Path

import pytest

from mooring.protocol.mqtt import (
    ConnAck,
    Connect,
    Decoder,
    Packet,
    PubAck,
    Publish,
    SubAck,
    Subscribe,
    Subscription,
)

VECTORS = Path(__file__).parents[2] / "vectors" / "mqtt" / "dps_individual_x509.hex"

EXPECTED: list[tuple[str, Packet]] = [
    (
        "C CONNECT",
        Connect(
            client_id="gw01",
            clean_session=True,
            keep_alive_s=60,
            user_name="0ne00HAWSER/registrations/gw01/api-version=2019-03-31",
        ),
    ),
    ("S CONNACK", ConnAck()),
    ("C SUBSCRIBE", Subscribe(1, (Subscription("$dps/registrations/res/#", 1),))),
    ("S SUBACK", SubAck(1, (1,))),
    (
        "C PUBLISH",
        Publish(
            "$dps/registrations/PUT/iotdps-register/?$rid=7",
            b'{"registrationId":"gw01"}',
            qos=1,
            packet_id=2,
        ),
    ),
    ("S PUBACK", PubAck(2)),
    (
        "S PUBLISH",
        Publish(
            "$dps/registrations/res/202/?$rid=7&retry-after=3",
            b'{"operationId":"4.0123456789abcdef.7d0f","status":"assigning"}',
            qos=1,
            packet_id=1,
        ),
    ),
    ("C PUBACK", PubAck(1)),
]


def trace() -> list[tuple[str, bytes]]:
    """Return the packets of the trace: direction and name, bytes."""
    lines = VECTORS.read_text(encoding="ascii").splitlines()
    fields = [line.split() for line in lines if line and not line.startswith("#")]
    return [(f"{direction} {name}", bytes.fromhex(wire)) for direction, name, wire in fields]


def test_trace_names_every_expected_packet() -> None:
    assert [name for name, _ in trace()] == [name for name, _ in EXPECTED]


@pytest.mark.parametrize(
    ("wire", "packet"),
    [(wire, packet) for (_, wire), (_, packet) in zip(trace(), EXPECTED, strict=True)],
    ids=[f"{index} {name}" for index, (name, _) in enumerate(EXPECTED)],
)
class TestTrace:
    def test_decode_of_vector_gives_the_packet(self, wire: bytes, packet: Packet) -> None:
        assert Decoder().feed(wire) == [packet]

    def test_encode_of_packet_gives_the_vector(self, wire: bytes, packet: Packet) -> None:
        assert packet.encode() == wire


def test_decode_of_whole_trace_gives_all_packets() -> None:
    wire = b"".join(wire for _, wire in trace())
    assert Decoder().feed(wire) == [packet for _, packet in EXPECTED]
