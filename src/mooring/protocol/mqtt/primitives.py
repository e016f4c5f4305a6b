"""The data representations that packets are made of (MQTT 3.1.1 §1.5, §2.2.3, §4.7).

Decoding works on an immutable body with a position; ``take_…`` returns ``(value, next position)``
and raises `PacketMalformed` when the body ends too early: a body is always complete, so a missing
byte in it never comes later. Encoding refuses what the rules forbid with `PacketInvalid`.
"""

from __future__ import annotations

from dataclasses import dataclass

from mooring.protocol.mqtt.errors import PacketInvalid, PacketMalformed, PacketTooLarge
from mooring.protocol.mqtt.limits import (
    MAX_FIELD_BYTES,
    MAX_PACKET_ID,
    MAX_REMAINING_LENGTH_BYTES,
    MAX_TOPIC_BYTES,
)


@dataclass(frozen=True, slots=True)
class TopicRules:
    """How strictly topics of the peer are taken.

    Attributes:
        max_topic_bytes: Largest topic name or filter, bytes.
        literal_wildcards: Take ``+`` and ``#`` as ordinary characters anywhere. Azure: device ids
            may contain both and are pasted into topics as they are, against [MQTT-3.3.2-2] and
            [MQTT-4.7.1-3].
    """

    max_topic_bytes: int = MAX_TOPIC_BYTES
    literal_wildcards: bool = False


def encode_packet(first_byte: int, body: bytes) -> bytes:
    """Return `body` behind its fixed header (§2.2).

    Raises:
        PacketInvalid: The body is larger than the remaining length can say.
    """
    length = len(body)
    if length < 0x80:
        return bytes((first_byte, length)) + body
    if length < 0x4000:
        return bytes((first_byte, length & 0x7F | 0x80, length >> 7)) + body
    return bytes((first_byte,)) + encode_remaining_length(length) + body


def encode_remaining_length(length: int) -> bytes:
    """Return `length` in 1 to 4 bytes, 7 bits each, least significant first (§2.2.3)."""
    if length > MAX_REMAINING_LENGTH_BYTES:
        raise PacketInvalid(
            "packet", f"has {length} bytes after its fixed header, more than 268435455",
            clause="§2.2.3",
        )  # fmt: skip
    encoded = bytearray()
    while length > 0x7F:
        encoded.append(length & 0x7F | 0x80)
        length >>= 7
    encoded.append(length)
    return bytes(encoded)


def encode_binary(value: bytes, field: str) -> bytes:
    """Return `value` behind its 16-bit length."""
    size = len(value)
    if size > MAX_FIELD_BYTES:
        raise PacketInvalid(field, f"has {size} bytes, more than {MAX_FIELD_BYTES}")
    return size.to_bytes(2, "big") + value


def encode_string(value: str, field: str) -> bytes:
    """Return `value` as UTF-8 behind its 16-bit length (§1.5.3)."""
    if "\0" in value:
        raise PacketInvalid(field, "contains U+0000", clause="MQTT-1.5.3-2")
    try:
        encoded = value.encode()
    except UnicodeEncodeError as error:
        raise PacketInvalid(field, "contains a surrogate", clause="MQTT-1.5.3-1") from error
    return encode_binary(encoded, field)


def encode_topic_name(topic: str, *, literal_wildcards: bool = False) -> bytes:
    """Return the topic name of a PUBLISH or will, checked (§4.7)."""
    if not literal_wildcards and ("+" in topic or "#" in topic):
        raise PacketInvalid("topic", "contains a wildcard, + or #", clause="MQTT-3.3.2-2")
    if not topic:
        raise PacketInvalid("topic", "is empty", clause="MQTT-4.7.3-1")
    return encode_string(topic, "topic")


def encode_topic_filter(topic_filter: str, *, literal_wildcards: bool = False) -> bytes:
    """Return the topic filter of a SUBSCRIBE or UNSUBSCRIBE, checked (§4.7)."""
    fault = topic_filter_fault(topic_filter, literal_wildcards=literal_wildcards)
    if fault is not None:
        raise PacketInvalid("topic filter", fault[0], clause=fault[1])
    return encode_string(topic_filter, "topic filter")


def encode_packet_id(packet_id: int | None) -> bytes:
    """Return `packet_id`, 1 to 65535, as two bytes (§2.3.1)."""
    if packet_id is None or not 0 < packet_id <= MAX_PACKET_ID:
        raise PacketInvalid(
            "packet id", f"is {packet_id}, not 1 to {MAX_PACKET_ID}", clause="MQTT-2.3.1-1"
        )
    return packet_id.to_bytes(2, "big")


def take_uint16(body: bytes, position: int, field: str) -> tuple[int, int]:
    """Take a big-endian 16-bit number."""
    if position + 2 > len(body):
        raise PacketMalformed(f"packet ends within {field}", clause="§1.5.2")
    return body[position] << 8 | body[position + 1], position + 2


def take_packet_id(body: bytes, position: int) -> tuple[int, int]:
    """Take a packet identifier, which is never 0."""
    packet_id, position = take_uint16(body, position, "packet id")
    if packet_id == 0:
        raise PacketMalformed("packet id is 0", clause="MQTT-2.3.1-1")
    return packet_id, position


def take_binary(
    body: bytes, position: int, field: str, *, limit_bytes: int = MAX_FIELD_BYTES
) -> tuple[bytes, int]:
    """Take a field with a 16-bit length.

    Raises:
        PacketTooLarge: It has more than `limit_bytes`.
    """
    size, position = take_uint16(body, position, f"the length of {field}")
    stop = position + size
    if stop > len(body):
        raise PacketMalformed(
            f"{field} claims {size} bytes, the packet has {len(body) - position} left",
            clause="§1.5.3",
        )
    if size > limit_bytes:
        raise PacketTooLarge(field, size, limit_bytes)
    return body[position:stop], stop


def take_string(
    body: bytes, position: int, field: str, *, limit_bytes: int = MAX_FIELD_BYTES
) -> tuple[str, int]:
    """Take a UTF-8 string with a 16-bit length."""
    encoded, position = take_binary(body, position, field, limit_bytes=limit_bytes)
    return decode_text(encoded, field), position


def take_topic_filter(body: bytes, position: int, rules: TopicRules) -> tuple[str, int]:
    """Take a topic filter with legal wildcards."""
    topic_filter, position = take_string(
        body, position, "topic filter", limit_bytes=rules.max_topic_bytes
    )
    fault = topic_filter_fault(topic_filter, literal_wildcards=rules.literal_wildcards)
    if fault is not None:
        raise PacketMalformed(f"topic filter {fault[0]}", clause=fault[1])
    return topic_filter, position


def decode_text(encoded: bytes, field: str) -> str:
    """Return `encoded` as text (§1.5.3).

    A byte order mark stays: it is U+FEFF like any other character [MQTT-1.5.3-3]. Control
    characters and non-characters are let through, as the rule on them is a SHOULD.
    """
    try:
        text = encoded.decode()
    except UnicodeDecodeError as error:
        raise PacketMalformed(f"{field} is not well-formed UTF-8", clause="MQTT-1.5.3-1") from error
    if "\0" in text:
        raise PacketMalformed(f"{field} contains U+0000", clause="MQTT-1.5.3-2")
    return text


def decode_topic_name(encoded: bytes, rules: TopicRules) -> str:
    """Return the topic name of a PUBLISH or will, checked (§4.7)."""
    if len(encoded) > rules.max_topic_bytes:
        raise PacketTooLarge("topic name", len(encoded), rules.max_topic_bytes)
    # Written out, not through decode_text: this runs for every message with a topic of its own.
    try:
        topic = encoded.decode()
    except UnicodeDecodeError:
        return decode_text(encoded, "topic name")
    if not topic:
        raise PacketMalformed("topic name is empty", clause="MQTT-4.7.3-1")
    if "\0" in topic:
        return decode_text(encoded, "topic name")
    if ("+" in topic or "#" in topic) and not rules.literal_wildcards:
        raise PacketMalformed("topic name contains a wildcard, + or #", clause="MQTT-3.3.2-2")
    return topic


def topic_filter_fault(
    topic_filter: str, *, literal_wildcards: bool = False
) -> tuple[str, str] | None:
    """Return what is wrong with a topic filter and the clause it breaks; None when legal."""
    if not topic_filter:
        return "is empty", "MQTT-4.7.3-1"
    if literal_wildcards:
        return None
    if "#" not in topic_filter and "+" not in topic_filter:
        return None
    levels = topic_filter.split("/")
    for level in levels[:-1]:
        if "#" in level:
            return "has a # that is not its last level", "MQTT-4.7.1-2"
    if "#" in levels[-1] and levels[-1] != "#":
        return "has a # that shares its level with other characters", "MQTT-4.7.1-2"
    if any("+" in level and level != "+" for level in levels):
        return "has a + that shares its level with other characters", "MQTT-4.7.1-3"
    return None
