"""Message properties as HTTP headers, in both directions (iothub.md 2.1).

HTTP folds the case of names, so a property that a device sends in a header of its own arrives in
lower case.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from mooring.cloud.hub.devicebound.messages import ACK_PROPERTY
from mooring.cloud.hub.devicebound.model import LockedMessage
from mooring.protocol.azure.property_bag import PropertyBag, parse_property_bag
from mooring.protocol.azure.timestamps import format_timestamp

APPLICATION_PREFIX = "iothub-app-"

_SENT_BY_DEVICES = {
    "iothub-messageid": "message-id",
    "iothub-correlationid": "correlation-id",
    "iothub-userid": "user-id",
    "iothub-expiry": "absolute-expiry-time",
    "iothub-contenttype": "content-type",
    "iothub-contentencoding": "content-encoding",
    "iothub-interface-id": "iothub-interface-id",
    "dt-subject": "dt-subject",
}
"""Header to system property. ``iothub-to`` repeats the path, ``iothub-ack`` is for back ends."""

_SENT_TO_DEVICES = {
    "message-id": "iothub-messageid",
    "to": "iothub-to",
    "absolute-expiry-time": "iothub-expiry",
    "correlation-id": "iothub-correlationid",
    "user-id": "iothub-userid",
    "content-type": "iothub-contenttype",
    "content-encoding": "iothub-contentencoding",
    "creation-time": "iothub-creationtimeutc",
}

_PRINTABLE_ASCII = "".join(map(chr, range(0x20, 0x7F)))


def bag_of_headers(headers: Mapping[str, str]) -> PropertyBag:
    """Return the properties that the headers of an event spell."""
    return bag_of_members({name: _text(value) for name, value in headers.items()})


def bag_of_members(members: Mapping[str, str | None]) -> PropertyBag:
    """Return the properties that ``iothub-…`` members spell; others are none.

    The names of system properties may have any case; those of the device's own keep theirs.
    """
    system: dict[str, str | None] = {}
    application: dict[str, str | None] = {}
    for name, value in members.items():
        folded = name.lower()
        if folded in _SENT_BY_DEVICES:
            system[_SENT_BY_DEVICES[folded]] = value
        elif folded.startswith(APPLICATION_PREFIX) and len(name) > len(APPLICATION_PREFIX):
            application[name[len(APPLICATION_PREFIX) :]] = value
    return PropertyBag(system, application)


def headers_of(locked: LockedMessage) -> dict[str, str]:
    """Return the headers with which a device receives a message; a null property is empty."""
    message = locked.message
    bag = parse_property_bag(message.properties)
    headers = {
        "etag": f'"{locked.lock_token}"',
        "iothub-sequencenumber": str(message.sequence_number),
        "iothub-enqueuedtime": format_timestamp(message.enqueued_at),
        "iothub-deliverycount": str(message.delivery_count),
    }
    for name, value in bag.system.items():
        headers[_SENT_TO_DEVICES[name]] = _header(value)
    for name, value in bag.application.items():
        header = name if name == ACK_PROPERTY else f"{APPLICATION_PREFIX}{name}"
        headers[header] = _header(value)
    return headers


def _header(value: str | None) -> str:
    """Return a value as a header can carry it: what is not ASCII is percent-encoded UTF-8."""
    return quote(value or "", safe=_PRINTABLE_ASCII)


def _text(value: str) -> str:
    """Return what a header says, whose bytes the server reads as Latin-1: UTF-8 if it is that."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value
