"""CONNECT and CONNACK (MQTT 3.1.1 §3.1, §3.2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from mooring.protocol.mqtt.codes import ConnectReturnCode, PacketType
from mooring.protocol.mqtt.errors import (
    PacketInvalid,
    PacketMalformed,
    ProtocolLevelUnsupported,
)
from mooring.protocol.mqtt.limits import (
    MAX_CLIENT_ID_BYTES,
    MAX_KEEP_ALIVE_S,
    MAX_PASSWORD_BYTES,
    MAX_USER_NAME_BYTES,
)
from mooring.protocol.mqtt.primitives import (
    TopicRules,
    decode_topic_name,
    encode_binary,
    encode_packet,
    encode_string,
    encode_topic_name,
    take_binary,
    take_string,
    take_uint16,
)

PROTOCOL_NAME = "MQTT"
PROTOCOL_LEVEL = 4

_USER_NAME = 0x80
_PASSWORD = 0x40
_WILL_RETAIN = 0x20
_WILL_QOS_SHIFT = 3
_WILL = 0x04
_CLEAN_SESSION = 0x02
_RESERVED = 0x01


@dataclass(frozen=True, slots=True)
class Will:
    """The message that a server publishes for a client that is gone without DISCONNECT."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False


@dataclass(frozen=True, slots=True)
class Connect:
    """A client's first packet (§3.1). Protocol name and level are always ``"MQTT"`` and 4.

    Attributes:
        keep_alive_s: Longest silence of the client, seconds; 0 turns keep-alive off.
        password: Binary by the specification; not shown by ``repr``.
    """

    packet_type: ClassVar[PacketType] = PacketType.CONNECT

    client_id: str
    clean_session: bool = True
    keep_alive_s: int = 60
    user_name: str | None = None
    password: bytes | None = field(default=None, repr=False)
    will: Will | None = None

    def encode(self, *, literal_wildcards: bool = False) -> bytes:
        """Return the packet's bytes.

        Raises:
            PacketInvalid: A field cannot be sent.
        """
        if not 0 <= self.keep_alive_s <= MAX_KEEP_ALIVE_S:
            raise PacketInvalid("keep_alive_s", f"is {self.keep_alive_s}, not 0 to 65535")
        if not self.client_id and not self.clean_session:
            raise PacketInvalid(
                "client_id", "is empty although clean_session is False", clause="MQTT-3.1.3-7"
            )
        if self.password is not None and self.user_name is None:
            raise PacketInvalid("password", "is given without a user_name", clause="MQTT-3.1.2-22")
        flags = _CLEAN_SESSION if self.clean_session else 0
        # The order of the fields is fixed [MQTT-3.1.3-1].
        payload = [encode_string(self.client_id, "client_id")]
        if self.will is not None:
            if self.will.qos not in (0, 1, 2):
                raise PacketInvalid(
                    "will.qos", f"is {self.will.qos}, not 0, 1 or 2", clause="MQTT-3.1.2-14"
                )
            flags |= _WILL | self.will.qos << _WILL_QOS_SHIFT
            flags |= _WILL_RETAIN if self.will.retain else 0
            payload.append(encode_topic_name(self.will.topic, literal_wildcards=literal_wildcards))
            payload.append(encode_binary(self.will.payload, "will.payload"))
        if self.user_name is not None:
            flags |= _USER_NAME
            payload.append(encode_string(self.user_name, "user_name"))
        if self.password is not None:
            flags |= _PASSWORD
            payload.append(encode_binary(self.password, "password"))
        head = b"\x00\x04MQTT\x04" + bytes((flags,)) + self.keep_alive_s.to_bytes(2, "big")
        return encode_packet(0x10, head + b"".join(payload))


def decode_connect(body: bytes, rules: TopicRules) -> Connect:
    """Return the CONNECT in `body`.

    Raises:
        ProtocolLevelUnsupported: Another version of MQTT; nothing behind its level is read.
    """
    flags, keep_alive_s, position = _take_connect_head(body)
    client_id, position = take_string(body, position, "client id", limit_bytes=MAX_CLIENT_ID_BYTES)
    will = None
    if flags & _WILL:
        encoded_topic, position = take_binary(body, position, "will topic")
        will_payload, position = take_binary(body, position, "will payload")
        will = Will(
            topic=decode_topic_name(encoded_topic, rules),
            payload=will_payload,
            qos=flags >> _WILL_QOS_SHIFT & 3,
            retain=bool(flags & _WILL_RETAIN),
        )
    user_name = None
    if flags & _USER_NAME:
        user_name, position = take_string(
            body, position, "user name", limit_bytes=MAX_USER_NAME_BYTES
        )
    password = None
    if flags & _PASSWORD:
        password, position = take_binary(body, position, "password", limit_bytes=MAX_PASSWORD_BYTES)
    if position != len(body):
        # Fields without their flag must be absent [MQTT-3.1.2-11, -18, -20].
        raise PacketMalformed(
            f"CONNECT has {len(body) - position} bytes behind its last field",
            clause="MQTT-3.1.4-1",
        )
    return Connect(
        client_id=client_id,
        clean_session=bool(flags & _CLEAN_SESSION),
        keep_alive_s=keep_alive_s,
        user_name=user_name,
        password=password,
        will=will,
    )


def _take_connect_head(body: bytes) -> tuple[int, int, int]:
    """Take protocol name, level, flags and keep-alive; return flags, keep-alive, position."""
    protocol_name, position = take_string(body, 0, "protocol name")
    # MQIsdp is the name under MQTT 3.1: its clients, too, are told the version by CONNACK 1.
    if protocol_name not in (PROTOCOL_NAME, "MQIsdp"):
        raise PacketMalformed(
            f"protocol name is {protocol_name[:16]!r}, not 'MQTT'", clause="MQTT-3.1.2-1"
        )
    # The header's least length vouches for all bytes up to the keep-alive.
    protocol_level = body[position]
    if protocol_level != PROTOCOL_LEVEL or protocol_name != PROTOCOL_NAME:
        raise ProtocolLevelUnsupported(protocol_name, protocol_level)
    flags = body[position + 1]
    if flags & _RESERVED:
        raise PacketMalformed("reserved connect flag is 1", clause="MQTT-3.1.2-3")
    if flags & _WILL:
        if flags >> _WILL_QOS_SHIFT & 3 == 3:
            raise PacketMalformed("will QoS is 3", clause="MQTT-3.1.2-14")
    elif flags >> _WILL_QOS_SHIFT & 3:
        raise PacketMalformed("will QoS is set without a will", clause="MQTT-3.1.2-13")
    elif flags & _WILL_RETAIN:
        raise PacketMalformed("will retain is set without a will", clause="MQTT-3.1.2-15")
    if flags & _PASSWORD and not flags & _USER_NAME:
        raise PacketMalformed("password flag is set without a user name", clause="MQTT-3.1.2-22")
    keep_alive_s, position = take_uint16(body, position + 2, "keep-alive")
    return flags, keep_alive_s, position


@dataclass(frozen=True, slots=True)
class ConnAck:
    """The server's answer to CONNECT (§3.2)."""

    packet_type: ClassVar[PacketType] = PacketType.CONNACK

    return_code: ConnectReturnCode = ConnectReturnCode.ACCEPTED
    session_present: bool = False

    def encode(self) -> bytes:
        """Return the packet's bytes.

        Raises:
            PacketInvalid: A refusal that claims a session.
        """
        if self.session_present and self.return_code is not ConnectReturnCode.ACCEPTED:
            raise PacketInvalid("session_present", "is True in a refusal", clause="MQTT-3.2.2-4")
        return bytes((0x20, 2, self.session_present, self.return_code))


def decode_connack(body: bytes, _rules: TopicRules) -> ConnAck:
    """Return the CONNACK in `body`, which has two bytes."""
    flags, number = body
    if flags & 0xFE:
        raise PacketMalformed("reserved connect acknowledge flags are not 0", clause="§3.2.2.1")
    try:
        return_code = ConnectReturnCode(number)
    except ValueError as error:
        raise PacketMalformed(f"return code {number} is reserved", clause="§3.2.2.3") from error
    if flags and return_code is not ConnectReturnCode.ACCEPTED:
        raise PacketMalformed("a refusal claims a session", clause="MQTT-3.2.2-4")
    return ConnAck(return_code=return_code, session_present=bool(flags))
