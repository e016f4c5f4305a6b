"""What the first bytes of a packet alone decide (MQTT 3.1.1 §2.2).

A packet whose fixed header is illegal is refused before its body has come.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mooring.protocol.mqtt.codes import PacketType
from mooring.protocol.mqtt.errors import PacketMalformed
from mooring.protocol.mqtt.limits import (
    MAX_REMAINING_LENGTH_BYTES,
    MAX_REMAINING_LENGTH_FIELD_BYTES,
)
from mooring.protocol.mqtt.packets import Packet
from mooring.protocol.mqtt.packets.bare import (
    decode_disconnect,
    decode_pingreq,
    decode_pingresp,
)
from mooring.protocol.mqtt.packets.connect import decode_connack, decode_connect
from mooring.protocol.mqtt.packets.publish import (
    decode_puback,
    decode_pubcomp,
    decode_pubrec,
    decode_pubrel,
    publish_flags,
)
from mooring.protocol.mqtt.packets.subscribe import (
    decode_suback,
    decode_subscribe,
    decode_unsuback,
    decode_unsubscribe,
)
from mooring.protocol.mqtt.primitives import TopicRules

_ANY = MAX_REMAINING_LENGTH_BYTES


@dataclass(frozen=True, slots=True)
class _Kind:
    """Fixed header of one packet type: legal flags, and bounds of the remaining length."""

    flags: int
    min_length: int
    max_length: int
    decode: Callable[[bytes, TopicRules], Packet]


# Flags from table 2.2 [MQTT-2.2.2-1]; the least lengths add up the mandatory fields: a filter
# has at least one character behind its two length bytes. PUBLISH, with flags of its own, is not
# here.
_KINDS: dict[PacketType, _Kind] = {
    PacketType.CONNECT: _Kind(0, 12, _ANY, decode_connect),
    PacketType.CONNACK: _Kind(0, 2, 2, decode_connack),
    PacketType.PUBACK: _Kind(0, 2, 2, decode_puback),
    PacketType.PUBREC: _Kind(0, 2, 2, decode_pubrec),
    PacketType.PUBREL: _Kind(2, 2, 2, decode_pubrel),
    PacketType.PUBCOMP: _Kind(0, 2, 2, decode_pubcomp),
    PacketType.SUBSCRIBE: _Kind(2, 6, _ANY, decode_subscribe),
    PacketType.SUBACK: _Kind(0, 3, _ANY, decode_suback),
    PacketType.UNSUBSCRIBE: _Kind(2, 5, _ANY, decode_unsubscribe),
    PacketType.UNSUBACK: _Kind(0, 2, 2, decode_unsuback),
    PacketType.PINGREQ: _Kind(0, 0, 0, decode_pingreq),
    PacketType.PINGRESP: _Kind(0, 0, 0, decode_pingresp),
    PacketType.DISCONNECT: _Kind(0, 0, 0, decode_disconnect),
}

PUBLISH_FLAGS: tuple[tuple[int, bool, bool] | None, ...] = tuple(
    publish_flags(first_byte) if first_byte >> 4 == PacketType.PUBLISH else None
    for first_byte in range(256)
)
"""By first byte: qos, retain and dup of a legal PUBLISH; None for all else."""

# Topic length and one character; with QoS 1 or 2 a packet identifier, too.
_PUBLISH_MIN_LENGTHS = (3, 5, 5)

# Why a body that is too short or too long for its type cannot be legal, where the
# specification has a sentence of its own for it.
_TOO_SHORT_CLAUSES = {
    PacketType.SUBSCRIBE: "MQTT-3.8.3-3",
    PacketType.UNSUBSCRIBE: "MQTT-3.10.3-2",
    PacketType.PUBLISH: "MQTT-4.7.3-1",
}


def check_first_byte(first_byte: int) -> None:
    """Refuse reserved packet types and illegal flags.

    Raises:
        PacketMalformed: No packet starts with this byte.
    """
    if PUBLISH_FLAGS[first_byte] is not None:
        return
    number = first_byte >> 4
    flags = first_byte & 0x0F
    if number == PacketType.PUBLISH:
        if flags & 0x06 == 0x06:
            raise PacketMalformed("PUBLISH has QoS 3", clause="MQTT-3.3.1-4")
        raise PacketMalformed("PUBLISH has the DUP flag with QoS 0", clause="MQTT-3.3.1-2")
    if number in (0, 15):
        raise PacketMalformed(f"packet type {number} is reserved", clause="§2.2.1")
    packet_type = PacketType(number)
    legal_flags = _KINDS[packet_type].flags
    if flags != legal_flags:
        raise PacketMalformed(
            f"{packet_type.name} has flags {flags:04b}, not {legal_flags:04b}",
            clause="MQTT-2.2.2-2",
        )


def check_length(first_byte: int, length: int) -> None:
    """Refuse a remaining length that the type of a legal first byte cannot have.

    Raises:
        PacketMalformed: Too short for the mandatory fields, or longer than a fixed size.
    """
    packet_type = PacketType(first_byte >> 4)
    flags = PUBLISH_FLAGS[first_byte]
    if flags is not None:
        min_length, max_length = _PUBLISH_MIN_LENGTHS[flags[0]], _ANY
    else:
        kind = _KINDS[packet_type]
        min_length, max_length = kind.min_length, kind.max_length
    if length < min_length:
        raise PacketMalformed(
            f"{packet_type.name} has remaining length {length}, less than {min_length}",
            clause=_TOO_SHORT_CLAUSES.get(packet_type, "MQTT-4.8.0-1"),
        )
    if length > max_length:
        raise PacketMalformed(
            f"{packet_type.name} has remaining length {length}, more than {max_length}",
            clause="MQTT-4.8.0-1",
        )


def take_header(data: bytes, position: int) -> tuple[int, int] | None:
    """Return where the body starts and its length; None when more bytes are needed.

    Longer encodings than necessary are taken: 3.1.1, unlike 5.0, does not forbid them.

    Raises:
        PacketMalformed: A fifth length byte is announced.
    """
    length = 0
    last = position + MAX_REMAINING_LENGTH_FIELD_BYTES
    for index in range(position + 1, min(len(data), last + 1)):
        byte = data[index]
        length |= (byte & 0x7F) << 7 * (index - position - 1)
        if byte < 0x80:
            return index + 1, length
    if len(data) > last:
        raise PacketMalformed("remaining length has more than four bytes", clause="§2.2.3")
    return None


def decode_body(first_byte: int, body: bytes, rules: TopicRules) -> Packet:
    """Return the packet, not a PUBLISH, of a complete `body`.

    Raises:
        PeerError: The packet is malformed, too large, or of another version of MQTT.
    """
    check_first_byte(first_byte)
    check_length(first_byte, len(body))
    return _KINDS[PacketType(first_byte >> 4)].decode(body, rules)
