"""SUBSCRIBE, UNSUBSCRIBE and their acknowledgements (MQTT 3.1.1 §3.8 to §3.11)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from mooring.protocol.mqtt.codes import PacketType, SubAckCode
from mooring.protocol.mqtt.errors import PacketInvalid, PacketMalformed
from mooring.protocol.mqtt.limits import MAX_FILTERS_PER_PACKET
from mooring.protocol.mqtt.packets.publish import PacketIdOnly
from mooring.protocol.mqtt.primitives import (
    TopicRules,
    encode_packet,
    encode_packet_id,
    encode_topic_filter,
    take_packet_id,
    take_topic_filter,
)


class Subscription(NamedTuple):
    """One topic filter and the largest QoS (0, 1 or 2) wanted under it."""

    topic_filter: str
    qos: int


@dataclass(frozen=True, slots=True)
class Subscribe:
    """A wish for messages (§3.8). The order of `subscriptions` is that of the answer's codes."""

    packet_type: ClassVar[PacketType] = PacketType.SUBSCRIBE

    packet_id: int
    subscriptions: tuple[Subscription, ...]

    def encode(self, *, literal_wildcards: bool = False) -> bytes:
        """Return the packet's bytes.

        Raises:
            PacketInvalid: A field cannot be sent.
        """
        if not self.subscriptions:
            raise PacketInvalid("subscriptions", "is empty", clause="MQTT-3.8.3-3")
        parts = [encode_packet_id(self.packet_id)]
        for topic_filter, qos in self.subscriptions:
            if qos not in (0, 1, 2):
                raise PacketInvalid("qos", f"is {qos}, not 0, 1 or 2", clause="MQTT-3.8.3-4")
            parts.append(encode_topic_filter(topic_filter, literal_wildcards=literal_wildcards))
            parts.append(bytes((qos,)))
        return encode_packet(0x82, b"".join(parts))  # flags 0010 [MQTT-3.8.1-1]


def decode_subscribe(body: bytes, rules: TopicRules) -> Subscribe:
    """Return the SUBSCRIBE in `body`."""
    packet_id, position = take_packet_id(body, 0)
    subscriptions: list[Subscription] = []
    while position < len(body):
        _check_filter_count(len(subscriptions))
        topic_filter, position = take_topic_filter(body, position, rules)
        if position == len(body):
            raise PacketMalformed("packet ends within a requested QoS", clause="§3.8.3")
        if body[position] > 2:
            raise PacketMalformed(
                f"requested QoS byte is 0x{body[position]:02x}, not 0, 1 or 2",
                clause="MQTT-3.8.3-4",
            )
        subscriptions.append(Subscription(topic_filter, body[position]))
        position += 1
    return Subscribe(packet_id, tuple(subscriptions))


@dataclass(frozen=True, slots=True)
class SubAck:
    """The answer to a SUBSCRIBE: one code for each filter, in its order [MQTT-3.9.3-1].

    Attributes:
        codes: `SubAckCode` values.
    """

    packet_type: ClassVar[PacketType] = PacketType.SUBACK

    packet_id: int
    codes: tuple[int, ...]

    def encode(self) -> bytes:
        """Return the packet's bytes.

        Raises:
            PacketInvalid: A field cannot be sent.
        """
        if not self.codes:
            raise PacketInvalid("codes", "is empty", clause="MQTT-3.8.4-5")
        for code in self.codes:
            if code not in _SUBACK_CODES:
                raise PacketInvalid("codes", f"contains {code!r}", clause="MQTT-3.9.3-2")
        return encode_packet(0x90, encode_packet_id(self.packet_id) + bytes(self.codes))


_SUBACK_CODES = frozenset(int(code) for code in SubAckCode)


def decode_suback(body: bytes, _rules: TopicRules) -> SubAck:
    """Return the SUBACK in `body`."""
    packet_id, position = take_packet_id(body, 0)
    codes = body[position:]
    for code in codes:
        if code not in _SUBACK_CODES:
            raise PacketMalformed(f"return code 0x{code:02x} is reserved", clause="MQTT-3.9.3-2")
    return SubAck(packet_id, tuple(SubAckCode(code) for code in codes))


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """The end of a wish for messages (§3.10)."""

    packet_type: ClassVar[PacketType] = PacketType.UNSUBSCRIBE

    packet_id: int
    topic_filters: tuple[str, ...]

    def encode(self, *, literal_wildcards: bool = False) -> bytes:
        """Return the packet's bytes.

        Raises:
            PacketInvalid: A field cannot be sent.
        """
        if not self.topic_filters:
            raise PacketInvalid("topic_filters", "is empty", clause="MQTT-3.10.3-2")
        parts = [encode_packet_id(self.packet_id)]
        parts += [
            encode_topic_filter(topic_filter, literal_wildcards=literal_wildcards)
            for topic_filter in self.topic_filters
        ]
        return encode_packet(0xA2, b"".join(parts))  # flags 0010 [MQTT-3.10.1-1]


def decode_unsubscribe(body: bytes, rules: TopicRules) -> Unsubscribe:
    """Return the UNSUBSCRIBE in `body`."""
    packet_id, position = take_packet_id(body, 0)
    topic_filters: list[str] = []
    while position < len(body):
        _check_filter_count(len(topic_filters))
        topic_filter, position = take_topic_filter(body, position, rules)
        topic_filters.append(topic_filter)
    return Unsubscribe(packet_id, tuple(topic_filters))


class UnsubAck(PacketIdOnly):
    """The answer to an UNSUBSCRIBE (§3.11)."""

    __slots__ = ()
    packet_type = PacketType.UNSUBACK
    first_byte = 0xB0


def decode_unsuback(body: bytes, _rules: TopicRules) -> UnsubAck:
    """Return the UNSUBACK in `body`, which has two bytes."""
    return UnsubAck(take_packet_id(body, 0)[0])


def _check_filter_count(count: int) -> None:
    if count >= MAX_FILTERS_PER_PACKET:
        raise PacketMalformed(f"packet has more than {MAX_FILTERS_PER_PACKET} topic filters")
