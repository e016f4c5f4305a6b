"""A server's end of one MQTT 3.1.1 connection: which packet is legal when.

Rules of this file:

1. Every transition stands in `RECEIVED` (by a packet of the client) or `CALLED` (by a call of this
   side); the code runs the tables, it has no transitions of its own.
2. Nothing is sent behind the caller's back: each answer is a call that returns bytes, and the
   caller sends them in the order in which it called.
3. A packet that its state does not list is a violation; so is the header of one, before its body
   has come. After a violation, a refusal or DISCONNECT, bytes of the client are dropped unread.
4. Who may do what (user name, topic, QoS 2, will) is for the caller to decide.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import Enum
from typing import TypeAlias

from mooring.protocol.mqtt.codes import ConnectReturnCode, PacketType
from mooring.protocol.mqtt.decoder import Decoder
from mooring.protocol.mqtt.errors import (
    CallOutOfTurn,
    ClientIdMissing,
    PacketIdUnknown,
    PacketInvalid,
    PeerError,
    ProtocolViolation,
)
from mooring.protocol.mqtt.in_flight import InFlight
from mooring.protocol.mqtt.limits import (
    DEFAULT_IN_FLIGHT_WINDOW,
    MAX_CONNECT_BYTES,
    MAX_HELD_BYTES,
    MAX_PACKET_BYTES,
    MAX_PACKET_ID,
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
    PubRel,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
)

ServerEvent: TypeAlias = (
    Connect | Publish | PubAck | PubRel | Subscribe | Unsubscribe | PingReq | Disconnect
)
"""What `ServerMachine.receive` reports: packets that are legal where they came."""


class ServerState(Enum):
    """Where the connection stands; the value completes "… is not possible while …"."""

    AWAITING_CONNECT = "no CONNECT has come"
    DECIDING = "a CONNECT awaits accept or refuse"
    CONNECTED = "the client is connected"
    CLOSED = "the connection is over"


_CONNECTED_PACKETS = (
    PacketType.PUBLISH,
    PacketType.PUBACK,
    PacketType.PUBREL,
    PacketType.SUBSCRIBE,
    PacketType.UNSUBSCRIBE,
    PacketType.PINGREQ,
)

RECEIVED: Mapping[ServerState, Mapping[PacketType, ServerState]] = {
    ServerState.AWAITING_CONNECT: {PacketType.CONNECT: ServerState.DECIDING},
    ServerState.CONNECTED: {
        **dict.fromkeys(_CONNECTED_PACKETS, ServerState.CONNECTED),
        PacketType.DISCONNECT: ServerState.CLOSED,
    },
}
"""State, packet of the client, next state. DECIDING and CLOSED read nothing."""

_CONNECTED_CALLS = ("suback", "unsuback", "pubacks", "publish", "pingresp")

CALLED: Mapping[ServerState, Mapping[str, ServerState]] = {
    ServerState.AWAITING_CONNECT: {},
    ServerState.DECIDING: {"accept": ServerState.CONNECTED, "refuse": ServerState.CLOSED},
    ServerState.CONNECTED: dict.fromkeys(_CONNECTED_CALLS, ServerState.CONNECTED),
    ServerState.CLOSED: {},
}
"""State, call of this side, next state."""

_SERVER_ONLY = frozenset(
    {PacketType.CONNACK, PacketType.SUBACK, PacketType.UNSUBACK, PacketType.PINGRESP}
)

_PUBACK_WORD = 0x40020000


class ServerMachine:
    """Checks what a client sends and builds what a server answers.

    A client may send on right behind its CONNECT (§3.1.4, non normative). Those bytes are kept
    unread until `accept`; then `resume` reports what is in them.
    """

    __slots__ = (
        "_connect",
        "_decoder",
        "_in_flight",
        "_literal_wildcards",
        "_max_packet_bytes",
        "_requests",
        "_state",
        "stray_acknowledgements",
    )

    def __init__(
        self,
        *,
        max_packet_bytes: int = MAX_PACKET_BYTES,
        max_topic_bytes: int = MAX_TOPIC_BYTES,
        in_flight_window: int = DEFAULT_IN_FLIGHT_WINDOW,
        literal_wildcards: bool = False,
    ) -> None:
        """Start before CONNECT.

        Args:
            max_packet_bytes: Largest packet of a connected client, bytes. Until `accept` the
                smaller of this and `MAX_CONNECT_BYTES` holds.
            max_topic_bytes: Largest topic name or filter, bytes.
            in_flight_window: QoS 1 messages sent and not acknowledged at once, at least 1
                and at most `MAX_IN_FLIGHT_WINDOW`.
            literal_wildcards: Take ``+`` and ``#`` in topics literally, see `TopicRules`.
        """
        self._state = ServerState.AWAITING_CONNECT
        self._max_packet_bytes = max_packet_bytes
        self._literal_wildcards = literal_wildcards
        self._decoder = Decoder(
            max_packet_bytes=min(max_packet_bytes, MAX_CONNECT_BYTES),
            max_topic_bytes=max_topic_bytes,
            literal_wildcards=literal_wildcards,
            stops_after=(PacketType.CONNECT, PacketType.DISCONNECT),
        )
        self._connect: Connect | None = None
        self._in_flight: InFlight[None] = InFlight(in_flight_window)
        self._requests: dict[int, int | None] = {}
        self.stray_acknowledgements = 0
        """PUBACKs for nothing in flight: legal after a re-delivery, so counted and dropped."""

    @property
    def state(self) -> ServerState:
        """Return where the connection stands."""
        return self._state

    @property
    def connect(self) -> Connect | None:
        """Return the client's CONNECT; None before it."""
        return self._connect

    @property
    def window_free(self) -> int:
        """Return how many more QoS 1 messages may be sent before an acknowledgement."""
        return self._in_flight.free

    def receive(self, data: bytes | bytearray | memoryview) -> list[ServerEvent]:
        """Return what the client's next bytes mean, in order; none is no error.

        Raises:
            PeerError: `ProtocolViolation` or an error of the decoder. Send its `reply`, then
                close; events before the fault are in its `preceding`. The machine is CLOSED.
        """
        state = self._state
        if state is ServerState.CLOSED or (not data and not self._decoder.pending_bytes):
            return []
        if state is ServerState.DECIDING:
            self._decoder.hold(data)
            self._check_held()
            return []
        try:
            packets = self._decoder.feed(data)
        except PeerError as fault:
            fault.preceding = tuple(self._admit(fault.preceding))
            self._check_type(fault.packet_type, fault.preceding)
            self._close()
            raise
        for packet in packets:
            if packet.__class__ is not Publish or state is not ServerState.CONNECTED:
                events = self._admit(packets)
                break
        else:
            # Nothing but PUBLISH, as telemetry is: the decoder has checked all there is.
            events = packets  # type: ignore[assignment]  # all of them are Publish
        self._check_unfinished(events)
        return events

    def resume(self) -> list[ServerEvent]:
        """Return what was sent ahead of the CONNACK; to be called after `accept`."""
        return self.receive(b"")

    def accept(self, *, session_present: bool = False) -> bytes:
        """Return CONNACK 0; the client is connected. Then call `resume`.

        Raises:
            PacketInvalid: A session is claimed for a client that asked for a clean one.
        """
        following = self._following("accept")
        if session_present and self._connect is not None and self._connect.clean_session:
            raise PacketInvalid(
                "session_present", "is True for a clean session", clause="MQTT-3.2.2-1"
            )
        self._state = following
        self._decoder.max_packet_bytes = self._max_packet_bytes
        return ConnAck(ConnectReturnCode.ACCEPTED, session_present).encode()

    def refuse(self, return_code: ConnectReturnCode) -> bytes:
        """Return CONNACK with `return_code`, not 0; close after sending it [MQTT-3.2.2-5]."""
        following = self._following("refuse")
        if return_code == ConnectReturnCode.ACCEPTED:
            raise PacketInvalid("return_code", "is 0, which accepts")
        self._state = following
        # Nothing that the client sent behind its CONNECT is processed [MQTT-3.1.4-5].
        self._decoder.discard()
        return ConnAck(return_code).encode()

    def suback(self, packet_id: int, codes: Sequence[int]) -> bytes:
        """Return the answer to the SUBSCRIBE under `packet_id`, one code per filter in its order.

        Args:
            packet_id: Of the SUBSCRIBE.
            codes: `SubAckCode` values.

        Raises:
            PacketIdUnknown: No SUBSCRIBE waits under it.
            PacketInvalid: Too few, too many or reserved codes.
        """
        self._following("suback")
        filters = self._requests.get(packet_id)
        if filters is None:
            raise PacketIdUnknown("suback", packet_id)
        if len(codes) != filters:
            raise PacketInvalid(
                "codes", f"has {len(codes)} codes for {filters} filters", clause="MQTT-3.8.4-5"
            )
        encoded = SubAck(packet_id, tuple(codes)).encode()
        del self._requests[packet_id]
        return encoded

    def unsuback(self, packet_id: int) -> bytes:
        """Return the answer to the UNSUBSCRIBE under `packet_id`.

        Raises:
            PacketIdUnknown: No UNSUBSCRIBE waits under it.
        """
        self._following("unsuback")
        if self._requests.get(packet_id, 0) is not None:
            raise PacketIdUnknown("unsuback", packet_id)
        del self._requests[packet_id]
        return UnsubAck(packet_id).encode()

    def pubacks(self, packet_ids: Iterable[int]) -> bytes:
        """Return one PUBACK for each of `packet_ids`, in their order, as one run of bytes.

        Call it in the order in which the messages came [MQTT-4.6.0-2]. Which QoS 1 messages wait
        for it is not tracked here.

        Raises:
            PacketInvalid: An identifier is not 1 to 65535.
        """
        self._following("pubacks")
        ids = list(packet_ids)
        if not ids:
            return b""
        if min(ids) < 1 or max(ids) > MAX_PACKET_ID:
            raise PacketInvalid("packet_ids", "has one not 1 to 65535", clause="MQTT-2.3.1-1")
        # A PUBACK is a 32-bit word: 40 02 and the identifier.
        return struct.pack(f">{len(ids)}I", *[_PUBACK_WORD | packet_id for packet_id in ids])

    def publish(
        self,
        topic: str,
        payload: bytes,
        qos: int = 0,
        *,
        dup: bool = False,
        retain: bool = False,
        packet_id: int | None = None,
        taken: Collection[int] = (),
    ) -> tuple[bytes, int | None]:
        """Return a PUBLISH to the client and its packet identifier, None for QoS 0.

        A QoS 1 message is in flight until the client's `PubAck` event.

        Args:
            topic: Topic name.
            payload: The message.
            qos: 0 or 1; never more than was granted to the subscription.
            dup: This message was sent before, in an earlier connection of the session.
            retain: The message is a retained one, sent because of a new subscription.
            packet_id: With `dup` and only then: the identifier it had [MQTT-4.4.0-1].
            taken: Identifiers that no new message is to get, of those that are sent again later.

        Raises:
            InFlightWindowFull: Wait for an acknowledgement first.
            PacketInvalid: An argument cannot be sent.
        """
        self._following("publish")
        if qos == 0:
            message = Publish(topic, payload, 0, retain, dup, packet_id)
            return message.encode(literal_wildcards=self._literal_wildcards), None
        if qos != 1:
            raise PacketInvalid("qos", f"is {qos}; this machine sends 0 and 1")
        if dup != (packet_id is not None):
            raise PacketInvalid("packet_id", "and dup come together", clause="MQTT-3.3.1-1")
        if packet_id is None or packet_id not in self._in_flight:
            self._in_flight.check_room()
        if packet_id is None:
            packet_id = self._in_flight.next_id(taken=taken)
        message = Publish(topic, payload, 1, retain, dup, packet_id)
        encoded = message.encode(literal_wildcards=self._literal_wildcards)
        self._in_flight.add(packet_id, None)
        return encoded, packet_id

    def pingresp(self) -> bytes:
        """Return the answer to PINGREQ [MQTT-3.12.4-1]."""
        self._following("pingresp")
        return PingResp().encode()

    def _following(self, call: str) -> ServerState:
        """Return the state after `call`, which must be possible now."""
        following = CALLED[self._state].get(call)
        if following is None:
            raise CallOutOfTurn(call, self._state.value)
        return following

    def _admit(self, packets: Sequence[Packet]) -> list[ServerEvent]:
        """Run `packets` through the table; return the events among them."""
        events: list[ServerEvent] = []
        for packet in packets:
            following = RECEIVED[self._state].get(packet.packet_type)
            try:
                if following is None:
                    raise _violation(self._state, packet.packet_type)
                if self._check(packet):
                    events.append(packet)  # type: ignore[arg-type]  # the table lists events only
            except ProtocolViolation as violation:
                violation.preceding = tuple(events)
                self._close()
                raise
            self._state = following
        if self._state is ServerState.CLOSED:
            self._decoder.discard()
        return events

    def _check(self, packet: Packet) -> bool:
        """Check one packet against what went before; return whether the caller is to see it."""
        if isinstance(packet, PubAck):
            if packet.packet_id not in self._in_flight:
                self.stray_acknowledgements += 1
                return False
            self._in_flight.take(packet.packet_id)
        elif isinstance(packet, Subscribe):
            self._await_answer(packet.packet_id, len(packet.subscriptions))
        elif isinstance(packet, Unsubscribe):
            self._await_answer(packet.packet_id, None)
        elif isinstance(packet, Connect):
            if not packet.client_id and not packet.clean_session:
                raise ClientIdMissing
            self._connect = packet
        return True

    def _await_answer(self, packet_id: int, filters: int | None) -> None:
        """Note a request that this side has to answer."""
        if packet_id in self._requests:
            raise ProtocolViolation(
                f"packet id {packet_id} is in use by a request without answer",
                clause="MQTT-2.3.1-2",
            )
        if len(self._requests) >= MAX_PENDING_REQUESTS:
            raise ProtocolViolation(f"more than {MAX_PENDING_REQUESTS} requests without answer")
        self._requests[packet_id] = filters

    def _check_unfinished(self, events: Sequence[ServerEvent]) -> None:
        """Refuse a packet by its header, when its state would refuse the whole."""
        if self._state is ServerState.DECIDING:
            self._check_held()
            return
        self._check_type(self._decoder.pending_type, events)

    def _check_type(self, packet_type: PacketType | None, events: Sequence[ServerEvent]) -> None:
        """Refuse a packet for its type, whatever else is wrong or missing in it."""
        if packet_type is not None and packet_type not in RECEIVED[self._state]:
            violation = _violation(self._state, packet_type)
            violation.preceding = tuple(events)
            self._close()
            raise violation

    def _check_held(self) -> None:
        """Bound what a client sends ahead of its CONNACK."""
        if self._decoder.pending_bytes > MAX_HELD_BYTES:
            # A CONNECT in the same bytes is not among `preceding`: nothing can be answered to it.
            self._close()
            raise ProtocolViolation(
                f"client sent more than {MAX_HELD_BYTES} bytes ahead of CONNACK",
                remedy="Wait for CONNACK before sending messages.",
            )

    def _close(self) -> None:
        """Read nothing more."""
        self._state = ServerState.CLOSED
        self._decoder.discard()


def _violation(state: ServerState, packet_type: PacketType) -> ProtocolViolation:
    """Return why the table does not list `packet_type` in `state`."""
    name = packet_type.name
    if state is ServerState.AWAITING_CONNECT:
        return ProtocolViolation(f"first packet is {name}, not CONNECT", clause="MQTT-3.1.0-1")
    if packet_type is PacketType.CONNECT:
        return ProtocolViolation("second CONNECT", clause="MQTT-3.1.0-2")
    if packet_type in _SERVER_ONLY:
        return ProtocolViolation(f"{name} is for servers to send", clause="§2.2.1")
    return ProtocolViolation(
        f"{name} answers a QoS 2 message, and none was sent", clause="MQTT-4.3.3-1"
    )
