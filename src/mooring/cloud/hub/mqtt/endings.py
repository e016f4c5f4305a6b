"""Why the hub ends a connection: MQTT 3.1.1 has no other way to say no."""

from __future__ import annotations

from mooring.cloud.frontdoor.link import Ending
from mooring.runtime.logs import get_logger
from mooring.storage.errors import StorageError

_log = get_logger("cloud.hub.mqtt")

QOS_2 = Ending(
    "publish",
    "qos-2",
    "the client used QoS 2, which Azure does not serve",
    "publish with QoS 0 or 1",
)
WILDCARD = Ending(
    "publish",
    "topic-wildcard",
    "the properties in the topic hold '+' or '#', which no topic may",
    "percent-encode keys and values: %2B and %23",
)
SILENT = Ending(
    "session",
    "keep-alive-timeout",
    "nothing came for one and a half times the keep-alive",
    "see whether the device lost its network, or sends PINGREQ too late",
)
TOKEN_EXPIRED = Ending(
    "session",
    "sas-expired",
    "the token that let the device in has expired",
    "connect with a fresh token; Azure's SDKs do so by themselves",
)
TAKEN_OVER = Ending(
    "session",
    "taken-over",
    "the same device opened a newer connection",
    "if this repeats, two clients use one device id: give each its own",
)
CREDENTIALS_CHANGED = Ending(
    "session",
    "identity-changed",
    "the device was disabled, deleted or given other credentials",
    "enable the device, or connect with its new credentials",
)
BACKLOG_FULL = Ending(
    "publish",
    "throttle-backlog-full",
    "429002: the hub's telemetry is over its limit for so long that no more of it may wait",
    "send less, or change the hub's sku, limits or throttling",
)
QUOTA_EXCEEDED = Ending(
    "publish",
    "quota-exceeded",
    "403002: the hub had its messages of today",
    "send again after 00:00 UTC, or change the hub's sku, limits or throttling",
)
SHUTTING_DOWN = Ending(
    "session", "shutting-down", "the server is shutting down", "connect again in a moment"
)


def too_large(body_bytes: int, limit: int) -> Ending:
    """Return the ending for a message beyond `limit` bytes."""
    return Ending(
        "publish",
        "message-too-large",
        f"a message has {body_bytes} bytes of body; with its properties at most {limit} are taken",
        "send smaller messages",
    )


def not_stored(error: BaseException, what: str) -> Ending:
    """Return the ending for `what` that could not be written, and so was not acknowledged."""
    if isinstance(error, StorageError):
        return Ending("store", error.code, error.message, error.remedy)
    _log.error("not stored", what=what, exc_info=error)
    return Ending(
        "store",
        "internal-error",
        f"the server failed to store {what}; it was not acknowledged",
        "send it again; the server's log has the cause",
    )
