"""The decoder: what is a packet, what is not yet one, what never will be."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.mqtt_packets import cut, packets
from tests.support.mqtt_wire import LEGAL, LEGAL_ODD, MALFORMED, wire

from mooring.protocol.mqtt import (
    Connect,
    Decoder,
    Packet,
    PacketMalformed,
    PacketTooLarge,
    PacketType,
    PeerError,
    PingReq,
    ProtocolLevelUnsupported,
    PubAck,
    Publish,
    Subscribe,
    Subscription,
)
from mooring.protocol.mqtt.limits import (
    MAX_CLIENT_ID_BYTES,
    MAX_FILTERS_PER_PACKET,
    MAX_PACKET_BYTES,
    MAX_PASSWORD_BYTES,
    MAX_REMEMBERED_TOPIC_BYTES,
    MAX_USER_NAME_BYTES,
)

legal = pytest.mark.parametrize(
    ("text", "packet"), [*LEGAL.values(), *LEGAL_ODD.values()], ids=[*LEGAL, *LEGAL_ODD]
)
malformed = pytest.mark.parametrize(
    ("text", "clause", "enough"), MALFORMED.values(), ids=list(MALFORMED)
)


class TestLegalBytes:
    @legal
    def test_feed_of_whole_gives_the_packet(self, text: str, packet: Packet) -> None:
        assert Decoder().feed(wire(text)) == [packet]

    @legal
    def test_feed_of_every_prefix_is_not_yet(self, text: str, packet: Packet) -> None:
        data = wire(text)
        # Of the two longest packets not every prefix, for the time it takes.
        for size in range(0, len(data), 1 + len(data) // 500):
            decoder = Decoder()
            assert decoder.feed(data[:size]) == []
            assert decoder.pending_bytes == size
            assert decoder.feed(data[size:]) == [packet]
            assert decoder.pending_bytes == 0

    @legal
    def test_feed_byte_by_byte_gives_the_packet_with_the_last(
        self, text: str, packet: Packet
    ) -> None:
        decoder = Decoder()
        *before, last = [decoder.feed(piece) for piece in cut(wire(text), [1])]
        assert not any(before)
        assert last == [packet]

    @legal
    def test_feed_with_trailing_packet_gives_both(self, text: str, packet: Packet) -> None:
        assert Decoder().feed(wire(text) + b"\xc0\x00") == [packet, PingReq()]

    @pytest.mark.parametrize(("text", "packet"), LEGAL.values(), ids=list(LEGAL))
    def test_encode_gives_the_bytes(self, text: str, packet: Packet) -> None:
        assert packet.encode() == wire(text)

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    def test_feed_of_any_bytes_type_keeps_no_reference(
        self, kind: type[bytes | bytearray | memoryview]
    ) -> None:
        source = bytearray(wire("3005 0001 74 6869"))
        decoder = Decoder()
        assert decoder.feed(kind(source[:3])) == []
        rest = kind(source[3:])
        (packet,) = decoder.feed(rest)
        assert packet == Publish("t", b"hi")
        assert isinstance(packet, Publish)
        assert type(packet.payload) is bytes


class TestMalformedBytes:
    @malformed
    def test_feed_of_whole_raises_with_clause(self, text: str, clause: str, enough: int) -> None:
        with pytest.raises(PacketMalformed) as caught:
            Decoder().feed(wire(text))
        assert caught.value.clause == clause

    @malformed
    def test_feed_raises_as_soon_as_it_can_be_known(
        self, text: str, clause: str, enough: int
    ) -> None:
        decoder = Decoder()
        data = wire(text)
        for byte in data[: enough - 1]:
            assert decoder.feed(bytes((byte,))) == []
        with pytest.raises(PacketMalformed) as caught:
            decoder.feed(data[enough - 1 : enough])
        assert caught.value.clause == clause

    @malformed
    def test_feed_behind_sound_packets_hands_them_over(
        self, text: str, clause: str, enough: int
    ) -> None:
        with pytest.raises(PacketMalformed) as caught:
            Decoder().feed(b"\xc0\x00\x40\x02\x00\x01" + wire(text))
        assert caught.value.preceding == (PingReq(), PubAck(1))

    def test_feed_after_a_fault_raises_the_same_without_packets(self) -> None:
        decoder = Decoder()
        with pytest.raises(PacketMalformed) as first:
            decoder.feed(b"\xc0\x00\x00")
        with pytest.raises(PacketMalformed) as second:
            decoder.feed(b"\xc0\x00")
        assert second.value is first.value
        assert second.value.preceding == ()

    def test_publish_with_the_topic_of_the_last_one_cut_short_raises(self) -> None:
        decoder = Decoder()
        decoder.feed(wire("3206 0002 6162 0001"))
        with pytest.raises(PacketMalformed, match="packet id"):
            decoder.feed(wire("3205 0002 6162 00 c000"))
        decoder = Decoder()
        decoder.feed(wire("3005 0003 616263"))
        # The topic field is there, but reaches into the next packet.
        with pytest.raises(PacketMalformed, match="topic"):
            decoder.feed(wire("3004 0003 6162 63 c000"))

    def test_error_says_what_and_by_which_clause(self) -> None:
        with pytest.raises(PacketMalformed) as caught:
            Decoder().feed(b"\x40\x02\x00\x00")
        assert str(caught.value) == "packet id is 0 [MQTT-2.3.1-1]"
        assert caught.value.code == "mqtt-packet-malformed"
        assert caught.value.remedy


class TestOtherVersions:
    @pytest.mark.parametrize(
        ("text", "name", "level"),
        [
            ("100e 0006 4d5149736470 03 02 003c 0000", "MQIsdp", 3),
            ("100d 0004 4d515454 05 02 003c 00 0000", "MQTT", 5),
            ("100d 0004 4d515454 84 02 003c 0001 61", "MQTT", 0x84),
            ("100e 0006 4d5149736470 04 02 003c 0000", "MQIsdp", 4),
        ],
        ids=["3.1", "5.0", "bridge", "mixed"],
    )
    def test_connect_of_another_version_raises_with_connack_1(
        self, text: str, name: str, level: int
    ) -> None:
        with pytest.raises(ProtocolLevelUnsupported) as caught:
            Decoder().feed(wire(text))
        assert (caught.value.protocol_name, caught.value.protocol_level) == (name, level)
        assert caught.value.reply == b"\x20\x02\x00\x01"


class TestLimits:
    def test_packet_of_the_limit_passes_and_one_byte_more_is_refused_by_its_header(self) -> None:
        def packet(size: int) -> bytes:
            return Publish("t", b"x" * (size - 5)).encode()

        assert len(packet(100)) == 100
        assert len(Decoder(max_packet_bytes=100).feed(packet(100))) == 1
        for data in (packet(101), packet(101)[:2]):
            with pytest.raises(PacketTooLarge) as caught:
                Decoder(max_packet_bytes=100).feed(data)
            assert caught.value.field == "packet"
            assert (caught.value.size_bytes, caught.value.limit_bytes) == (101, 100)

    def test_default_limit_takes_a_hub_message_of_full_size(self) -> None:
        data = Publish("t" * 65535, b"x" * 262144, qos=1, packet_id=1).encode()
        assert len(data) <= MAX_PACKET_BYTES
        assert len(Decoder().feed(data)) == 1
        with pytest.raises(PacketTooLarge):
            Decoder().feed(b"\x30\xff\xff\xff\x7f")

    def test_limit_changed_between_packets_holds_for_the_next(self) -> None:
        decoder = Decoder(max_packet_bytes=10)
        data = Publish("t", b"x" * 20).encode()
        decoder.max_packet_bytes = 100
        assert len(decoder.feed(data)) == 1

    @pytest.mark.parametrize(
        ("connect", "field", "limit"),
        [
            (Connect("c" * (MAX_CLIENT_ID_BYTES + 1)), "client id", MAX_CLIENT_ID_BYTES),
            (
                Connect("c", user_name="u" * (MAX_USER_NAME_BYTES + 1)),
                "user name",
                MAX_USER_NAME_BYTES,
            ),
            (
                Connect("c", user_name="u", password=b"p" * (MAX_PASSWORD_BYTES + 1)),
                "password",
                MAX_PASSWORD_BYTES,
            ),
        ],
        ids=["client id", "user name", "password"],
    )
    def test_connect_with_a_field_over_its_limit_is_refused(
        self, connect: Connect, field: str, limit: int
    ) -> None:
        with pytest.raises(PacketTooLarge) as caught:
            Decoder().feed(connect.encode())
        assert caught.value.field == field
        assert caught.value.limit_bytes == limit
        assert str(limit) in caught.value.remedy

    def test_connect_with_fields_at_their_limits_passes(self) -> None:
        connect = Connect(
            "c" * MAX_CLIENT_ID_BYTES,
            user_name="u" * MAX_USER_NAME_BYTES,
            password=b"p" * MAX_PASSWORD_BYTES,
        )
        assert Decoder().feed(connect.encode()) == [connect]

    def test_topic_over_its_limit_is_refused(self) -> None:
        decoder = Decoder(max_topic_bytes=5)
        assert decoder.feed(Publish("12345", b"").encode())
        with pytest.raises(PacketTooLarge) as caught:
            decoder.feed(Publish("ähnlich", b"").encode())
        assert (caught.value.field, caught.value.size_bytes) == ("topic name", 8)
        with pytest.raises(PacketTooLarge):
            Decoder(max_topic_bytes=5).feed(Subscribe(1, (Subscription("123456", 0),)).encode())

    def test_filters_up_to_their_number_pass_and_one_more_is_refused(self) -> None:
        def subscribe(count: int) -> bytes:
            return Subscribe(1, (Subscription("t", 0),) * count).encode()

        assert Decoder().feed(subscribe(MAX_FILTERS_PER_PACKET))
        with pytest.raises(PacketMalformed, match="topic filters"):
            Decoder().feed(subscribe(MAX_FILTERS_PER_PACKET + 1))

    def test_large_packet_in_small_pieces_is_read_only_when_it_can_be_whole(self) -> None:
        reads: list[int] = []

        class Counting(Decoder):
            def _decode(self, buffer: bytes, packets: list[Packet]) -> None:
                reads.append(len(buffer))
                super()._decode(buffer, packets)

        data = Publish("t", b"x" * 200_000, qos=1, packet_id=1).encode()
        decoder = Counting()
        results = [decoder.feed(piece) for piece in cut(data, [100])]
        assert [len(result) for result in results] == [0] * (len(results) - 1) + [1]
        assert reads == [100, len(data)]

    def test_long_topics_are_decoded_but_not_remembered(self) -> None:
        decoder = Decoder()
        long = Publish("t" * (MAX_REMEMBERED_TOPIC_BYTES + 1), b"", qos=1, packet_id=1)
        short = Publish("s", b"", qos=1, packet_id=1)
        run = [short, long, long, short, long]
        assert decoder.feed(b"".join(packet.encode() for packet in run)) == run
        assert decoder._topic == "s"


class TestLiteralWildcards:
    """Azure: device ids may contain + and #, and stand in topics as they are."""

    topic = "devices/a+b#/messages/events/"

    def test_wildcards_in_topics_pass_when_literal(self) -> None:
        decoder = Decoder(literal_wildcards=True)
        publish = Publish(self.topic, b"")
        subscribe = Subscribe(1, (Subscription(self.topic + "#", 1),))
        data = publish.encode(literal_wildcards=True) + subscribe.encode(literal_wildcards=True)
        assert decoder.feed(data) == [publish, subscribe]

    @pytest.mark.parametrize(
        "data",
        [b"\x30\x03\x00\x01\x00", b"\x30\x03\x00\x00\x00", b"\x82\x06\x00\x01\x00\x00\x00\x00"],
    )
    def test_other_topic_rules_stay(self, data: bytes) -> None:
        with pytest.raises(PacketMalformed):
            Decoder(literal_wildcards=True).feed(data)


class TestStops:
    def test_feed_stops_after_the_named_types_and_goes_on_with_the_next(self) -> None:
        decoder = Decoder(stops_after=(PacketType.CONNECT, PacketType.DISCONNECT))
        connect = Connect("a")
        data = connect.encode() + b"\xc0\x00\xe0\x00\xff"
        assert decoder.feed(data) == [connect]
        assert decoder.pending_bytes == 5
        decoder.hold(b"\xfe")
        assert decoder.feed(b"")[0] == PingReq()
        assert decoder.pending_bytes == 2
        decoder.discard()
        assert decoder.feed(b"\xc0\x00") == [PingReq()]

    def test_pending_type_names_the_unfinished_packet(self) -> None:
        decoder = Decoder()
        assert decoder.pending_type is None
        decoder.feed(b"\xc0\x00\x30")
        assert decoder.pending_type is PacketType.PUBLISH


class TestAnyBytes:
    @given(st.binary(max_size=200), st.lists(st.integers(1, 20), min_size=1, max_size=5))
    def test_arbitrary_bytes_raise_nothing_but_peer_errors_and_alike_however_cut(
        self, data: bytes, sizes: list[int]
    ) -> None:
        whole, whole_fault = _outcome([data])
        pieces, pieces_fault = _outcome(list(cut(data, sizes)))
        assert whole == pieces
        assert whole_fault == pieces_fault

    @given(st.lists(packets, max_size=6), st.data())
    @settings(deadline=None)
    def test_damaged_packets_raise_nothing_but_peer_errors_and_alike_however_cut(
        self, sound: list[Packet], draw: st.DataObject
    ) -> None:
        data = bytearray(b"".join(packet.encode() for packet in sound))
        for _ in range(draw.draw(st.integers(0, 3))):
            if data:
                data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
        whole, whole_fault = _outcome([bytes(data)])
        pieces, pieces_fault = _outcome(list(cut(bytes(data), [1])))
        assert whole == pieces
        assert whole_fault == pieces_fault

    @given(
        st.lists(packets, min_size=1, max_size=8),
        st.lists(st.integers(1, 50), min_size=1, max_size=5),
    )
    @settings(deadline=None)
    def test_round_trip_of_any_packets_in_any_pieces_gives_them_back(
        self, sent: list[Packet], sizes: list[int]
    ) -> None:
        decoder = Decoder()
        data = b"".join(packet.encode() for packet in sent)
        assert [packet for piece in cut(data, sizes) for packet in decoder.feed(piece)] == sent
        assert decoder.pending_bytes == 0


def _outcome(pieces: list[bytes]) -> tuple[list[Packet], str | None]:
    """Return the packets in `pieces`, and how the stream ended: None or the error."""
    decoder = Decoder(max_packet_bytes=1000)
    found: list[Packet] = []
    try:
        for piece in pieces:
            found += decoder.feed(piece)
    except PeerError as fault:
        return [*found, *fault.preceding], str(fault)
    return found, None
