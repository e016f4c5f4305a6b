"""PUBLISH and its acknowledgements (MQTT 3.1.1 §3.3 to §3.7).

The decoder reads PUBLISH itself, in its loop; see there for the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from mooring.protocol.mqtt.codes import PacketType
from mooring.protocol.mqtt.errors import PacketInvalid
from mooring.protocol.mqtt.primitives import (
    TopicRules,
    encode_packet,
    encode_packet_id,
    encode_topic_name,
    take_packet_id,
)

_RETAIN = 0x01
_QOS_SHIFT = 1
_DUP = 0x08


class Publish(NamedTuple):
    """A message on its way (§3.3).

    A named tuple, unlike the other packets: a server makes one for every message, and a frozen
    dataclass costs several times as much to make (each field passes ``object.__setattr__``).

    Attributes:
        qos: 0, 1 or 2.
        dup: This may be a re-delivery; False for QoS 0 [MQTT-3.3.1-2].
        packet_id: 1 to 65535; None for QoS 0, and for QoS 0 only.
    """

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    dup: bool = False
    packet_id: int | None = None

    @property
    def packet_type(self) -> PacketType:
        """Return `PacketType.PUBLISH`."""
        return PacketType.PUBLISH

    def encode(self, *, literal_wildcards: bool = False) -> bytes:
        """Return the packet's bytes.

        Raises:
            PacketInvalid: A field cannot be sent.
        """
        topic, payload, qos, retain, dup, packet_id = self
        head = encode_topic_name(topic, literal_wildcards=literal_wildcards)
        first_byte = 0x30
        if qos:
            if qos not in (1, 2):
                raise PacketInvalid("qos", f"is {qos}, not 0, 1 or 2", clause="MQTT-3.3.1-4")
            first_byte |= qos << _QOS_SHIFT
            head += encode_packet_id(packet_id)
            if dup:
                first_byte |= _DUP
        elif packet_id is not None:
            raise PacketInvalid("packet_id", "is given with QoS 0", clause="MQTT-2.3.1-5")
        elif dup:
            raise PacketInvalid("dup", "is True with QoS 0", clause="MQTT-3.3.1-2")
        if retain:
            first_byte |= _RETAIN
        return encode_packet(first_byte, head + payload)


def publish_flags(first_byte: int) -> tuple[int, bool, bool] | None:
    """Return qos, retain and dup of a PUBLISH's first byte; None when they are illegal."""
    qos = first_byte >> _QOS_SHIFT & 3
    dup = bool(first_byte & _DUP)
    # QoS 3 is reserved [MQTT-3.3.1-4]; QoS 0 is never re-delivered [MQTT-3.3.1-2].
    if qos == 3 or (dup and not qos):
        return None
    return qos, bool(first_byte & _RETAIN), dup


@dataclass(frozen=True, slots=True)
class PacketIdOnly:
    """What packets share that hold a packet identifier, 1 to 65535, and nothing else."""

    packet_id: int

    packet_type: ClassVar[PacketType]
    first_byte: ClassVar[int]

    def encode(self) -> bytes:
        """Return the packet's bytes.

        Raises:
            PacketInvalid: The packet identifier is out of range.
        """
        return bytes((self.first_byte, 2)) + encode_packet_id(self.packet_id)


class PubAck(PacketIdOnly):
    """Answer to a PUBLISH of QoS 1 (§3.4)."""

    __slots__ = ()
    packet_type = PacketType.PUBACK
    first_byte = 0x40


class PubRec(PacketIdOnly):
    """First answer to a PUBLISH of QoS 2 (§3.5)."""

    __slots__ = ()
    packet_type = PacketType.PUBREC
    first_byte = 0x50


class PubRel(PacketIdOnly):
    """The sender's answer to PUBREC (§3.6)."""

    __slots__ = ()
    packet_type = PacketType.PUBREL
    first_byte = 0x62  # flags 0010 [MQTT-3.6.1-1]


class PubComp(PacketIdOnly):
    """The end of a QoS 2 exchange (§3.7)."""

    __slots__ = ()
    packet_type = PacketType.PUBCOMP
    first_byte = 0x70


def decode_puback(body: bytes, _rules: TopicRules) -> PubAck:
    """Return the PUBACK in `body`, which has two bytes."""
    return PubAck(take_packet_id(body, 0)[0])


def decode_pubrec(body: bytes, _rules: TopicRules) -> PubRec:
    """Return the PUBREC in `body`, which has two bytes."""
    return PubRec(take_packet_id(body, 0)[0])


def decode_pubrel(body: bytes, _rules: TopicRules) -> PubRel:
    """Return the PUBREL in `body`, which has two bytes."""
    return PubRel(take_packet_id(body, 0)[0])


def decode_pubcomp(body: bytes, _rules: TopicRules) -> PubComp:
    """Return the PUBCOMP in `body`, which has two bytes."""
    return PubComp(take_packet_id(body, 0)[0])
