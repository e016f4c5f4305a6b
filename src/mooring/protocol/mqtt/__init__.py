"""MQTT 3.1.1, sans-IO: a codec, a server's machine and a client's machine.

`Decoder` turns bytes into packets; packets encode themselves. `ServerMachine` and `ClientMachine`
add what is legal when. What they will not do for you: see docs/protocol.md.

Source of all rules: OASIS, MQTT Version 3.1.1 (29 October 2014); ``[MQTT-x.y.z-n]`` and ``§`` are
its numbers.
"""

from mooring.protocol.mqtt.client import (
    ClientEvent,
    ClientMachine,
    ClientState,
    SubscriptionAnswered,
)
from mooring.protocol.mqtt.codes import ConnectReturnCode, PacketType, SubAckCode
from mooring.protocol.mqtt.decoder import Decoder
from mooring.protocol.mqtt.errors import (
    CallOutOfTurn,
    ClientIdMissing,
    ConnectRefused,
    InFlightWindowFull,
    LocalMisuse,
    MqttError,
    PacketIdUnknown,
    PacketInvalid,
    PacketMalformed,
    PacketTooLarge,
    PeerError,
    ProtocolLevelUnsupported,
    ProtocolViolation,
)
from mooring.protocol.mqtt.keepalive import KeepAlive, silence_limit_s
from mooring.protocol.mqtt.packets import (
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Subscription,
    UnsubAck,
    Unsubscribe,
    Will,
)
from mooring.protocol.mqtt.server import ServerEvent, ServerMachine, ServerState

__all__ = [
    "CallOutOfTurn",
    "ClientEvent",
    "ClientIdMissing",
    "ClientMachine",
    "ClientState",
    "ConnAck",
    "Connect",
    "ConnectRefused",
    "ConnectReturnCode",
    "Decoder",
    "Disconnect",
    "InFlightWindowFull",
    "KeepAlive",
    "LocalMisuse",
    "MqttError",
    "Packet",
    "PacketIdUnknown",
    "PacketInvalid",
    "PacketMalformed",
    "PacketTooLarge",
    "PacketType",
    "PeerError",
    "PingReq",
    "PingResp",
    "ProtocolLevelUnsupported",
    "ProtocolViolation",
    "PubAck",
    "PubComp",
    "PubRec",
    "PubRel",
    "Publish",
    "ServerEvent",
    "ServerMachine",
    "ServerState",
    "SubAck",
    "SubAckCode",
    "Subscribe",
    "Subscription",
    "SubscriptionAnswered",
    "UnsubAck",
    "Unsubscribe",
    "Will",
    "silence_limit_s",
]
