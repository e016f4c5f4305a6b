"""The topics of the IoT Hub device API over MQTT: what a device may publish and subscribe to.

Ids stand raw in the topic, and ``+`` and ``#`` are legal in them: topics are compared literally,
never through a wildcard matcher. Twin and method topics are the same for a device and its
modules; there the connection says who speaks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote, unquote

from mooring.protocol.azure.errors import TopicMalformed, TopicOfAnotherDevice, quoted
from mooring.protocol.azure.property_bag import (
    EMPTY_BAG,
    PropertyBag,
    format_property_bag,
    parse_property_bag,
)

MAX_REQUEST_ID_CHARS = 128
"""Longest ``$rid`` echoed: the SDKs send up to 36 characters; it goes back into a topic."""

_METHOD_RESPONSE = re.compile(r"\$iothub/methods/res/(-?[0-9]{1,10})/\?(.*)", re.ASCII | re.DOTALL)
_INT32 = range(-(2**31), 2**31)
_TWIN_GET = "$iothub/twin/GET/?"
_REPORTED_PATCH = "$iothub/twin/PATCH/properties/reported/?"
_REMEDY = "Publish telemetry to devices/{deviceId}/messages/events/."


class HubFilter(StrEnum):
    """What a subscription asks for; the value says it in one word."""

    DEVICEBOUND = "devicebound"
    INPUTS = "inputs"
    METHODS = "methods"
    TWIN_RESPONSES = "twin-responses"
    DESIRED_PATCHES = "desired-patches"


_FIXED_FILTERS = {
    "$iothub/methods/POST/#": HubFilter.METHODS,
    "$iothub/twin/res/#": HubFilter.TWIN_RESPONSES,
    "$iothub/twin/PATCH/properties/desired/#": HubFilter.DESIRED_PATCHES,
}


@dataclass(frozen=True, slots=True)
class Telemetry:
    """A device-to-cloud message with these properties."""

    bag: PropertyBag


@dataclass(frozen=True, slots=True)
class TwinGet:
    """A request for the whole twin."""

    rid: str


@dataclass(frozen=True, slots=True)
class ReportedPatch:
    """A patch of the reported properties; `base_version` only the Java SDK sends."""

    rid: str
    base_version: int | None = None


@dataclass(frozen=True, slots=True)
class MethodResponse:
    """The answer to direct method request `rid`, with the device's own status (32 bits)."""

    rid: str
    status: int


DevicePublish = Telemetry | TwinGet | ReportedPatch | MethodResponse


def telemetry_prefix(device_id: str, module_id: str | None = None) -> str:
    """Return the fixed part of a telemetry topic, with its mandatory slash at the end."""
    if module_id is None:
        return f"devices/{device_id}/messages/events/"
    return f"devices/{device_id}/modules/{module_id}/messages/events/"


def format_telemetry_topic(
    device_id: str, bag: PropertyBag = EMPTY_BAG, *, module_id: str | None = None
) -> str:
    """Return the topic for a message of this device with the properties of `bag`."""
    return telemetry_prefix(device_id, module_id) + format_property_bag(bag)


def parse_telemetry(topic: str, device_id: str, module_id: str | None = None) -> PropertyBag:
    """Return the properties of a telemetry message of the connection's own identity.

    Raises:
        TopicOfAnotherDevice: A telemetry topic of another device or module.
        TopicMalformed: No telemetry topic at all.
        PropertyBagMalformed: The part after the prefix cannot be decoded.
    """
    # On the path of every message: one comparison when there are no properties.
    if module_id is None:
        prefix = f"devices/{device_id}/messages/events/"
        if topic == prefix:
            return EMPTY_BAG
        if topic.startswith(prefix):
            return parse_property_bag(topic[len(prefix) :])
        raise _not_telemetry(topic)
    prefix = telemetry_prefix(device_id, module_id)
    if not topic.startswith(prefix):
        raise _not_telemetry(topic)
    # The Node SDK puts a slash after the bag of a module's output message.
    return parse_property_bag(topic[len(prefix) :].removesuffix("/"))


def parse_device_publish(topic: str, device_id: str, module_id: str | None = None) -> DevicePublish:
    """Return what a device does by publishing to `topic`, for every topic that it may use.

    Raises:
        TopicOfAnotherDevice: A telemetry topic of another identity than the connection's.
        TopicMalformed: Not in the table, or a part is missing or out of range.
        PropertyBagMalformed: Telemetry whose properties cannot be decoded.
    """
    if not topic.startswith("$iothub/"):
        return Telemetry(parse_telemetry(topic, device_id, module_id))
    if topic.startswith(_TWIN_GET):
        return TwinGet(_request_id(topic, _parse_query(topic[len(_TWIN_GET) :])))
    if topic.startswith(_REPORTED_PATCH):
        parameters = _parse_query(topic[len(_REPORTED_PATCH) :])
        return ReportedPatch(_request_id(topic, parameters), _version(topic, parameters))
    match = _METHOD_RESPONSE.fullmatch(topic)
    if match is not None:
        status = int(match[1])
        if status not in _INT32:
            raise _malformed(topic, "has a status outside 32 bits")
        # The C SDK takes all after "?$rid=" as the request id, so nothing may follow it.
        return MethodResponse(_request_id(topic, _parse_query(match[2])), status)
    raise _malformed(topic, "is not a topic that a device may publish to")


def parse_filter(text: str, device_id: str, module_id: str | None = None) -> HubFilter | None:
    """Return what subscription `text` of this identity asks for, or None when it may not ask.

    None is an answer, not an error: MQTT refuses a single filter by SUBACK 0x80.
    """
    fixed = _FIXED_FILTERS.get(text)
    if fixed is not None:
        return fixed
    if module_id is None:
        return HubFilter.DEVICEBOUND if text == devicebound_filter(device_id) else None
    # Python and Node ask for the inputs, C and .NET for all of the module.
    base = f"devices/{device_id}/modules/{module_id}/"
    return HubFilter.INPUTS if text in {f"{base}#", f"{base}inputs/#"} else None


def devicebound_filter(device_id: str) -> str:
    """Return the filter for cloud-to-device messages of `device_id`."""
    return f"devices/{device_id}/messages/devicebound/#"


def format_devicebound_topic(device_id: str, bag: PropertyBag = EMPTY_BAG) -> str:
    """Return the topic on which the hub sends a cloud-to-device message."""
    return f"devices/{device_id}/messages/devicebound/{format_property_bag(bag)}"


def format_twin_response_topic(status: int, rid: str, *, version: int | None = None) -> str:
    """Return the topic of an answer to a twin request; ``$version`` only as the second key."""
    topic = f"$iothub/twin/res/{status}/?$rid={rid}"
    return topic if version is None else f"{topic}&$version={version}"


def format_desired_patch_topic(version: int) -> str:
    """Return the topic that announces desired properties of `version`."""
    return f"$iothub/twin/PATCH/properties/desired/?$version={version}"


def format_method_topic(name: str, rid: str) -> str:
    """Return the topic of a direct method call; ``*`` (component commands) stays as it is."""
    return f"$iothub/methods/POST/{quote(name, safe='*')}/?$rid={rid}"


def _parse_query(query: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for piece in query.split("&"):
        key, _, value = piece.partition("=")
        parameters[unquote(key).lower()] = value
    return parameters


def _request_id(topic: str, parameters: dict[str, str]) -> str:
    rid = parameters.get("$rid", "")
    if not rid:
        raise _malformed(topic, "has no $rid")
    if len(rid) > MAX_REQUEST_ID_CHARS or not rid.isprintable():
        raise _malformed(topic, f"has a $rid above {MAX_REQUEST_ID_CHARS} printable characters")
    return rid


def _version(topic: str, parameters: dict[str, str]) -> int | None:
    text = parameters.get("$version")
    if text is None or text == "-1":  # Java: -1 is "whatever the version"
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise _malformed(topic, "has a $version that is not a number")
    return int(text)


def _not_telemetry(topic: str) -> TopicMalformed:
    parts = topic.split("/")
    if parts[0] == "devices" and topic.count("/messages/events/") == 1:
        return TopicOfAnotherDevice(
            f"topic {quoted(topic)} belongs to another device than the connection's",
            remedy="Use the device id of the connection in the topic, in the same case.",
            field="topic",
        )
    return _malformed(topic, "is not a topic that a device may publish to")


def _malformed(topic: str, fault: str) -> TopicMalformed:
    return TopicMalformed(f"topic {quoted(topic)} {fault}", remedy=_REMEDY, field="topic")
