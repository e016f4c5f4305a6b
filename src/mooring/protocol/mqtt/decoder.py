"""From bytes to packets, however the bytes are cut.

"Not yet" is no packet and no error; "never" raises, as early as the bytes at hand allow: an
illegal first byte at once, an oversize packet once its length is known.
"""

from __future__ import annotations

from collections.abc import Collection

from mooring.protocol.mqtt.codes import PacketType
from mooring.protocol.mqtt.errors import PacketMalformed, PacketTooLarge, PeerError
from mooring.protocol.mqtt.headers import (
    PUBLISH_FLAGS,
    check_first_byte,
    check_length,
    decode_body,
    take_header,
)
from mooring.protocol.mqtt.limits import (
    MAX_PACKET_BYTES,
    MAX_REMEMBERED_TOPIC_BYTES,
    MAX_TOPIC_BYTES,
)
from mooring.protocol.mqtt.packets import Packet, Publish
from mooring.protocol.mqtt.primitives import TopicRules, decode_topic_name

# A legal topic field to compare with until the first PUBLISH has come.
_FIRST_TOPIC = "/"
_FIRST_TOPIC_FIELD = b"\x00\x01/"

# Topic length, one character, packet identifier: below it the length alone may be the fault.
_SHORTEST_PUBLISH_BODY = 5


class Decoder:
    """Cuts a byte stream into packets of either direction.

    The bytes of an unfinished packet are kept, at most `max_packet_bytes` of them.
    """

    __slots__ = (
        "_fault",
        "_needed",
        "_pending",
        "_rules",
        "_stops_after",
        "_topic",
        "_topic_field",
        "max_packet_bytes",
    )

    def __init__(
        self,
        *,
        max_packet_bytes: int = MAX_PACKET_BYTES,
        max_topic_bytes: int = MAX_TOPIC_BYTES,
        literal_wildcards: bool = False,
        stops_after: Collection[PacketType] = (),
    ) -> None:
        """Start without bytes.

        Args:
            max_packet_bytes: Largest packet, fixed header included, bytes. May be changed between
                feeds; a packet that is being received was measured when its header came.
            max_topic_bytes: Largest topic name or filter, bytes.
            literal_wildcards: See `TopicRules`.
            stops_after: Packet types that end a feed; what follows waits, unread, for the next
                feed, because what such a packet means must be decided first.
        """
        self.max_packet_bytes = max_packet_bytes
        self._rules = TopicRules(max_topic_bytes, literal_wildcards)
        self._stops_after = frozenset(stops_after)
        self._pending = bytearray()
        self._needed = 0
        self._fault: PeerError | None = None
        # Devices repeat one topic: its bytes are compared before they are decoded anew.
        self._topic = _FIRST_TOPIC
        self._topic_field = _FIRST_TOPIC_FIELD

    @property
    def pending_bytes(self) -> int:
        """Return how many bytes wait for the rest of their packet."""
        return len(self._pending)

    @property
    def pending_type(self) -> PacketType | None:
        """Return the type of the packet that is being received; None between packets."""
        return PacketType(self._pending[0] >> 4) if self._pending else None

    def hold(self, data: bytes | bytearray | memoryview) -> None:
        """Keep `data` unread for a later feed, without a bound: the caller counts."""
        self._pending += data
        self._needed = 0

    def discard(self) -> None:
        """Forget all bytes kept."""
        self._pending.clear()
        self._needed = 0

    def feed(self, data: bytes | bytearray | memoryview) -> list[Packet]:
        """Return the packets that `data` completes, in order; none is no error.

        Raises:
            PeerError: `PacketMalformed`, `PacketTooLarge` or `ProtocolLevelUnsupported`; packets
                before the fault are in its `preceding`. The stream is lost: every later feed
                raises the same.
        """
        if self._fault is not None:
            self._fault.preceding = ()
            raise self._fault
        pending = self._pending
        if pending:
            pending += data
            # A large packet in small pieces must not be copied once per piece.
            if len(pending) < self._needed:
                return []
            buffer = bytes(pending)
            pending.clear()
        else:
            buffer = data if type(data) is bytes else bytes(data)
        packets: list[Packet] = []
        try:
            self._decode(buffer, packets)
        except PeerError as fault:
            fault.preceding = tuple(packets)
            self._fault = fault
            raise
        return packets

    def _decode(self, buffer: bytes, packets: list[Packet]) -> None:  # noqa: C901 - the hot loop: a call per step would cost more than the step
        """Append the complete packets of `buffer` to `packets` and keep the rest."""
        append = packets.append
        new = tuple.__new__
        flags_of = PUBLISH_FLAGS
        max_packet_bytes = self.max_packet_bytes
        topic, topic_field = self._topic, self._topic_field
        topic_field_size = len(topic_field)
        position = 0
        end = len(buffer)
        first_byte = 0
        try:
            while position < end:
                first_byte = buffer[position]
                # The short forms of the remaining length, of packets up to 16 KiB, by hand.
                start = position + 2
                if start < end and (length := buffer[position + 1]) < 0x80:
                    pass
                elif start < end and (high := buffer[start]) < 0x80:
                    length += (high - 1) << 7
                    start += 1
                else:
                    check_first_byte(first_byte)
                    header = take_header(buffer, position)
                    if header is None:
                        self._keep(buffer, position, needed=0)
                        return
                    start, length = header
                stop = start + length
                if stop - position > max_packet_bytes:
                    check_first_byte(first_byte)
                    raise PacketTooLarge("packet", stop - position, max_packet_bytes)
                if stop > end:
                    check_first_byte(first_byte)
                    check_length(first_byte, length)
                    self._keep(buffer, position, needed=stop - position)
                    return
                flags = flags_of[first_byte]
                if flags is None:
                    append(decode_body(first_byte, buffer[start:stop], self._rules))
                    position = stop
                    if first_byte >> 4 in self._stops_after:
                        self.hold(buffer[position:])
                        return
                    continue
                if buffer.startswith(topic_field, start):
                    after = start + topic_field_size
                else:
                    topic, topic_field = self._take_topic(first_byte, buffer, start, stop)
                    topic_field_size = len(topic_field)
                    after = start + topic_field_size
                qos, retain, dup = flags
                packet_id = None
                if qos:
                    after += 2
                    if after > stop:
                        check_length(first_byte, length)
                        raise PacketMalformed(
                            "PUBLISH ends within its packet id", clause="§3.3.2.2"
                        )
                    packet_id = buffer[after - 2] << 8 | buffer[after - 1]
                    if not packet_id:
                        raise PacketMalformed("packet id is 0", clause="MQTT-2.3.1-1")
                elif after > stop:
                    check_length(first_byte, length)
                    raise PacketMalformed("PUBLISH ends within its topic", clause="§3.3.2.1")
                append(new(Publish, (topic, buffer[after:stop], qos, retain, dup, packet_id)))
                position = stop
        except PeerError as fault:
            number = first_byte >> 4
            fault.packet_type = PacketType(number) if 0 < number < 15 else None
            raise

    def _take_topic(
        self, first_byte: int, buffer: bytes, start: int, stop: int
    ) -> tuple[str, bytes]:
        """Return the topic at `start` and its field, length prefix included; remember the short."""
        if stop - start < _SHORTEST_PUBLISH_BODY:
            check_length(first_byte, stop - start)
        after = start + 2 + (buffer[start] << 8 | buffer[start + 1])
        if after > stop:
            raise PacketMalformed("PUBLISH ends within its topic", clause="§3.3.2.1")
        topic_field = buffer[start:after]
        topic = decode_topic_name(topic_field[2:], self._rules)
        if len(topic_field) <= MAX_REMEMBERED_TOPIC_BYTES:
            self._topic, self._topic_field = topic, topic_field
        return topic, topic_field

    def _keep(self, buffer: bytes, position: int, *, needed: int) -> None:
        """Keep the start of a packet, not to be looked at before `needed` bytes are there."""
        self._pending += memoryview(buffer)[position:]
        self._needed = needed
