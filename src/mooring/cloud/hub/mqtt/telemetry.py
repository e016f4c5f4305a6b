"""Telemetry of one connection on its way to disk, acknowledged in the order in which it came."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from mooring.cloud.frontdoor.limits import DoorLimits
from mooring.cloud.frontdoor.link import DeviceLink
from mooring.cloud.hub.model import TelemetryMessage, TelemetrySource
from mooring.cloud.hub.mqtt.endings import not_stored
from mooring.cloud.hub.telemetry import TelemetryLog
from mooring.protocol.azure.errors import AzureError, TopicMalformed
from mooring.protocol.azure.hub_topics import Telemetry, parse_device_publish, telemetry_prefix
from mooring.protocol.azure.property_bag import (
    is_property_bag,
    message_bytes,
    parse_property_bag,
)
from mooring.protocol.mqtt.packets import Publish, Will
from mooring.runtime.logs import get_logger

RETAIN_PROPERTY = "mqtt-retain=true"
"""What becomes of RETAIN on telemetry (Azure: "Communicate with your IoT hub using MQTT")."""

WILL_PROPERTY = "iothub-MessageType=Will"

_log = get_logger("cloud.hub.mqtt")


class TelemetrySender:
    """Hands a connection's messages to the log, and holds it back while too many are on the way.

    What else the connection sends to disk (twin patches) is counted with them.
    """

    __slots__ = (
        "_is_held",
        "_last_ids",
        "_limits",
        "_link",
        "_log",
        "_on_idle",
        "_paused",
        "_uncommitted",
        "_uncommitted_bytes",
        "source",
    )

    def __init__(
        self, log: TelemetryLog, source: TelemetrySource, link: DeviceLink, limits: DoorLimits
    ) -> None:
        """Append under `source`, acknowledge on `link`."""
        self._log = log
        self.source = source
        self._link = link
        self._limits = limits
        self._last_ids: list[int] | None = None
        self._uncommitted = 0
        self._uncommitted_bytes = 0
        self._paused = False
        self._is_held = False
        self._on_idle: Callable[[], None] | None = None

    def append(self, messages: list[TelemetryMessage], ids: list[int], size: int) -> None:
        """Append `messages` of `size` bytes together; acknowledge `ids` after the commit."""
        count = len(messages)
        self._last_ids = ids
        self.take(count, size)
        self._log.append_batch(self.source, messages, partial(self._committed, ids, count, size))

    def take(self, count: int, size: int) -> None:
        """Count `count` messages of `size` bytes as on the way, until `settle` is called."""
        self._uncommitted += count
        self._uncommitted_bytes += size
        limits = self._limits
        if not self._paused and (
            self._uncommitted > limits.max_uncommitted_messages
            or self._uncommitted_bytes > limits.max_uncommitted_bytes
            or self._log.is_crowded
        ):
            self._paused = True
            self._link.pause()

    def settle(self, count: int, size: int) -> None:
        """Note that what was taken is answered."""
        self._uncommitted -= count
        self._uncommitted_bytes -= size
        if not self._link.is_open:
            return
        if self._on_idle is not None:
            if not self._uncommitted:
                self._on_idle()
        elif self._paused:
            limits = self._limits
            if (
                self._uncommitted * 2 <= limits.max_uncommitted_messages
                and self._uncommitted_bytes * 2 <= limits.max_uncommitted_bytes
            ):
                self._paused = False
                if not self._is_held:
                    self._link.resume()

    def hold(self) -> None:
        """Read no more from the device until `release`, whatever is on the way."""
        self._is_held = True
        self._link.pause()

    def release(self) -> None:
        """Read again, unless too much is on the way."""
        self._is_held = False
        if not self._paused and self._on_idle is None:
            self._link.resume()

    def acknowledge_in_turn(self, packet_id: int) -> None:
        """Acknowledge after the telemetry that came before: PUBACKs keep the order [MQTT-4.6.0-2].

        The last batch's own list of ids is still to be sent, so the id joins it.
        """
        if self._last_ids is not None:
            self._last_ids.append(packet_id)
        elif self._link.is_open:
            self._link.write(self._link.machine.pubacks((packet_id,)))

    def drain(self, on_idle: Callable[[], None]) -> None:
        """Call `on_idle` once when all that was appended is answered, at once if it is."""
        if self._uncommitted:
            self._on_idle = on_idle
        else:
            on_idle()

    def send_will(self, will: TelemetryMessage) -> None:
        """Append the will of a device that is gone."""
        self._log.append_batch(self.source, (will,), _will_appended)

    def _committed(
        self, ids: list[int], count: int, size: int, error: BaseException | None
    ) -> None:
        if self._last_ids is ids:
            self._last_ids = None
        link = self._link
        if link.is_open:
            if error is not None:
                link.end(not_stored(error, "telemetry"))
            elif ids:
                link.write(link.machine.pubacks(ids))
        self.settle(count, size)


def will_message(will: Will, device_id: str) -> TelemetryMessage:
    """Return the telemetry that a will stands for.

    Raises:
        TopicMalformed: Its topic is not the device's own telemetry topic.
        AzureError: The properties in its topic cannot be read.
    """
    request = parse_device_publish(will.topic, device_id)
    if not isinstance(request, Telemetry):
        raise TopicMalformed(
            "the topic is not the device's telemetry topic",
            remedy="use the device's telemetry topic for the will, or none",
            field="topic",
        )
    properties = will.topic[len(telemetry_prefix(device_id)) :]
    if not is_readable(properties):
        raise TopicMalformed(
            "the topic holds '+' or '#', which no topic may",
            remedy="percent-encode keys and values: %2B and %23",
            field="topic",
        )
    return TelemetryMessage(with_property(properties, WILL_PROPERTY), will.payload)


def is_readable(properties: str) -> bool:
    """Return whether the properties of telemetry are well formed."""
    # No wildcard in the topic of a PUBLISH [MQTT-3.3.2-2].
    return "+" not in properties and "#" not in properties and is_property_bag(properties)


def packet_bytes(packet: Publish, prefix_size: int) -> int:
    """Return the size of a message whose properties begin at `prefix_size` of the topic."""
    try:
        bag = parse_property_bag(packet.topic[prefix_size:])
    except AzureError:
        return len(packet.payload)
    return message_bytes(packet.payload, bag)


def with_property(properties: str, extra: str) -> str:
    """Return the property bag `properties` and `extra`."""
    return f"{properties}&{extra}" if properties else extra


def _will_appended(error: BaseException | None) -> None:
    if error is not None:
        _log.warning("a device's will was not stored", error=str(error))
