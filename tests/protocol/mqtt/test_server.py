"""The server's machine: what is legal when, and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.mqtt_packets import cut, packets

from mooring.protocol.mqtt import (
    CallOutOfTurn,
    ClientIdMissing,
    ConnAck,
    Connect,
    ConnectReturnCode,
    Decoder,
    Disconnect,
    InFlightWindowFull,
    Packet,
    PacketIdUnknown,
    PacketInvalid,
    PacketMalformed,
    PacketTooLarge,
    PacketType,
    PeerError,
    PingReq,
    PingResp,
    ProtocolLevelUnsupported,
    ProtocolViolation,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    ServerEvent,
    ServerMachine,
    ServerState,
    SubAck,
    Subscribe,
    Subscription,
    UnsubAck,
    Unsubscribe,
)
from mooring.protocol.mqtt.limits import (
    MAX_CONNECT_BYTES,
    MAX_HELD_BYTES,
    MAX_IN_FLIGHT_WINDOW,
    MAX_PENDING_REQUESTS,
)
from mooring.protocol.mqtt.server import CALLED, RECEIVED

CONNECT = Connect("gw01", clean_session=False)
SAMPLES: dict[PacketType, Packet] = {
    packet.packet_type: packet
    for packet in (
        CONNECT,
        ConnAck(),
        Publish("t", b"x", qos=1, packet_id=1),
        PubAck(1),
        PubRec(1),
        PubRel(1),
        PubComp(1),
        Subscribe(1, (Subscription("t", 1),)),
        SubAck(1, (0,)),
        Unsubscribe(1, ("t",)),
        UnsubAck(1),
        PingReq(),
        PingResp(),
        Disconnect(),
    )
}


def machine_in(state: ServerState, **arguments: int) -> ServerMachine:
    """Return a machine brought to `state` by legal means."""
    machine = ServerMachine(**arguments)
    if state is not ServerState.AWAITING_CONNECT:
        assert machine.receive(CONNECT.encode()) == [CONNECT]
    if state in (ServerState.CONNECTED, ServerState.CLOSED):
        assert machine.accept() == b"\x20\x02\x00\x00"
        assert machine.resume() == []
    if state is ServerState.CLOSED:
        assert machine.receive(Disconnect().encode()) == [Disconnect()]
    assert machine.state is state
    return machine


@pytest.fixture
def connected() -> ServerMachine:
    return machine_in(ServerState.CONNECTED)


class TestTables:
    def test_samples_cover_every_packet_type(self) -> None:
        assert set(SAMPLES) == set(PacketType)

    @pytest.mark.parametrize("packet_type", PacketType)
    @pytest.mark.parametrize("state", RECEIVED, ids=lambda state: state.name)
    def test_packet_in_state_does_what_the_table_says(
        self, state: ServerState, packet_type: PacketType
    ) -> None:
        machine = machine_in(state)
        following = RECEIVED[state].get(packet_type)
        data = SAMPLES[packet_type].encode()
        if following is None:
            with pytest.raises(ProtocolViolation) as caught:
                machine.receive(data)
            assert caught.value.clause
            assert machine.state is ServerState.CLOSED
        else:
            machine.receive(data)
            assert machine.state is following

    @pytest.mark.parametrize("packet_type", PacketType)
    @pytest.mark.parametrize("state", RECEIVED, ids=lambda state: state.name)
    def test_header_of_a_packet_that_the_table_lacks_is_enough(
        self, state: ServerState, packet_type: PacketType
    ) -> None:
        machine = machine_in(state)
        header = SAMPLES[packet_type].encode()[:1]
        if packet_type in RECEIVED[state]:
            assert machine.receive(header) == []
        else:
            with pytest.raises(ProtocolViolation):
                machine.receive(header)
            assert machine.state is ServerState.CLOSED

    @pytest.mark.parametrize("packet_type", PacketType)
    def test_packet_after_the_end_is_dropped_unread(self, packet_type: PacketType) -> None:
        machine = machine_in(ServerState.CLOSED)
        assert machine.receive(SAMPLES[packet_type].encode() + b"\xff") == []

    CALLS: ClassVar[dict[str, Callable[[ServerMachine], object]]] = {
        "accept": lambda machine: machine.accept(),
        "refuse": lambda machine: machine.refuse(ConnectReturnCode.NOT_AUTHORIZED),
        "suback": lambda machine: machine.suback(7, [1]),
        "unsuback": lambda machine: machine.unsuback(8),
        "pubacks": lambda machine: machine.pubacks([1]),
        "publish": lambda machine: machine.publish("t", b"", 1),
        "pingresp": lambda machine: machine.pingresp(),
    }

    @pytest.mark.parametrize("call", CALLS)
    @pytest.mark.parametrize("state", ServerState, ids=lambda state: state.name)
    def test_call_in_state_does_what_the_table_says(self, state: ServerState, call: str) -> None:
        machine = machine_in(state)
        if state is ServerState.CONNECTED:
            machine.receive(
                Subscribe(7, (Subscription("t", 1),)).encode() + Unsubscribe(8, ("t",)).encode()
            )
        following = CALLED[state].get(call)
        if following is None:
            with pytest.raises(CallOutOfTurn) as caught:
                self.CALLS[call](machine)
            assert (caught.value.call, caught.value.state) == (call, state.value)
            assert machine.state is state
        else:
            assert self.CALLS[call](machine)
            assert machine.state is following

    def test_tables_know_every_call_and_state(self) -> None:
        assert set(CALLED) == set(ServerState)
        assert {call for calls in CALLED.values() for call in calls} == set(self.CALLS)


class TestConnect:
    def test_connect_is_reported_and_kept(self) -> None:
        machine = ServerMachine()
        assert machine.connect is None
        assert machine.receive(CONNECT.encode()) == [CONNECT]
        assert machine.connect == CONNECT

    def test_connect_byte_by_byte_is_reported_with_its_last_byte(self) -> None:
        machine = ServerMachine()
        *before, last = [machine.receive(piece) for piece in cut(CONNECT.encode(), [1])]
        assert not any(before)
        assert last == [CONNECT]

    def test_accept_with_session_says_so(self) -> None:
        assert machine_in(ServerState.DECIDING).accept(session_present=True) == b"\x20\x02\x01\x00"

    def test_accept_with_session_of_a_clean_session_is_refused(self) -> None:
        machine = ServerMachine()
        machine.receive(Connect("a", clean_session=True).encode())
        with pytest.raises(PacketInvalid) as caught:
            machine.accept(session_present=True)
        assert caught.value.clause == "MQTT-3.2.2-1"
        assert machine.state is ServerState.DECIDING

    @pytest.mark.parametrize("code", [code for code in ConnectReturnCode if code])
    def test_refuse_gives_the_code_and_drops_what_follows(self, code: ConnectReturnCode) -> None:
        machine = ServerMachine()
        machine.receive(CONNECT.encode() + Publish("t", b"").encode())
        assert machine.refuse(code) == bytes((0x20, 2, 0, code))
        assert machine.state is ServerState.CLOSED
        assert machine._decoder.pending_bytes == 0
        assert machine.resume() == []
        assert machine.receive(Publish("t", b"").encode()) == []

    def test_refuse_with_code_0_is_refused(self) -> None:
        machine = machine_in(ServerState.DECIDING)
        with pytest.raises(PacketInvalid):
            machine.refuse(ConnectReturnCode.ACCEPTED)
        assert machine.state is ServerState.DECIDING

    def test_second_connect_is_a_violation(self, connected: ServerMachine) -> None:
        with pytest.raises(ProtocolViolation) as caught:
            connected.receive(PingReq().encode() + CONNECT.encode())
        assert caught.value.clause == "MQTT-3.1.0-2"
        assert caught.value.preceding == (PingReq(),)
        assert caught.value.reply == b""

    def test_second_connect_of_another_level_is_a_violation_without_answer(
        self, connected: ServerMachine
    ) -> None:
        with pytest.raises(ProtocolViolation) as caught:
            connected.receive(bytes.fromhex("100d00044d5154540502003c00000000"))
        assert caught.value.clause == "MQTT-3.1.0-2"
        assert caught.value.reply == b""

    def test_other_level_raises_with_connack_1(self) -> None:
        machine = ServerMachine()
        with pytest.raises(ProtocolLevelUnsupported) as caught:
            machine.receive(bytes.fromhex("100d00044d5154540502003c00000000"))
        assert Decoder().feed(caught.value.reply) == [
            ConnAck(ConnectReturnCode.UNACCEPTABLE_PROTOCOL_VERSION)
        ]
        assert machine.state is ServerState.CLOSED

    def test_empty_client_id_in_a_kept_session_raises_with_connack_2(self) -> None:
        machine = ServerMachine()
        with pytest.raises(ClientIdMissing) as caught:
            machine.receive(bytes.fromhex("100c00044d5154540400003c0000"))
        assert caught.value.clause == "MQTT-3.1.3-8"
        assert Decoder().feed(caught.value.reply) == [
            ConnAck(ConnectReturnCode.IDENTIFIER_REJECTED)
        ]
        assert machine.state is ServerState.CLOSED
        assert machine.connect is None

    def test_packet_before_connect_is_refused_by_its_header(self) -> None:
        machine = ServerMachine()
        with pytest.raises(ProtocolViolation) as caught:
            machine.receive(b"\x30\xff\xff\x03")
        assert caught.value.clause == "MQTT-3.1.0-1"

    def test_connect_larger_than_any_legal_one_is_refused_by_its_header(self) -> None:
        with pytest.raises(PacketTooLarge) as caught:
            ServerMachine().receive(b"\x10\xff\xff\x0f")
        assert caught.value.limit_bytes == MAX_CONNECT_BYTES


class TestPacketsAheadOfConnack:
    AHEAD: tuple[Packet, ...] = (
        Subscribe(1, (Subscription("t", 1),)),
        Publish("t", b"x", qos=1, packet_id=2),
        PingReq(),
    )

    @pytest.mark.parametrize("size", [1, 7, 1000])
    def test_packets_behind_connect_come_after_accept(self, size: int) -> None:
        machine = ServerMachine()
        data = CONNECT.encode() + b"".join(packet.encode() for packet in self.AHEAD)
        events = [event for piece in cut(data, [size]) for event in machine.receive(piece)]
        assert events == [CONNECT]
        machine.accept()
        assert machine.resume() == list(self.AHEAD)
        assert machine.resume() == []

    def test_unfinished_packet_behind_connect_is_completed_after_accept(self) -> None:
        machine = ServerMachine()
        publish = Publish("t", b"x" * MAX_CONNECT_BYTES).encode()
        machine.receive(CONNECT.encode() + publish[:10])
        machine.accept()
        assert machine.resume() == []
        assert machine.receive(publish[10:]) == [Publish("t", b"x" * MAX_CONNECT_BYTES)]

    def test_fault_behind_connect_shows_after_accept(self) -> None:
        machine = ServerMachine()
        assert machine.receive(CONNECT.encode() + b"\xff") == [CONNECT]
        assert machine.receive(b"\x00") == []
        machine.accept()
        with pytest.raises(PacketMalformed):
            machine.resume()

    @pytest.mark.parametrize("with_connect", [True, False])
    def test_more_than_the_bound_is_a_violation(self, with_connect: bool) -> None:
        machine = ServerMachine()
        data = CONNECT.encode()
        if not with_connect:
            machine.receive(data)
            data = b""
        with pytest.raises(ProtocolViolation, match="ahead of CONNACK") as caught:
            machine.receive(data + b"\xc0\x00" * (MAX_HELD_BYTES // 2 + 1))
        assert caught.value.preceding == ()
        assert machine.state is ServerState.CLOSED

    def test_as_much_as_the_bound_is_kept(self) -> None:
        machine = ServerMachine()
        count = MAX_HELD_BYTES // 2
        machine.receive(CONNECT.encode() + b"\xc0\x00" * count)
        machine.accept()
        assert len(machine.resume()) == count


class TestConnected:
    def test_many_publishes_in_one_read_come_in_order(self, connected: ServerMachine) -> None:
        sent = [Publish(f"t/{number % 3}", b"x", 1, packet_id=number) for number in range(1, 300)]
        assert connected.receive(b"".join(packet.encode() for packet in sent)) == sent

    def test_publish_of_qos_2_and_pubrel_are_left_to_the_caller(
        self, connected: ServerMachine
    ) -> None:
        sent = [Publish("t", b"x", 2, packet_id=9), PubRel(9)]
        assert connected.receive(b"".join(packet.encode() for packet in sent)) == sent

    def test_disconnect_ends_reading_even_of_the_same_bytes(self, connected: ServerMachine) -> None:
        data = Publish("t", b"").encode() + Disconnect().encode() + b"\xff" * 9
        assert connected.receive(data) == [Publish("t", b""), Disconnect()]
        assert connected.state is ServerState.CLOSED

    def test_malformed_bytes_behind_events_hand_them_over(self, connected: ServerMachine) -> None:
        _, packet_id = connected.publish("t", b"", 1)
        assert packet_id is not None
        with pytest.raises(PacketMalformed) as caught:
            connected.receive(PubAck(packet_id).encode() + PubAck(99).encode() + b"\x00")
        assert caught.value.preceding == (PubAck(packet_id),)
        assert connected.state is ServerState.CLOSED

    def test_violation_before_malformed_bytes_is_what_counts(
        self, connected: ServerMachine
    ) -> None:
        with pytest.raises(ProtocolViolation) as caught:
            connected.receive(PingReq().encode() + PingResp().encode() + b"\x00")
        assert caught.value.preceding == (PingReq(),)

    def test_malformed_packet_that_the_state_forbids_anyway_is_a_violation(
        self, connected: ServerMachine
    ) -> None:
        with pytest.raises(ProtocolViolation) as caught:
            connected.receive(PingReq().encode() + b"\x20\x02\x00\x06")
        assert caught.value.clause == "§2.2.1"
        assert caught.value.preceding == (PingReq(),)

    def test_events_before_an_unfinished_illegal_packet_are_handed_over(
        self, connected: ServerMachine
    ) -> None:
        with pytest.raises(ProtocolViolation) as caught:
            connected.receive(PingReq().encode() + b"\x90")
        assert caught.value.preceding == (PingReq(),)

    def test_packet_over_the_limit_is_refused(self) -> None:
        machine = machine_in(ServerState.CONNECTED, max_packet_bytes=1000)
        with pytest.raises(PacketTooLarge):
            machine.receive(Publish("t", b"x" * 1000).encode())

    def test_topic_over_the_limit_is_refused(self) -> None:
        machine = machine_in(ServerState.CONNECTED, max_topic_bytes=10)
        with pytest.raises(PacketTooLarge):
            machine.receive(Publish("t" * 11, b"").encode())

    def test_literal_wildcards_pass_both_ways(self) -> None:
        machine = ServerMachine(literal_wildcards=True)
        machine.receive(CONNECT.encode())
        machine.accept()
        publish = Publish("devices/a+/x", b"")
        wire = publish.encode(literal_wildcards=True)
        assert machine.receive(wire) == [publish]
        assert machine.publish("devices/a+/x", b"") == (wire, None)

    def test_pingresp_is_the_answer_to_pingreq(self, connected: ServerMachine) -> None:
        assert connected.receive(b"\xc0\x00") == [PingReq()]
        assert connected.pingresp() == b"\xd0\x00"


class TestRequests:
    SUBSCRIBE = Subscribe(5, (Subscription("a", 1), Subscription("b", 0)))

    def test_suback_answers_each_filter_once(self, connected: ServerMachine) -> None:
        connected.receive(self.SUBSCRIBE.encode())
        assert connected.suback(5, [1, 0x80]) == bytes.fromhex("900400050180")
        with pytest.raises(PacketIdUnknown):
            connected.suback(5, [1, 0x80])

    @pytest.mark.parametrize("codes", [[], [1], [1, 1, 1], [1, 3]])
    def test_suback_with_wrong_codes_is_refused_and_may_be_repeated(
        self, connected: ServerMachine, codes: list[int]
    ) -> None:
        connected.receive(self.SUBSCRIBE.encode())
        with pytest.raises(PacketInvalid):
            connected.suback(5, codes)
        assert connected.suback(5, [0, 0])

    def test_answers_to_other_requests_are_refused(self, connected: ServerMachine) -> None:
        connected.receive(self.SUBSCRIBE.encode() + Unsubscribe(6, ("a",)).encode())
        for call, packet_id in ((connected.unsuback, 5), (connected.unsuback, 4)):
            with pytest.raises(PacketIdUnknown) as caught:
                call(packet_id)
            assert caught.value.packet_id == packet_id
        with pytest.raises(PacketIdUnknown):
            connected.suback(6, [0])
        assert connected.unsuback(6) == bytes.fromhex("b0020006")

    def test_request_under_an_id_in_use_is_a_violation(self, connected: ServerMachine) -> None:
        connected.receive(self.SUBSCRIBE.encode())
        with pytest.raises(ProtocolViolation) as caught:
            connected.receive(Unsubscribe(5, ("a",)).encode())
        assert caught.value.clause == "MQTT-2.3.1-2"

    def test_more_unanswered_requests_than_the_bound_are_a_violation(
        self, connected: ServerMachine
    ) -> None:
        for packet_id in range(1, MAX_PENDING_REQUESTS + 1):
            connected.receive(Unsubscribe(packet_id, ("a",)).encode())
        with pytest.raises(ProtocolViolation, match="without answer"):
            connected.receive(Unsubscribe(MAX_PENDING_REQUESTS + 1, ("a",)).encode())


class TestPubacks:
    def test_pubacks_are_those_of_the_packets_in_order(self, connected: ServerMachine) -> None:
        ids = [1, 65535, 256, 255, 1]
        expected = b"".join(PubAck(packet_id).encode() for packet_id in ids)
        assert connected.pubacks(iter(ids)) == expected

    def test_pubacks_of_nothing_are_nothing(self, connected: ServerMachine) -> None:
        assert connected.pubacks([]) == b""

    @pytest.mark.parametrize("packet_id", [0, -1, 65536])
    def test_pubacks_with_an_illegal_id_are_refused(
        self, connected: ServerMachine, packet_id: int
    ) -> None:
        with pytest.raises(PacketInvalid):
            connected.pubacks([1, packet_id])


class TestPublish:
    def test_qos_0_has_no_id_and_takes_no_window(self, connected: ServerMachine) -> None:
        free = connected.window_free
        wire, packet_id = connected.publish("t", b"hi", retain=True)
        assert (wire, packet_id) == (bytes.fromhex("310500017468 69"), None)
        assert connected.window_free == free

    def test_qos_1_is_in_flight_until_its_puback(self) -> None:
        machine = machine_in(ServerState.CONNECTED, in_flight_window=2)
        wire, first = machine.publish("t", b"", 1)
        assert (wire, first) == (bytes.fromhex("32050001740001"), 1)
        _, second = machine.publish("t", b"", 1)
        assert second == 2
        assert machine.window_free == 0
        with pytest.raises(InFlightWindowFull) as caught:
            machine.publish("t", b"", 1)
        assert caught.value.window == 2
        assert machine.receive(PubAck(1).encode()) == [PubAck(1)]
        # Identifiers are dealt in turn, not reused at once.
        assert machine.publish("t", b"", 1)[1] == 3

    def test_stray_puback_is_counted_and_dropped(self, connected: ServerMachine) -> None:
        assert connected.receive(PubAck(77).encode() + PingReq().encode()) == [PingReq()]
        assert connected.stray_acknowledgements == 1

    def test_identifiers_wrap_around_those_in_flight(self) -> None:
        machine = machine_in(ServerState.CONNECTED, in_flight_window=10)
        assert machine.publish("t", b"", 1)[1] == 1
        for number in range(2, 65536):
            assert machine.publish("t", b"", 1)[1] == number
            machine.receive(PubAck(number).encode())
        assert machine.publish("t", b"", 1)[1] == 2

    def test_redelivery_keeps_its_id_and_bears_dup(self, connected: ServerMachine) -> None:
        wire, packet_id = connected.publish("t", b"", 1, dup=True, packet_id=40)
        assert (wire, packet_id) == (bytes.fromhex("3a050001740028"), 40)
        assert connected.publish("t", b"", 1, dup=True, packet_id=40)[1] == 40
        assert connected.receive(PubAck(40).encode()) == [PubAck(40)]

    @pytest.mark.parametrize(
        ("dup", "packet_id"), [(True, None), (False, 4)], ids=["no id", "no dup"]
    )
    def test_redelivery_without_both_is_refused(
        self, connected: ServerMachine, dup: bool, packet_id: int | None
    ) -> None:
        with pytest.raises(PacketInvalid):
            connected.publish("t", b"", 1, dup=dup, packet_id=packet_id)

    def test_redelivery_beyond_the_window_is_refused(self) -> None:
        machine = machine_in(ServerState.CONNECTED, in_flight_window=1)
        machine.publish("t", b"", 1)
        with pytest.raises(InFlightWindowFull):
            machine.publish("t", b"", 1, dup=True, packet_id=40)

    def test_qos_2_is_refused(self, connected: ServerMachine) -> None:
        with pytest.raises(PacketInvalid, match="qos"):
            connected.publish("t", b"", 2)

    def test_message_that_cannot_be_sent_is_not_in_flight(self, connected: ServerMachine) -> None:
        free = connected.window_free
        with pytest.raises(PacketInvalid):
            connected.publish("", b"", 1)
        assert connected.window_free == free

    @pytest.mark.parametrize("window", [0, MAX_IN_FLIGHT_WINDOW + 1])
    def test_window_out_of_range_is_refused(self, window: int) -> None:
        with pytest.raises(ValueError, match="window"):
            ServerMachine(in_flight_window=window)


class TestAnyBytes:
    @given(
        st.lists(packets, max_size=6),
        st.binary(max_size=20),
        st.lists(st.integers(1, 30), min_size=1, max_size=4),
    )
    @settings(deadline=None)
    def test_any_input_means_the_same_however_cut_and_raises_peer_errors_only(
        self, sent: list[Packet], noise: bytes, sizes: list[int]
    ) -> None:
        data = CONNECT.encode() + b"".join(packet.encode() for packet in sent) + noise
        assert _outcome([data]) == _outcome(list(cut(data, sizes)))


def _outcome(pieces: list[bytes]) -> tuple[list[ServerEvent], str | None]:
    """Return what a machine that accepts at once made of `pieces`, and the fault, if any."""
    machine = ServerMachine()
    events: list[ServerEvent] = []
    try:
        for piece in pieces:
            events += machine.receive(piece)
            if machine.state is ServerState.DECIDING:
                machine.accept()
                events += machine.resume()
    except PeerError as fault:
        return [*events, *fault.preceding], str(fault)
    return events, None
