"""Sizes that the codec and the machines enforce, each with its unit and its reason."""

from __future__ import annotations

MAX_REMAINING_LENGTH_BYTES = 268_435_455
"""Largest value that four length bytes of 7 bits carry (MQTT 3.1.1 §2.2.3)."""

MAX_REMAINING_LENGTH_FIELD_BYTES = 4
"""Bytes of the remaining length field (MQTT 3.1.1 §2.2.3)."""

MAX_FIELD_BYTES = 65_535
"""Largest string or binary field: its length prefix has 16 bits (MQTT 3.1.1 §1.5.3)."""

MAX_PACKET_ID = 65_535
"""Largest packet identifier: 16 bits, 0 excluded (MQTT 3.1.1 §2.3.1)."""

MAX_KEEP_ALIVE_S = 65_535
"""Largest keep-alive, seconds: 16 bits (MQTT 3.1.1 §3.1.2.10)."""

MAX_TOPIC_BYTES = 65_535
"""Largest topic name or filter, bytes: the protocol's own bound [MQTT-4.7.3-3].

Not tightened by default: Azure carries up to 64 KiB of message properties in the topic.
"""

MAX_REMEMBERED_TOPIC_BYTES = 512
"""Largest topic that a decoder keeps to recognise it when it comes again: a telemetry topic with
its usual properties, and little memory on an idle connection."""

MAX_MESSAGE_BYTES = 256 * 1024
"""Largest payload of a message, bytes: what an IoT hub takes (Azure: IoT Hub quotas)."""

MAX_PACKET_BYTES = 5 + 2 + MAX_TOPIC_BYTES + 2 + MAX_MESSAGE_BYTES
"""Largest packet by default, bytes, fixed header included.

One hub message of the largest payload under the largest topic: fixed header 5, topic length 2,
topic, packet identifier 2, payload. Bounds what one connection can make its peer buffer.
"""

MAX_CLIENT_ID_BYTES = 512
"""Largest client identifier, bytes: twice the longest of Azure, ``{device}/{module}`` = 257."""

MAX_USER_NAME_BYTES = 4096
"""Largest user name, bytes: host, device, module and model id take at most about 1 KiB; the
rest is room for the user-agent text that SDKs add."""

MAX_PASSWORD_BYTES = 4096
"""Largest password, bytes: SAS tokens stay under 1 KiB; the rest is room for other tokens."""

MAX_CONNECT_BYTES = (
    5  # fixed header
    + 10  # protocol name, level, flags, keep-alive
    + 2
    + MAX_CLIENT_ID_BYTES
    + 2
    + MAX_TOPIC_BYTES  # will topic
    + 2
    + MAX_FIELD_BYTES  # will payload
    + 2
    + MAX_USER_NAME_BYTES
    + 2
    + MAX_PASSWORD_BYTES
)
"""Largest CONNECT, bytes: all a stranger can make a server buffer before it is known."""

MAX_HELD_BYTES = MAX_PACKET_BYTES
"""Bytes a server keeps unread from a client that sends on before its CONNACK.

A client may do so (MQTT 3.1.1 §3.1.4, non normative); one packet of the largest size is enough
for the SUBSCRIBE and first PUBLISH that such clients send.
"""

MAX_FILTERS_PER_PACKET = 64
"""Topic filters in one SUBSCRIBE or UNSUBSCRIBE: a device has five subscriptions at most at an
IoT hub, and official SDKs send one filter a packet; more is only work for the server."""

MAX_PENDING_REQUESTS = 64
"""SUBSCRIBE and UNSUBSCRIBE packets of one client that may wait for their answers at once."""

DEFAULT_IN_FLIGHT_WINDOW = 100
"""QoS 1 messages sent and not yet acknowledged, per connection: enough to fill a link of 100 ms
round trip with 1,000 messages a second, and twice the 50 that a hub queues for a device."""

MAX_IN_FLIGHT_WINDOW = MAX_PACKET_ID - MAX_PENDING_REQUESTS
"""Largest in-flight window, messages: requests share the identifiers and must find one free."""
