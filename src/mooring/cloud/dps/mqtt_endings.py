"""Why DPS ends an MQTT connection: 3.1.1 has no other way to say what cannot be served."""

from __future__ import annotations

from mooring.cloud.frontdoor.link import Ending
from mooring.protocol.azure.dps_topics import RESPONSE_FILTER

QOS_2 = Ending(
    "publish",
    "qos-2",
    "the client used QoS 2, which Azure does not serve",
    "publish with QoS 0 or 1",
)
NOT_SUBSCRIBED = Ending(
    "subscribe",
    "not-subscribed",
    f"the client sent a request without subscribing to {RESPONSE_FILTER}",
    f"subscribe to {RESPONSE_FILTER} first: without it no answer can be delivered",
)
TOO_OLD = Ending(
    "poll",
    "connection-too-old",
    "the connection is older than a registration may take",
    "disconnect after the result, and connect anew to register again",
)
IDLE = Ending(
    "subscribe",
    "neither-subscribed-nor-registered",
    "the client connected but neither subscribed nor registered",
    f"subscribe to {RESPONSE_FILTER} and register after CONNACK",
)
SILENT = Ending(
    "session",
    "keep-alive-timeout",
    "nothing came for one and a half times the keep-alive",
    "see whether the device lost its network, or sends PINGREQ too late",
)
SHUTTING_DOWN = Ending(
    "session", "shutting-down", "the server is shutting down", "connect again in a moment"
)
QUIET = (TOO_OLD, SILENT, SHUTTING_DOWN)
"""Endings of a connection that has its result and only forgot to leave."""
