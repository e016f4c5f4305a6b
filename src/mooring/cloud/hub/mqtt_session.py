"""One accepted hub connection over MQTT."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from mooring.cloud.attempts.model import KIND_HUB_SESSION
from mooring.cloud.frontdoor.link import DeviceLink, Ending
from mooring.cloud.hub.model import Hub, TelemetryMessage, TelemetrySource
from mooring.protocol.azure.error_bodies import ErrorBody, encode_error_body
from mooring.protocol.azure.errors import AzureError, HubErrorCode, TopicMalformed
from mooring.protocol.azure.hub_topics import (
    ReportedPatch,
    Telemetry,
    TwinGet,
    format_twin_response_topic,
    parse_device_publish,
    parse_filter,
    telemetry_prefix,
)
from mooring.protocol.azure.property_bag import parse_property_bag
from mooring.protocol.mqtt.codes import SubAckCode
from mooring.protocol.mqtt.keepalive import silence_limit_s
from mooring.protocol.mqtt.packets import (
    Disconnect,
    Packet,
    PingReq,
    PubAck,
    Publish,
    Subscribe,
    Unsubscribe,
    Will,
)
from mooring.runtime.attempts import AttemptRecorder
from mooring.runtime.ids import new_tracking_id
from mooring.runtime.logs import get_logger
from mooring.storage.errors import StorageError

if TYPE_CHECKING:
    from mooring.cloud.hub.mqtt import HubMqtt

SessionKey: TypeAlias = tuple[int, str]
"""Hub id and device id: one live connection each."""

MAX_SUBSCRIPTIONS = 5
"""Topic filters of one device (Azure: IoT Hub, MQTT)."""

RETAIN_PROPERTY = "mqtt-retain=true"
"""What becomes of RETAIN on telemetry (Azure: "Communicate with your IoT hub using MQTT")."""

WILL_PROPERTY = "iothub-MessageType=Will"

_log = get_logger("cloud.hub.mqtt")


class HubSession:
    """A device that has proved who it is, and its telemetry on the way to disk."""

    __slots__ = (
        "_door",
        "_draining",
        "_ends_at",
        "_generation_id",
        "_last_ids",
        "_paused",
        "_prefix",
        "_silence_s",
        "_source",
        "_subscriptions",
        "_taken_over",
        "_uncommitted",
        "_uncommitted_bytes",
        "_will",
        "hub",
        "key",
        "link",
    )

    def __init__(
        self,
        door: HubMqtt,
        link: DeviceLink,
        *,
        key: SessionKey,
        hub: Hub,
        source: TelemetrySource,
        subscriptions: dict[str, int] | None,
        generation_id: str | None,
        keep_alive_s: int,
        will: TelemetryMessage | None,
        ends_at: float | None,
    ) -> None:
        """Begin on `link`.

        `subscriptions` are those of an earlier connection; `generation_id` says under which
        incarnation of the identity they are kept, None that they are not (clean session).
        `ends_at` (monotonic s) is when the token ends that let the device in, None for a
        certificate.
        """
        self._door = door
        self.link = link
        self.key = key
        self.hub = hub
        self._source = source
        self._prefix = telemetry_prefix(key[1])
        self._subscriptions = subscriptions
        self._generation_id = generation_id
        self._will = will
        self._ends_at = ends_at
        longest = door.limits.hub_max_silence_s
        self._silence_s = silence_limit_s(keep_alive_s, cap_s=longest) or longest
        self._last_ids: list[int] | None = None
        self._uncommitted = 0
        self._uncommitted_bytes = 0
        self._paused = False
        self._draining = False
        self._taken_over = False

    @property
    def device_id(self) -> str:
        """Return the device's id."""
        return self.key[1]

    # -- DeviceSession -------------------------------------------------------------------------

    def receive(self, packets: Sequence[Packet]) -> None:
        """Take the packets of one read: telemetry in one batch, the rest one by one."""
        prefix = self._prefix
        prefix_size = len(prefix)
        max_bytes = self._door.limits.max_message_bytes
        messages: list[TelemetryMessage] = []
        ids: list[int] = []
        size = 0
        for packet in packets:
            if type(packet) is not Publish:
                if messages:
                    self._append(messages, ids, size)
                    messages, ids, size = [], [], 0
                if not self._control(packet):
                    return
                continue
            topic, body, qos, retain, _, packet_id = packet
            # The fast path of telemetry; everything else about a PUBLISH is in `_publish`.
            if qos < 2 and topic.startswith(prefix):
                properties = topic[prefix_size:]
                length = len(body) + len(properties)
                if (length <= max_bytes or _message_bytes(packet, prefix_size) <= max_bytes) and (
                    not properties or _is_readable(properties)
                ):
                    if retain:
                        properties = _with_property(properties, RETAIN_PROPERTY)
                    messages.append(TelemetryMessage(properties, body))
                    size += length
                    if packet_id is not None:
                        ids.append(packet_id)
                    continue
            if messages:
                self._append(messages, ids, size)
                messages, ids, size = [], [], 0
            if not self._publish(packet):
                return
        if messages:
            self._append(messages, ids, size)

    def deadline(self, last_seen: float) -> tuple[float, Ending]:
        """Return when and why the connection must end if no more packets come."""
        silent_at = last_seen + self._silence_s
        if self._ends_at is not None and self._ends_at < silent_at:
            return self._ends_at, TOKEN_EXPIRED
        return silent_at, SILENT

    def broken(self, ending: Ending) -> None:
        """Record why the connection is being ended."""
        source = self._source
        recorder = AttemptRecorder(
            KIND_HUB_SESSION,
            clock=self._door.clock,
            hub=self.hub.host_name,
            device_id=source.device_id,
            source_address=self.link.source_address,
        )
        recorder.begin(ending.stage)
        recorder.fail(ending.code, ending.cause, ending.remedy)
        self.link.record(recorder.snapshot())

    def lost(self, *, orderly: bool) -> None:
        """End; a device that did not say good-bye has its will sent."""
        if not orderly and self._will is not None:
            self._door.service.telemetry.append_batch(self._source, (self._will,), _will_appended)
            self._will = None
        self._door.close(self, taken_over=self._taken_over)

    def drain(self) -> None:
        """Take nothing new; close when what was taken is acknowledged."""
        self._draining = True
        self.link.pause()
        if not self._uncommitted:
            self.link.end(SHUTTING_DOWN)

    # -- for the door --------------------------------------------------------------------------

    def take_over(self) -> None:
        """Give way to a newer connection of the same device."""
        self._taken_over = True
        self.link.end(TAKEN_OVER)

    # -- packets -------------------------------------------------------------------------------

    def _control(self, packet: Packet) -> bool:
        """Act on anything but a PUBLISH; say whether to go on."""
        link = self.link
        if isinstance(packet, Disconnect):
            self._will = None
            link.close()
            return False
        if not link.is_open:  # a DISCONNECT came in the same read: nothing is to be answered
            return True
        if isinstance(packet, PingReq):
            link.write(link.machine.pingresp())
        elif isinstance(packet, Subscribe):
            codes = [self._subscribe(*subscription) for subscription in packet.subscriptions]
            link.write(link.machine.suback(packet.packet_id, codes))
        elif isinstance(packet, Unsubscribe):
            if self._subscriptions is not None:
                for topic_filter in packet.topic_filters:
                    self._subscriptions.pop(topic_filter, None)
            link.write(link.machine.unsuback(packet.packet_id))
        elif not isinstance(packet, PubAck):
            link.end(QOS_2)
            return False
        return True

    def _subscribe(self, topic_filter: str, qos: int) -> SubAckCode:
        if parse_filter(topic_filter, self.key[1]) is None:
            return SubAckCode.FAILURE
        subscriptions = self._subscriptions
        if subscriptions is None:
            subscriptions = self._subscriptions = {}
        if topic_filter not in subscriptions and len(subscriptions) >= MAX_SUBSCRIPTIONS:
            return SubAckCode.FAILURE
        granted = subscriptions[topic_filter] = min(qos, 1)
        if self._generation_id is not None:
            self._door.keep(self.key, self._generation_id, subscriptions)
        return SubAckCode(granted)

    def _publish(self, packet: Publish) -> bool:
        """Act on a PUBLISH that is no plain telemetry; say whether to go on."""
        link = self.link
        if packet.qos == 2:
            link.end(QOS_2)
            return False
        try:
            request = parse_device_publish(packet.topic, self.key[1])
        except AzureError as error:
            link.end(Ending("publish", error.code, error.message, error.remedy))
            return False
        if isinstance(request, Telemetry):
            own = packet.topic[len(self._prefix) :]
            link.end(
                WILDCARD
                if "+" in own or "#" in own
                else _too_large(packet, self._door.limits.max_message_bytes)
            )
            return False
        if packet.packet_id is not None:
            self._acknowledge_in_turn(packet.packet_id)
        if isinstance(request, TwinGet | ReportedPatch):
            self._answer_twin(request.rid)
        return True

    def _answer_twin(self, rid: str) -> None:
        """Say that twins are not served, to a client that listens for the answer."""
        granted = (self._subscriptions or {}).get("$iothub/twin/res/#")
        if granted is None or not self.link.is_open:
            return
        code = HubErrorCode.NOT_IMPLEMENTED
        body = encode_error_body(
            ErrorBody(code, code.text, new_tracking_id(), timestamp_utc=self._door.clock.now())
        )
        topic = format_twin_response_topic(code.http_status, rid)
        data, _ = self.link.machine.publish(topic, body, 0)
        self.link.write(data)

    # -- telemetry -----------------------------------------------------------------------------

    def _append(self, messages: list[TelemetryMessage], ids: list[int], size: int) -> None:
        door = self._door
        count = len(messages)
        self._uncommitted += count
        self._uncommitted_bytes += size
        self._last_ids = ids
        limits, telemetry = door.limits, door.service.telemetry
        if not self._paused and (
            self._uncommitted > limits.max_uncommitted_messages
            or self._uncommitted_bytes > limits.max_uncommitted_bytes
            or telemetry.is_crowded
        ):
            self._paused = True
            self.link.pause()
        telemetry.append_batch(self._source, messages, partial(self._committed, ids, count, size))
        door.service.active(self.hub, self._source.device_id)

    def _committed(
        self, ids: list[int], count: int, size: int, error: BaseException | None
    ) -> None:
        self._uncommitted -= count
        self._uncommitted_bytes -= size
        if self._last_ids is ids:
            self._last_ids = None
        link = self.link
        if error is not None:
            if link.is_open:
                link.end(_not_stored(error))
            return
        if ids and link.is_open:
            link.write(link.machine.pubacks(ids))
        if self._draining:
            if not self._uncommitted:
                link.end(SHUTTING_DOWN)
        elif self._paused:
            limits = self._door.limits
            if (
                self._uncommitted * 2 <= limits.max_uncommitted_messages
                and self._uncommitted_bytes * 2 <= limits.max_uncommitted_bytes
            ):
                self._paused = False
                link.resume()

    def _acknowledge_in_turn(self, packet_id: int) -> None:
        """Acknowledge after the telemetry that came before: PUBACKs keep the order [MQTT-4.6.0-2].

        The last batch's own list of ids is still to be sent, so the id joins it.
        """
        if self._last_ids is not None:
            self._last_ids.append(packet_id)
        elif self.link.is_open:
            self.link.write(self.link.machine.pubacks((packet_id,)))


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
    return TelemetryMessage(_with_property(properties, WILL_PROPERTY), will.payload)


def _is_readable(properties: str) -> bool:
    """Return whether the properties of telemetry are well formed."""
    if "+" in properties or "#" in properties:  # [MQTT-3.3.2-2]
        return False
    try:
        parse_property_bag(properties)
    except AzureError:
        return False
    return True


def _message_bytes(packet: Publish, prefix_size: int) -> int:
    """Return the size of a message as Azure counts it: its body, and its properties decoded.

    Of system properties the values count, of the device's own the names as well.
    """
    try:
        bag = parse_property_bag(packet.topic[prefix_size:])
    except AzureError:
        return len(packet.payload)
    values = (*bag.system.values(), *bag.application.values(), *bag.application)
    return len(packet.payload) + sum(len(value.encode()) for value in values if value)


def _with_property(properties: str, extra: str) -> str:
    return f"{properties}&{extra}" if properties else extra


def _will_appended(error: BaseException | None) -> None:
    if error is not None:
        _log.warning("a device's will was not stored", error=str(error))


def _not_stored(error: BaseException) -> Ending:
    if isinstance(error, StorageError):
        return Ending("store", error.code, error.message, error.remedy)
    _log.error("telemetry was not stored", exc_info=error)
    return Ending(
        "store",
        "internal-error",
        "the server failed to store telemetry; it was not acknowledged",
        "send it again; the server's log has the cause",
    )


def _too_large(packet: Publish, limit: int) -> Ending:
    return Ending(
        "publish",
        "message-too-large",
        f"a message has {len(packet.payload)} bytes of body; with its properties at most "
        f"{limit} are taken",
        "send smaller messages",
    )


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
SHUTTING_DOWN = Ending(
    "session", "shutting-down", "the server is shutting down", "connect again in a moment"
)
