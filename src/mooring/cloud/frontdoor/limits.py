"""Limits of the MQTT listener, each with its unit and reason."""

from __future__ import annotations

from dataclasses import dataclass

from mooring.protocol.mqtt.limits import MAX_MESSAGE_BYTES, MAX_PACKET_BYTES, MAX_TOPIC_BYTES

KIB = 1024


@dataclass(frozen=True, slots=True)
class DoorLimits:
    """How long and how much a device connection may take.

    Attributes:
        connect_timeout_s: From the end of the TLS handshake to CONNECT. A device sends it at
            once; slow radio links need some seconds.
        dps_idle_s: How long a DPS connection may go without subscribing or registering
            (reference: 60 s; nothing else to do there).
        dps_max_age_s: Life of a DPS connection; a registration takes seconds.
        hub_max_silence_s: Longest silence on a hub connection, Azure's 29.45 minutes, also for
            keep-alive 0.
        max_packet_bytes: Largest MQTT packet taken: the hub's 256 KiB message under the longest
            topic. A register body has a limit of its own (96 KB), and an answer beyond it.
        max_topic_bytes: Longest topic, which carries the properties of a message.
        max_message_bytes: Largest hub message, body and properties (Azure's 256 KB).
        max_held_bytes: Bytes that may arrive while the connection's task runs and reading is
            paused: what TLS had already taken in.
        max_uncommitted_messages: Telemetry of one connection that waits for the commit before
            reading pauses. Twice the window of an eager device.
        max_uncommitted_bytes: The same in bytes.
    """

    connect_timeout_s: float = 30.0
    dps_idle_s: float = 60.0
    dps_max_age_s: float = 900.0
    hub_max_silence_s: float = 1767.0
    max_packet_bytes: int = MAX_PACKET_BYTES
    max_topic_bytes: int = MAX_TOPIC_BYTES
    max_message_bytes: int = MAX_MESSAGE_BYTES
    max_held_bytes: int = 1024 * KIB
    max_uncommitted_messages: int = 1000
    max_uncommitted_bytes: int = 2 * 1024 * KIB


DEFAULT_LIMITS = DoorLimits()
