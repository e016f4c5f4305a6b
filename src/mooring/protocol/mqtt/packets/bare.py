"""The packets without content: PINGREQ, PINGRESP, DISCONNECT (MQTT 3.1.1 §3.12 to §3.14)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mooring.protocol.mqtt.codes import PacketType
from mooring.protocol.mqtt.primitives import TopicRules


@dataclass(frozen=True, slots=True)
class PingReq:
    """A client's sign of life (§3.12)."""

    packet_type: ClassVar[PacketType] = PacketType.PINGREQ

    def encode(self) -> bytes:
        """Return the packet's bytes."""
        return b"\xc0\x00"


@dataclass(frozen=True, slots=True)
class PingResp:
    """The server's answer to PINGREQ (§3.13)."""

    packet_type: ClassVar[PacketType] = PacketType.PINGRESP

    def encode(self) -> bytes:
        """Return the packet's bytes."""
        return b"\xd0\x00"


@dataclass(frozen=True, slots=True)
class Disconnect:
    """A client's last packet: the will is discarded [MQTT-3.14.4-3]."""

    packet_type: ClassVar[PacketType] = PacketType.DISCONNECT

    def encode(self) -> bytes:
        """Return the packet's bytes."""
        return b"\xe0\x00"


def decode_pingreq(_body: bytes, _rules: TopicRules) -> PingReq:
    """Return a PINGREQ; its body is empty."""
    return PingReq()


def decode_pingresp(_body: bytes, _rules: TopicRules) -> PingResp:
    """Return a PINGRESP; its body is empty."""
    return PingResp()


def decode_disconnect(_body: bytes, _rules: TopicRules) -> Disconnect:
    """Return a DISCONNECT; its body is empty."""
    return Disconnect()
