"""The client's machine: what it sends when, and what it takes from a server."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.mqtt_packets import cut, packets

from mooring.protocol.mqtt import (
    CallOutOfTurn,
    ClientEvent,
    ClientMachine,
    ClientState,
    ConnAck,
    Connect,
    ConnectRefused,
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
    ProtocolViolation,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    SubAckCode,
    Subscribe,
    Subscription,
    SubscriptionAnswered,
    UnsubAck,
    Unsubscribe,
    Will,
)
from mooring.protocol.mqtt.client import CALLED, RECEIVED
from mooring.protocol.mqtt.limits import MAX_PENDING_REQUESTS

# One of each type, as `ready` prepares a machine to take the answers among them.
SAMPLES: dict[PacketType, Packet] = {
    packet.packet_type: packet
    for packet in (
        Connect("a"),
        ConnAck(),
        Publish("t", b"x", qos=1, packet_id=1),
        PubAck(1),
        PubRec(1),
        PubRel(1),
        PubComp(1),
        Subscribe(1, (Subscription("t", 1),)),
        SubAck(2, (0,)),
        Unsubscribe(1, ("t",)),
        UnsubAck(3),
        PingReq(),
        PingResp(),
        Disconnect(),
    )
}


def machine_in(
    state: ClientState, *, clean_session: bool = False, **arguments: int
) -> ClientMachine:
    """Return a machine brought to `state` by legal means."""
    machine = ClientMachine(**arguments)
    if state is not ClientState.IDLE:
        machine.connect("gw01", clean_session=clean_session)
    if state in (ClientState.CONNECTED, ClientState.CLOSED):
        assert machine.receive(ConnAck().encode()) == [ConnAck()]
    if state is ClientState.CLOSED:
        machine.disconnect()
    assert machine.state is state
    return machine


def ready(state: ClientState) -> ClientMachine:
    """Return a machine in `state`; connected, it awaits PUBACK 1, SUBACK 2 and UNSUBACK 3."""
    machine = machine_in(state)
    if state is ClientState.CONNECTED:
        machine.publish("t", b"", 1)
        machine.subscribe([("t", 1)])
        machine.unsubscribe(["t"])
        machine.receive(Publish("t", b"", qos=1, packet_id=9).encode())
    return machine


@pytest.fixture
def connected() -> ClientMachine:
    return machine_in(ClientState.CONNECTED)


class TestTables:
    @pytest.mark.parametrize("packet_type", PacketType)
    @pytest.mark.parametrize("state", RECEIVED, ids=lambda state: state.name)
    def test_packet_in_state_does_what_the_table_says(
        self, state: ClientState, packet_type: PacketType
    ) -> None:
        machine = ready(state)
        data = SAMPLES[packet_type].encode()
        following = RECEIVED[state].get(packet_type)
        if following is None:
            with pytest.raises(ProtocolViolation) as caught:
                machine.receive(data)
            assert caught.value.clause
            assert machine.state is ClientState.CLOSED
        else:
            (event,) = machine.receive(data)
            assert isinstance(event, SubscriptionAnswered) or event == SAMPLES[packet_type]
            assert machine.state is following

    @pytest.mark.parametrize("packet_type", PacketType)
    @pytest.mark.parametrize("state", RECEIVED, ids=lambda state: state.name)
    def test_header_of_a_packet_that_the_table_lacks_is_enough(
        self, state: ClientState, packet_type: PacketType
    ) -> None:
        machine = machine_in(state)
        header = SAMPLES[packet_type].encode()[:1]
        if packet_type in RECEIVED[state]:
            assert machine.receive(header) == []
        else:
            with pytest.raises(ProtocolViolation):
                machine.receive(header)
            assert machine.state is ClientState.CLOSED

    @pytest.mark.parametrize("state", [ClientState.IDLE, ClientState.CLOSED])
    def test_bytes_without_a_connection_are_dropped_unread(self, state: ClientState) -> None:
        assert machine_in(state).receive(b"\xff\x00") == []

    CALLS: ClassVar[dict[str, Callable[[ClientMachine], object]]] = {
        "connect": lambda machine: machine.connect("a"),
        "publish": lambda machine: machine.publish("t", b"", 1),
        "resend": lambda machine: machine.resend(),
        "puback": lambda machine: machine.puback(9),
        "subscribe": lambda machine: machine.subscribe([("t", 0)]),
        "unsubscribe": lambda machine: machine.unsubscribe(["t"]),
        "ping": lambda machine: machine.ping(),
        "disconnect": lambda machine: machine.disconnect(),
        "connection_lost": lambda machine: machine.connection_lost(),
    }

    @pytest.mark.parametrize("call", CALLS)
    @pytest.mark.parametrize("state", ClientState, ids=lambda state: state.name)
    def test_call_in_state_does_what_the_table_says(self, state: ClientState, call: str) -> None:
        machine = ready(state)
        following = CALLED[state].get(call)
        if following is None:
            with pytest.raises(CallOutOfTurn) as caught:
                self.CALLS[call](machine)
            assert (caught.value.call, caught.value.state) == (call, state.value)
            assert machine.state is state
        else:
            self.CALLS[call](machine)
            assert machine.state is following

    def test_tables_know_every_call_and_state(self) -> None:
        assert set(CALLED) == set(ClientState)
        assert {call for calls in CALLED.values() for call in calls} == set(self.CALLS)


class TestConnect:
    def test_connect_is_the_packet_of_its_arguments(self) -> None:
        arguments = {
            "user_name": "u",
            "password": b"p",
            "clean_session": False,
            "keep_alive_s": 30,
            "will": Will("t", b"gone", 1),
        }
        data = ClientMachine().connect("gw01", **arguments)
        assert Decoder().feed(data) == [Connect("gw01", **arguments)]

    def test_connect_that_cannot_be_sent_changes_nothing(self) -> None:
        machine = ClientMachine()
        with pytest.raises(PacketInvalid):
            machine.connect("a", password=b"p")
        assert machine.state is ClientState.IDLE

    @pytest.mark.parametrize("session_present", [True, False])
    def test_connack_0_connects_and_tells_of_the_session(self, session_present: bool) -> None:
        machine = machine_in(ClientState.CONNECTING)
        connack = ConnAck(session_present=session_present)
        assert machine.receive(connack.encode()) == [connack]
        assert machine.state is ClientState.CONNECTED

    @pytest.mark.parametrize(
        ("number", "code"),
        [
            (1, "connack-unacceptable-protocol-version"),
            (2, "connack-identifier-rejected"),
            (3, "connack-server-unavailable"),
            (4, "connack-bad-user-name-or-password"),
            (5, "connack-not-authorized"),
        ],
    )
    def test_connack_that_refuses_raises_by_name(self, number: int, code: str) -> None:
        machine = machine_in(ClientState.CONNECTING)
        with pytest.raises(ConnectRefused) as caught:
            machine.receive(bytes((0x20, 2, 0, number)))
        assert caught.value.return_code == ConnectReturnCode(number)
        assert caught.value.code == code
        assert f"return code {number}" in str(caught.value)
        assert caught.value.remedy
        assert machine.state is ClientState.CLOSED

    def test_connack_with_a_reserved_code_is_malformed(self) -> None:
        machine = machine_in(ClientState.CONNECTING)
        with pytest.raises(PacketMalformed):
            machine.receive(b"\x20\x02\x00\x06")
        assert machine.state is ClientState.CLOSED

    def test_refusal_before_malformed_bytes_is_what_counts(self) -> None:
        with pytest.raises(ConnectRefused):
            machine_in(ClientState.CONNECTING).receive(b"\x20\x02\x00\x05\x00")

    def test_other_packet_before_connack_is_a_violation(self) -> None:
        with pytest.raises(ProtocolViolation) as caught:
            machine_in(ClientState.CONNECTING).receive(PingResp().encode())
        assert caught.value.clause == "MQTT-3.2.0-1"

    def test_messages_right_behind_connack_are_reported(self) -> None:
        message = Publish("t", b"queued")
        machine = machine_in(ClientState.CONNECTING)
        assert machine.receive(ConnAck().encode() + message.encode()) == [ConnAck(), message]

    def test_next_connection_starts_without_bytes_of_the_last(self) -> None:
        machine = machine_in(ClientState.CONNECTED)
        machine.receive(b"\x30\x7f")
        machine.connection_lost()
        machine.connect("a")
        assert machine.receive(ConnAck().encode()) == [ConnAck()]

    def test_next_connection_follows_a_fault(self) -> None:
        machine = machine_in(ClientState.CONNECTING)
        with pytest.raises(PacketMalformed):
            machine.receive(b"\x00")
        machine.connection_lost()
        machine.connect("a")
        assert machine.receive(ConnAck().encode()) == [ConnAck()]


class TestPublish:
    def test_qos_0_has_no_id_and_takes_no_window(self, connected: ClientMachine) -> None:
        wire, packet_id = connected.publish("t", b"hi", retain=True)
        assert (wire, packet_id) == (bytes.fromhex("31050001746869"), None)
        assert connected.unacknowledged() == ()

    def test_qos_1_is_kept_until_its_puback(self) -> None:
        machine = machine_in(ClientState.CONNECTED, in_flight_window=2)
        wire, first = machine.publish("t", b"a", 1)
        assert (wire, first) == (bytes.fromhex("3206000174000161"), 1)
        machine.publish("t", b"b", 1)
        assert machine.window_free == 0
        with pytest.raises(InFlightWindowFull):
            machine.publish("t", b"c", 1)
        assert machine.receive(PubAck(1).encode()) == [PubAck(1)]
        assert [message.payload for message in machine.unacknowledged()] == [b"b"]
        assert machine.publish("t", b"c", 1)[1] == 3

    def test_full_window_leaves_requests_possible(self) -> None:
        machine = machine_in(ClientState.CONNECTED, in_flight_window=1)
        machine.publish("t", b"", 1)
        assert machine.subscribe([("t", 1)])[1] == 2
        assert machine.unsubscribe(["t"])[1] == 3

    def test_identifiers_of_requests_and_messages_never_coincide(self) -> None:
        machine = machine_in(ClientState.CONNECTED, in_flight_window=1)
        machine.subscribe([("t", 1)])
        for _ in range(65533):
            _, packet_id = machine.publish("t", b"", 1)
            assert packet_id is not None
            machine.receive(PubAck(packet_id).encode())
        assert packet_id == 65534
        assert [machine.unsubscribe(["t"])[1] for _ in range(2)] == [65535, 2]

    def test_unacknowledged_messages_are_sent_again_in_order_with_dup(self) -> None:
        machine = machine_in(ClientState.CONNECTED, clean_session=False)
        for payload in (b"a", b"b", b"c"):
            machine.publish("t", payload, 1, retain=payload == b"c")
        machine.receive(PubAck(2).encode())
        machine.connection_lost()
        machine.connect("gw01", clean_session=False)
        with pytest.raises(CallOutOfTurn):
            machine.resend()
        machine.receive(ConnAck(session_present=True).encode())
        again = [
            Publish("t", b"a", 1, dup=True, packet_id=1),
            Publish("t", b"c", 1, retain=True, dup=True, packet_id=3),
        ]
        assert list(machine.unacknowledged()) == again
        assert Decoder().feed(machine.resend()) == again
        assert machine.receive(PubAck(1).encode() + PubAck(3).encode()) == [PubAck(1), PubAck(3)]
        assert machine.resend() == b""

    def test_unacknowledged_messages_are_new_to_a_clean_session(self) -> None:
        machine = machine_in(ClientState.CONNECTED)
        machine.publish("t", b"a", 1)
        machine.connection_lost()
        machine.connect("gw01", clean_session=True)
        machine.receive(ConnAck().encode())
        assert machine.unacknowledged() == (Publish("t", b"a", 1, packet_id=1),)

    def test_puback_of_nothing_in_flight_is_a_violation(self, connected: ClientMachine) -> None:
        with pytest.raises(ProtocolViolation) as caught:
            connected.receive(PingResp().encode() + PubAck(1).encode())
        assert caught.value.clause == "MQTT-2.3.1-6"
        assert caught.value.preceding == (PingResp(),)

    def test_qos_2_is_refused(self, connected: ClientMachine) -> None:
        with pytest.raises(PacketInvalid, match="qos"):
            connected.publish("t", b"", 2)

    def test_message_that_cannot_be_sent_is_not_in_flight(self, connected: ClientMachine) -> None:
        with pytest.raises(PacketInvalid):
            connected.publish("a/#", b"", 1)
        assert connected.unacknowledged() == ()

    def test_literal_wildcards_pass_both_ways(self) -> None:
        machine = ClientMachine(literal_wildcards=True)
        machine.connect("a+", will=Will("devices/a+/x", b""))
        machine.receive(ConnAck().encode())
        publish = Publish("devices/a+/x", b"", 1, packet_id=1)
        wire = publish.encode(literal_wildcards=True)
        assert machine.publish("devices/a+/x", b"", 1) == (wire, 1)
        assert machine.receive(wire) == [publish]
        assert machine.resend()
        assert machine.subscribe([("devices/a+/x", 1)])
        assert machine.unsubscribe(["devices/a+/x"])


class TestReceivedMessages:
    def test_qos_1_is_acknowledged_once_by_the_caller(self, connected: ClientMachine) -> None:
        message = Publish("t", b"", 1, packet_id=300)
        assert connected.receive(message.encode()) == [message]
        assert connected.puback(300) == bytes.fromhex("4002012c")
        with pytest.raises(PacketIdUnknown) as caught:
            connected.puback(300)
        assert caught.value.packet_id == 300

    def test_qos_0_is_not_to_be_acknowledged(self, connected: ClientMachine) -> None:
        assert connected.receive(Publish("t", b"").encode()) == [Publish("t", b"")]
        with pytest.raises(PacketIdUnknown):
            connected.puback(1)

    def test_message_of_the_last_connection_is_not_acknowledged_in_the_next(
        self, connected: ClientMachine
    ) -> None:
        connected.receive(Publish("t", b"", 1, packet_id=300).encode())
        connected.connection_lost()
        connected.connect("a")
        connected.receive(ConnAck().encode())
        with pytest.raises(PacketIdUnknown):
            connected.puback(300)

    def test_qos_2_is_a_violation(self, connected: ClientMachine) -> None:
        with pytest.raises(ProtocolViolation) as caught:
            connected.receive(Publish("t", b"", 2, packet_id=1).encode())
        assert caught.value.clause == "MQTT-3.8.4-6"

    def test_sizes_over_the_limits_are_refused(self) -> None:
        machine = machine_in(ClientState.CONNECTED, max_packet_bytes=100)
        with pytest.raises(PacketTooLarge):
            machine.receive(Publish("t", b"x" * 100).encode())
        machine = machine_in(ClientState.CONNECTED, max_topic_bytes=10)
        with pytest.raises(PacketTooLarge):
            machine.receive(Publish("t" * 11, b"").encode())

    def test_events_before_malformed_bytes_are_handed_over(self, connected: ClientMachine) -> None:
        with pytest.raises(PacketMalformed) as caught:
            connected.receive(Publish("t", b"").encode() + b"\x00")
        assert caught.value.preceding == (Publish("t", b""),)

    def test_malformed_packet_that_the_state_forbids_anyway_is_a_violation(
        self, connected: ClientMachine
    ) -> None:
        with pytest.raises(ProtocolViolation) as caught:
            connected.receive(PingResp().encode() + b"\x10\x00")
        assert caught.value.clause == "§2.2.1"
        assert caught.value.preceding == (PingResp(),)

    def test_events_before_an_unfinished_illegal_packet_are_handed_over(
        self, connected: ClientMachine
    ) -> None:
        with pytest.raises(ProtocolViolation) as caught:
            connected.receive(Publish("t", b"").encode() + b"\xc0")
        assert caught.value.preceding == (Publish("t", b""),)


class TestRequests:
    def test_suback_is_reported_filter_by_filter(self, connected: ClientMachine) -> None:
        wire, packet_id = connected.subscribe([("a", 1), ("b/#", 0), ("c", 1)])
        assert Decoder().feed(wire) == [
            Subscribe(1, (Subscription("a", 1), Subscription("b/#", 0), Subscription("c", 1)))
        ]
        (event,) = connected.receive(SubAck(packet_id, (1, 0x80, 0)).encode())
        assert event == SubscriptionAnswered(
            1,
            (
                ("a", SubAckCode.GRANTED_QOS_1),
                ("b/#", SubAckCode.FAILURE),
                ("c", SubAckCode.GRANTED_QOS_0),
            ),
        )
        assert isinstance(event, SubscriptionAnswered)
        assert event.refused == ("b/#",)

    def test_suback_with_another_number_of_codes_is_a_violation(
        self, connected: ClientMachine
    ) -> None:
        _, packet_id = connected.subscribe([("a", 1)])
        with pytest.raises(ProtocolViolation) as caught:
            connected.receive(SubAck(packet_id, (1, 1)).encode())
        assert caught.value.clause == "MQTT-3.8.4-5"

    def test_unsuback_is_reported(self, connected: ClientMachine) -> None:
        wire, packet_id = connected.unsubscribe(["a", "b"])
        assert Decoder().feed(wire) == [Unsubscribe(1, ("a", "b"))]
        assert connected.receive(UnsubAck(packet_id).encode()) == [UnsubAck(1)]

    @pytest.mark.parametrize(
        "answer", [SubAck(2, (0,)), SubAck(3, (0,)), UnsubAck(1), UnsubAck(3), UnsubAck(4)]
    )
    def test_answer_to_another_request_is_a_violation(
        self, connected: ClientMachine, answer: SubAck | UnsubAck
    ) -> None:
        connected.subscribe([("a", 1)])
        connected.unsubscribe(["a"])
        connected.publish("t", b"", 1)
        with pytest.raises(ProtocolViolation) as caught:
            connected.receive(answer.encode())
        assert caught.value.clause == "MQTT-2.3.1-7"

    def test_requests_of_a_lost_connection_are_forgotten(self, connected: ClientMachine) -> None:
        _, packet_id = connected.subscribe([("a", 1)])
        connected.connection_lost()
        connected.connect("a")
        with pytest.raises(ProtocolViolation):
            connected.receive(ConnAck().encode() + SubAck(packet_id, (1,)).encode())

    def test_more_requests_than_the_bound_are_refused(self, connected: ClientMachine) -> None:
        for _ in range(MAX_PENDING_REQUESTS):
            connected.subscribe([("a", 1)])
        with pytest.raises(InFlightWindowFull):
            connected.subscribe([("a", 1)])
        with pytest.raises(InFlightWindowFull):
            connected.unsubscribe(["a"])

    def test_request_that_cannot_be_sent_is_not_awaited(self, connected: ClientMachine) -> None:
        for subscriptions in ([], [("a#", 0)], [("a", 2)]):
            with pytest.raises(PacketInvalid):
                connected.subscribe(subscriptions)
        with pytest.raises(PacketInvalid):
            connected.unsubscribe([])
        with pytest.raises(ProtocolViolation):
            connected.receive(SubAck(1, (0,)).encode())


class TestAnyBytes:
    @given(
        st.lists(packets, max_size=6),
        st.binary(max_size=20),
        st.lists(st.integers(1, 30), min_size=1, max_size=4),
    )
    @settings(deadline=None)
    def test_any_input_means_the_same_however_cut_and_raises_mqtt_errors_only(
        self, sent: list[Packet], noise: bytes, sizes: list[int]
    ) -> None:
        data = ConnAck().encode() + b"".join(packet.encode() for packet in sent) + noise
        assert _outcome([data]) == _outcome(list(cut(data, sizes)))


def _outcome(pieces: list[bytes]) -> tuple[list[ClientEvent], str | None]:
    """Return what a machine made of `pieces`, and the fault, if any."""
    machine = machine_in(ClientState.CONNECTING)
    events: list[ClientEvent] = []
    try:
        for piece in pieces:
            events += machine.receive(piece)
    except PeerError as fault:
        return [*events, *fault.preceding], str(fault)
    return events, None
