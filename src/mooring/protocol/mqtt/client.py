"""A client's end of MQTT 3.1.1 connections to one server: which packet is legal when.

Rules of this file:

1. Every transition stands in `RECEIVED` (by a packet of the server) or `CALLED` (by a call of this
   side); the code runs the tables, it has no transitions of its own.
2. Nothing is sent behind the caller's back: each call returns the bytes to send.
3. A packet that its state does not list is a violation; so is the header of one, before its body
   has come. After a violation, a refusal or `disconnect`, bytes of the server are dropped unread.
4. A QoS 1 message is this side's until its PUBACK, over as many connections as that takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from mooring.protocol.mqtt.codes import ConnectReturnCode, PacketType, SubAckCode
from mooring.protocol.mqtt.decoder import Decoder
from mooring.protocol.mqtt.errors import (
    CallOutOfTurn,
    ConnectRefused,
    InFlightWindowFull,
    PacketIdUnknown,
    PacketInvalid,
    PeerError,
    ProtocolViolation,
)
from mooring.protocol.mqtt.in_flight import InFlight
from mooring.protocol.mqtt.limits import (
    DEFAULT_IN_FLIGHT_WINDOW,
    MAX_PACKET_BYTES,
    MAX_PENDING_REQUESTS,
    MAX_TOPIC_BYTES,
)
from mooring.protocol.mqtt.packets import (
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    PubAck,
    Publish,
    SubAck,
    Subscribe,
    Subscription,
    UnsubAck,
    Unsubscribe,
    Will,
)


@dataclass(frozen=True, slots=True)
class SubscriptionAnswered:
    """The server's answer to a SUBSCRIBE, filter by filter in the order of the request."""

    packet_id: int
    answers: tuple[tuple[str, SubAckCode], ...]

    @property
    def refused(self) -> tuple[str, ...]:
        """Return the filters under which nothing will come."""
        return tuple(name for name, code in self.answers if code is SubAckCode.FAILURE)


ClientEvent: TypeAlias = ConnAck | Publish | PubAck | SubscriptionAnswered | UnsubAck | PingResp
"""What `ClientMachine.receive` reports. A CONNACK is always an acceptance; a PUBLISH of QoS 1
waits for `ClientMachine.puback`."""


class ClientState(Enum):
    """Where the connection stands; the value completes "… is not possible while …"."""

    IDLE = "there is no connection"
    CONNECTING = "CONNACK is awaited"
    CONNECTED = "the client is connected"
    CLOSED = "the connection is over"


RECEIVED: Mapping[ClientState, Mapping[PacketType, ClientState]] = {
    ClientState.CONNECTING: {PacketType.CONNACK: ClientState.CONNECTED},
    ClientState.CONNECTED: dict.fromkeys(
        (
            PacketType.PUBLISH,
            PacketType.PUBACK,
            PacketType.SUBACK,
            PacketType.UNSUBACK,
            PacketType.PINGRESP,
        ),
        ClientState.CONNECTED,
    ),
}
"""State, packet of the server, next state. IDLE and CLOSED read nothing."""

CALLED: Mapping[ClientState, Mapping[str, ClientState]] = {
    ClientState.IDLE: {"connect": ClientState.CONNECTING, "connection_lost": ClientState.IDLE},
    ClientState.CONNECTING: {"connection_lost": ClientState.IDLE},
    ClientState.CONNECTED: {
        **dict.fromkeys(
            ("publish", "resend", "puback", "subscribe", "unsubscribe", "ping"),
            ClientState.CONNECTED,
        ),
        "disconnect": ClientState.CLOSED,
        "connection_lost": ClientState.IDLE,
    },
    ClientState.CLOSED: {"connection_lost": ClientState.IDLE},
}
"""State, call of this side, next state."""


class ClientMachine:
    """Builds what a client sends, and checks what the server answers. QoS 0 and 1 only.

    One machine serves connection after connection: `connect`, …, `connection_lost`, `connect`, ….
    Unacknowledged QoS 1 messages stay with it; `resend` them after each CONNACK.
    """

    __slots__ = (
        "_clean_session",
        "_decoder",
        "_decoder_limits",
        "_in_flight",
        "_literal_wildcards",
        "_requests",
        "_state",
        "_to_acknowledge",
    )

    def __init__(
        self,
        *,
        max_packet_bytes: int = MAX_PACKET_BYTES,
        max_topic_bytes: int = MAX_TOPIC_BYTES,
        in_flight_window: int = DEFAULT_IN_FLIGHT_WINDOW,
        literal_wildcards: bool = False,
    ) -> None:
        """Start without a connection.

        Args:
            max_packet_bytes: Largest packet of the server, bytes.
            max_topic_bytes: Largest topic name of the server, bytes.
            in_flight_window: QoS 1 messages sent and not acknowledged at once, at least 1
                and at most `MAX_IN_FLIGHT_WINDOW`.
            literal_wildcards: Take ``+`` and ``#`` in topics literally, see `TopicRules`.
        """
        self._state = ClientState.IDLE
        self._literal_wildcards = literal_wildcards
        self._decoder_limits = (max_packet_bytes, max_topic_bytes)
        self._decoder = self._new_decoder()
        self._clean_session = True
        self._in_flight: InFlight[Publish] = InFlight(in_flight_window)
        # What each SUBSCRIBE asked for; None stands for an UNSUBSCRIBE.
        self._requests: dict[int, tuple[str, ...] | None] = {}
        self._to_acknowledge: set[int] = set()

    @property
    def state(self) -> ClientState:
        """Return where the connection stands."""
        return self._state

    @property
    def window_free(self) -> int:
        """Return how many more QoS 1 messages may be sent before an acknowledgement."""
        return self._in_flight.free

    def connect(
        self,
        client_id: str,
        *,
        user_name: str | None = None,
        password: bytes | None = None,
        clean_session: bool = True,
        keep_alive_s: int = 60,
        will: Will | None = None,
    ) -> bytes:
        """Return CONNECT, the first bytes of a connection; see `Connect` for the arguments.

        Raises:
            PacketInvalid: An argument cannot be sent.
        """
        following = self._following("connect")
        packet = Connect(client_id, clean_session, keep_alive_s, user_name, password, will)
        encoded = packet.encode(literal_wildcards=self._literal_wildcards)
        self._clean_session = clean_session
        self._state = following
        return encoded

    def connection_lost(self) -> None:
        """Note that the connection is gone, for whatever reason; `connect` starts the next.

        Unanswered subscriptions are forgotten, unacknowledged messages are kept.
        """
        self._state = self._following("connection_lost")
        self._decoder = self._new_decoder()
        self._requests.clear()
        self._to_acknowledge.clear()

    def receive(self, data: bytes | bytearray | memoryview) -> list[ClientEvent]:
        """Return what the server's next bytes mean, in order; none is no error.

        Raises:
            ConnectRefused: CONNACK with another return code than 0; the server closes.
            PeerError: `ProtocolViolation` or an error of the decoder: close the connection.
                Events before the fault are in its `preceding`.
        """
        if self._state not in RECEIVED:
            return []
        try:
            packets = self._decoder.feed(data)
        except PeerError as fault:
            fault.preceding = tuple(self._admit(fault.preceding))
            self._check_type(fault.packet_type, fault.preceding)
            self._state = ClientState.CLOSED
            raise
        events = self._admit(packets)
        self._check_type(self._decoder.pending_type, events)
        return events

    def publish(
        self, topic: str, payload: bytes, qos: int = 0, *, retain: bool = False
    ) -> tuple[bytes, int | None]:
        """Return a PUBLISH and its packet identifier, None for QoS 0.

        A QoS 1 message is in flight until the server's `PubAck` event.

        Raises:
            InFlightWindowFull: Wait for an acknowledgement first.
            PacketInvalid: An argument cannot be sent.
        """
        self._following("publish")
        if qos == 0:
            message = Publish(topic, payload, 0, retain)
            return message.encode(literal_wildcards=self._literal_wildcards), None
        if qos != 1:
            raise PacketInvalid("qos", f"is {qos}; this machine sends 0 and 1")
        self._in_flight.check_room()
        packet_id = self._in_flight.next_id(taken=self._requests)
        message = Publish(topic, payload, 1, retain, dup=False, packet_id=packet_id)
        encoded = message.encode(literal_wildcards=self._literal_wildcards)
        self._in_flight.add(packet_id, message)
        return encoded, packet_id

    def unacknowledged(self) -> tuple[Publish, ...]:
        """Return the QoS 1 messages without PUBACK, oldest first, as they are sent again.

        They bear the DUP flag [MQTT-3.3.1-1], unless the last `connect` began a clean session:
        to such a session they are new.
        """
        dup = not self._clean_session
        return tuple(message._replace(dup=dup) for message in self._in_flight)

    def resend(self) -> bytes:
        """Return all unacknowledged messages, to be sent right after CONNACK [MQTT-4.4.0-1]."""
        self._following("resend")
        return b"".join(
            message.encode(literal_wildcards=self._literal_wildcards)
            for message in self.unacknowledged()
        )

    def puback(self, packet_id: int) -> bytes:
        """Return the acknowledgement of a received QoS 1 message, in the order of their coming.

        Raises:
            PacketIdUnknown: No message of this connection waits for it.
        """
        self._following("puback")
        if packet_id not in self._to_acknowledge:
            raise PacketIdUnknown("puback", packet_id)
        self._to_acknowledge.remove(packet_id)
        return PubAck(packet_id).encode()

    def subscribe(self, subscriptions: Sequence[tuple[str, int]]) -> tuple[bytes, int]:
        """Return a SUBSCRIBE and its packet identifier; `SubscriptionAnswered` will answer it.

        Args:
            subscriptions: Topic filters, each with the largest QoS wanted: 0 or 1.

        Raises:
            PacketInvalid: A filter or QoS cannot be sent.
            InFlightWindowFull: Too many requests without answer.
        """
        self._following("subscribe")
        for _, qos in subscriptions:
            if qos not in (0, 1):
                raise PacketInvalid("qos", f"is {qos}; this machine takes 0 and 1")
        packet_id = self._next_request_id()
        wanted = tuple(Subscription(name, qos) for name, qos in subscriptions)
        encoded = Subscribe(packet_id, wanted).encode(literal_wildcards=self._literal_wildcards)
        self._requests[packet_id] = tuple(name for name, _ in wanted)
        return encoded, packet_id

    def unsubscribe(self, topic_filters: Sequence[str]) -> tuple[bytes, int]:
        """Return an UNSUBSCRIBE and its packet identifier; `UnsubAck` will answer it.

        Raises:
            PacketInvalid: A filter cannot be sent.
            InFlightWindowFull: Too many requests without answer.
        """
        self._following("unsubscribe")
        packet_id = self._next_request_id()
        packet = Unsubscribe(packet_id, tuple(topic_filters))
        encoded = packet.encode(literal_wildcards=self._literal_wildcards)
        self._requests[packet_id] = None
        return encoded, packet_id

    def ping(self) -> bytes:
        """Return PINGREQ; when it is due, `KeepAlive` tells."""
        self._following("ping")
        return PingReq().encode()

    def disconnect(self) -> bytes:
        """Return DISCONNECT, the last bytes of the connection; close after it [MQTT-3.14.4-1]."""
        self._state = self._following("disconnect")
        return Disconnect().encode()

    def _new_decoder(self) -> Decoder:
        max_packet_bytes, max_topic_bytes = self._decoder_limits
        return Decoder(
            max_packet_bytes=max_packet_bytes,
            max_topic_bytes=max_topic_bytes,
            literal_wildcards=self._literal_wildcards,
        )

    def _next_request_id(self) -> int:
        if len(self._requests) >= MAX_PENDING_REQUESTS:
            raise InFlightWindowFull(MAX_PENDING_REQUESTS)
        return self._in_flight.next_id(taken=self._requests)

    def _following(self, call: str) -> ClientState:
        """Return the state after `call`, which must be possible now."""
        following = CALLED[self._state].get(call)
        if following is None:
            raise CallOutOfTurn(call, self._state.value)
        return following

    def _admit(self, packets: Sequence[Packet]) -> list[ClientEvent]:
        """Run `packets` through the table; return what they mean."""
        events: list[ClientEvent] = []
        for packet in packets:
            following = RECEIVED[self._state].get(packet.packet_type)
            try:
                if following is None:
                    raise _violation(self._state, packet.packet_type)
                events.append(self._event(packet))
            except ProtocolViolation as violation:
                violation.preceding = tuple(events)
                self._state = ClientState.CLOSED
                raise
            except ConnectRefused:
                self._state = ClientState.CLOSED
                raise
            self._state = following
        return events

    def _check_type(self, packet_type: PacketType | None, events: Sequence[ClientEvent]) -> None:
        """Refuse a packet for its type, whatever else is wrong or missing in it."""
        if packet_type is not None and packet_type not in RECEIVED[self._state]:
            violation = _violation(self._state, packet_type)
            violation.preceding = tuple(events)
            self._state = ClientState.CLOSED
            raise violation

    def _event(self, packet: Packet) -> ClientEvent:
        """Check one packet against what went before; return what it means."""
        match packet:
            case Publish():
                self._take_message(packet)
                return packet
            case PubAck(packet_id):
                if packet_id not in self._in_flight:
                    raise _unasked(packet)
                self._in_flight.take(packet_id)
                return packet
            case SubAck():
                return self._take_suback(packet)
            case UnsubAck(packet_id):
                if self._requests.get(packet_id, ()) is not None:
                    raise _unasked(packet)
                del self._requests[packet_id]
                return packet
            case ConnAck(return_code):
                if return_code is not ConnectReturnCode.ACCEPTED:
                    raise ConnectRefused(return_code)
                return packet
            case _:
                return PingResp()

    def _take_message(self, message: Publish) -> None:
        if message.qos == 2:
            # A server never exceeds the QoS that it granted [MQTT-3.8.4-6].
            raise ProtocolViolation(
                "PUBLISH has QoS 2, and no subscription asked for it", clause="MQTT-3.8.4-6"
            )
        if message.packet_id is not None:
            self._to_acknowledge.add(message.packet_id)

    def _take_suback(self, packet: SubAck) -> SubscriptionAnswered:
        filters = self._requests.get(packet.packet_id)
        if filters is None:
            raise _unasked(packet)
        if len(packet.codes) != len(filters):
            raise ProtocolViolation(
                f"SUBACK has {len(packet.codes)} codes for {len(filters)} filters",
                clause="MQTT-3.8.4-5",
            )
        del self._requests[packet.packet_id]
        codes = (SubAckCode(code) for code in packet.codes)
        return SubscriptionAnswered(packet.packet_id, tuple(zip(filters, codes, strict=True)))


def _unasked(packet: PubAck | SubAck | UnsubAck) -> ProtocolViolation:
    """Return the violation of an answer without question."""
    clause = "MQTT-2.3.1-6" if isinstance(packet, PubAck) else "MQTT-2.3.1-7"
    return ProtocolViolation(
        f"{packet.packet_type.name} for packet id {packet.packet_id}, which nothing waits for",
        clause=clause,
    )


def _violation(state: ClientState, packet_type: PacketType) -> ProtocolViolation:
    """Return why the table does not list `packet_type` in `state`."""
    name = packet_type.name
    if state is ClientState.CONNECTING:
        return ProtocolViolation(f"first packet is {name}, not CONNACK", clause="MQTT-3.2.0-1")
    if packet_type is PacketType.CONNACK:
        return ProtocolViolation("second CONNACK", clause="§3.2")
    if packet_type in (PacketType.PUBREC, PacketType.PUBREL, PacketType.PUBCOMP):
        return ProtocolViolation(
            f"{name} belongs to a QoS 2 message, and there is none", clause="MQTT-4.3.3-1"
        )
    return ProtocolViolation(f"{name} is for clients to send", clause="§2.2.1")
