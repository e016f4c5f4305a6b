"""The packets of MQTT 3.1.1, one module per family: frozen data that encodes itself."""

from typing import TypeAlias

from mooring.protocol.mqtt.packets.bare import Disconnect, PingReq, PingResp
from mooring.protocol.mqtt.packets.connect import ConnAck, Connect, Will
from mooring.protocol.mqtt.packets.publish import PubAck, PubComp, Publish, PubRec, PubRel
from mooring.protocol.mqtt.packets.subscribe import (
    SubAck,
    Subscribe,
    Subscription,
    UnsubAck,
    Unsubscribe,
)

Packet: TypeAlias = (
    Connect
    | ConnAck
    | Publish
    | PubAck
    | PubRec
    | PubRel
    | PubComp
    | Subscribe
    | SubAck
    | Unsubscribe
    | UnsubAck
    | PingReq
    | PingResp
    | Disconnect
)
"""Any packet."""

__all__ = [
    "ConnAck",
    "Connect",
    "Disconnect",
    "Packet",
    "PingReq",
    "PingResp",
    "PubAck",
    "PubComp",
    "PubRec",
    "PubRel",
    "Publish",
    "SubAck",
    "Subscribe",
    "Subscription",
    "UnsubAck",
    "Unsubscribe",
    "Will",
]
