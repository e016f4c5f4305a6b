"""Message properties at the end of a hub topic: ``k=v&k2=v2``, key and value percent-encoded.

A system property's key is ``$.`` and a short name. Devices send the dollar encoded (``%24.mid``:
the SDKs) or raw (``$.mid``: by hand); both are read, and the encoded form is written, because the
C SDK knows system properties by the text ``%24.`` alone.

A key without ``=`` has no value (None), ``key=`` has the empty one. Of equal keys the last wins.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from urllib.parse import quote, unquote_to_bytes

from mooring.protocol.azure.errors import PropertyBagMalformed, quoted

MAX_PROPERTIES = 256
"""Properties in one topic: Azure bounds their bytes only; this bounds the work for one message."""

MAX_STORED_PROPERTIES = MAX_PROPERTIES + 1
"""Properties of a stored message: the hub adds one of its own, for RETAIN or for a will."""

MAX_CACHED_CHARS = 512
"""Longer bags are decoded each time, so that the cache stays below a few megabytes."""

CACHED_BAGS = 1024
"""Distinct bags remembered: devices repeat content type and encoding on every message."""

SYSTEM_PROPERTIES: Mapping[str, str] = MappingProxyType(
    {
        "$.mid": "message-id",
        "$.cid": "correlation-id",
        "$.uid": "user-id",
        "$.to": "to",
        "$.ct": "content-type",
        "$.ce": "content-encoding",
        "$.exp": "absolute-expiry-time",
        "$.ctime": "creation-time",
        "$.sub": "dt-subject",
        "$.ifid": "iothub-interface-id",
        "$.on": "output-name",
        "$.cdid": "connection-device-id",
        "$.cmid": "connection-module-id",
        "$.schema": "message-schema",
        "$.diagid": "diagnostic-id",
        "$.diagctx": "diagnostic-context",
    }
)
"""Key on the wire → name in the message model (IoT Hub developer guide, message format)."""

_WIRE_KEYS = {name: key for key, name in SYSTEM_PROPERTIES.items()}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_PLAIN = r"[^%&\x00-\x1f\x7f-\x9f]*"
_PLAIN_KEY = r"[^%&=\x00-\x1f\x7f-\x9f]*"
_ESCAPE = r"%(?:[2-6][0-9A-Fa-f]|7[0-9A-Ea-e])"
_PIECE = f"(?=[^=]){_PLAIN_KEY}(?:{_ESCAPE}{_PLAIN_KEY})*(?:={_PLAIN}(?:{_ESCAPE}{_PLAIN})*)?"
_ORDINARY = re.compile(f"{_PIECE}(?:&{_PIECE})*")
"""Well-formed bags as devices send them: what is encoded is ASCII, nothing is a control character.
Each character can be matched in one way only, so it takes no longer than the text is long."""
_NOTHING: Mapping[str, str | None] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class PropertyBag:
    """Decoded properties; both mappings are read-only and may be shared between messages.

    `system` by the names of `SYSTEM_PROPERTIES`; `application` by the device's own keys, an
    unknown ``$.x`` among them (as the Python SDK does). A value is None when only the key stood.
    """

    system: Mapping[str, str | None] = field(default_factory=lambda: _NOTHING)
    application: Mapping[str, str | None] = field(default_factory=lambda: _NOTHING)

    def __bool__(self) -> bool:
        """True when there is any property."""
        return bool(self.system or self.application)


EMPTY_BAG = PropertyBag()


def parse_property_bag(text: str, *, most: int = MAX_PROPERTIES) -> PropertyBag:
    """Return the properties that `text` (the topic's part after the last fixed slash) spells.

    Percent-decoding only: ``+`` stays a plus. Repeated short texts come from a cache.

    Raises:
        PropertyBagMalformed: A value with an empty key, percent-encoding that is not UTF-8 or
            holds control characters in a key, or more than `most` properties.
    """
    if not text:
        return EMPTY_BAG
    if len(text) <= MAX_CACHED_CHARS:
        return _parse_cached(text, most)
    return _parse(text, most)


def is_property_bag(text: str) -> bool:
    """Return whether `parse_property_bag` takes `text`, an order of magnitude faster.

    For messages that are stored as they came: message ids differ, so that no cache helps.
    """
    if text.count("&") < MAX_PROPERTIES and _ORDINARY.fullmatch(text):
        return True
    try:
        parse_property_bag(text)
    except PropertyBagMalformed:
        return False
    return True


def _parse(text: str, most: int) -> PropertyBag:
    if text.count("&") >= most:
        raise _malformed(f"holds more than {most} properties")
    system: dict[str, str | None] = {}
    application: dict[str, str | None] = {}
    for piece in text.split("&"):
        if not piece:
            continue
        raw_key, separator, raw_value = piece.partition("=")
        key = _unquote(raw_key)
        if not key or _CONTROL.search(key):
            raise _malformed(f"has the key {quoted(key)}")
        value = _unquote(raw_value) if separator else None
        name = SYSTEM_PROPERTIES.get(key)
        if name is not None:
            system[name] = value
        else:
            application[key] = value
    return PropertyBag(MappingProxyType(system), MappingProxyType(application))


_parse_cached = lru_cache(maxsize=CACHED_BAGS)(_parse)


def format_property_bag(bag: PropertyBag) -> str:
    """Return `bag` as text, system properties first, everything but unreserved encoded.

    Space becomes ``%20`` and the dollar ``%24`` (RFC 3986; never ``+``).

    Raises:
        ValueError: `bag.system` holds a name outside `SYSTEM_PROPERTIES`, or a key is empty.
    """
    pieces = []
    for name, value in bag.system.items():
        key = _WIRE_KEYS.get(name)
        if key is None:
            raise ValueError(f"{name!r} is not a system property")
        pieces.append(_format_piece(key, value))
    for key, value in bag.application.items():
        if not key:
            raise ValueError("an application property needs a key")
        pieces.append(_format_piece(key, value))
    return "&".join(pieces)


def message_bytes(body: bytes, bag: PropertyBag) -> int:
    """Return the size of a message as Azure counts it: its body, and its properties decoded.

    Of system properties the values count, of the sender's own the names as well.
    """
    texts = (*bag.system.values(), *bag.application.values(), *bag.application)
    return len(body) + sum(len(text.encode()) for text in texts if text)


def _format_piece(key: str, value: str | None) -> str:
    if value is None:
        return quote(key, safe="")
    return f"{quote(key, safe='')}={quote(value, safe='')}"


def _unquote(text: str) -> str:
    if "%" not in text:
        return text
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError as error:
        raise _malformed(f"holds {quoted(text)}, which does not decode to UTF-8") from error


def _malformed(fault: str) -> PropertyBagMalformed:
    return PropertyBagMalformed(
        f"property bag {fault}",
        remedy="Send key=value pairs joined by '&', keys and values percent-encoded UTF-8.",
        field="topic",
    )
