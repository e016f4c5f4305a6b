"""One accepted hub connection over MQTT."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from mooring.cloud.attempts.model import KIND_HUB_SESSION
from mooring.cloud.frontdoor.link import DeviceLink, Ending
from mooring.cloud.hub.model import Hub, TelemetryMessage, TelemetrySource
from mooring.cloud.hub.mqtt import subscriptions as subs
from mooring.cloud.hub.mqtt.devicebound import DeviceboundSender
from mooring.cloud.hub.mqtt.endings import (
    QOS_2,
    SHUTTING_DOWN,
    SILENT,
    TAKEN_OVER,
    TOKEN_EXPIRED,
    WILDCARD,
    not_stored,
    too_large,
)
from mooring.cloud.hub.mqtt.shaping import TelemetryShaper
from mooring.cloud.hub.mqtt.telemetry import (
    RETAIN_PROPERTY,
    TelemetrySender,
    is_readable,
    packet_bytes,
    with_property,
)
from mooring.cloud.hub.mqtt.twins import TwinExchange
from mooring.protocol.azure.errors import AzureError
from mooring.protocol.azure.hub_topics import (
    HubFilter,
    MethodResponse,
    Telemetry,
    parse_device_publish,
    parse_filter,
    telemetry_prefix,
)
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
)
from mooring.runtime.attempts import AttemptRecorder

if TYPE_CHECKING:
    from mooring.cloud.hub.mqtt.door import HubMqtt

SessionKey: TypeAlias = tuple[int, str]
"""Hub id and device id: one live connection each."""


class HubSession:
    """A device that has proved who it is.

    What it subscribes to counts at once; SUBACK comes when it is on disk, where the session is to
    be kept (no clean session).
    """

    __slots__ = (
        "_devicebound",
        "_door",
        "_draining",
        "_ends_at",
        "_is_clean",
        "_is_over",
        "_prefix",
        "_shaper",
        "_silence_s",
        "_subscriptions",
        "_telemetry",
        "_twins",
        "_unkept",
        "_will",
        "generation_id",
        "hub",
        "key",
        "link",
        "throttle",
    )

    def __init__(
        self,
        door: HubMqtt,
        link: DeviceLink,
        *,
        key: SessionKey,
        hub: Hub,
        source: TelemetrySource,
        generation_id: str,
        subscriptions: int,
        is_clean: bool,
        keep_alive_s: int,
        will: TelemetryMessage | None,
        ends_at: float | None,
    ) -> None:
        """Begin on `link`.

        `subscriptions` are those of an earlier connection; a clean session keeps its own for
        nobody. `ends_at` (monotonic s) is when the token ends that let the device in, None for a
        certificate.
        """
        self._door = door
        self.link = link
        self.key = key
        self.hub = hub
        self.generation_id = generation_id
        self._telemetry = TelemetrySender(door.service.telemetry, source, link, door.limits)
        self.throttle = door.service.throttling.of(hub)
        self._shaper: TelemetryShaper | None = None
        self._twins: TwinExchange | None = None
        self._devicebound: DeviceboundSender | None = None
        self._prefix = telemetry_prefix(key[1])
        self._subscriptions = subscriptions
        self._unkept = 0
        self._is_clean = is_clean
        self._will = will
        self._ends_at = ends_at
        longest = door.limits.hub_max_silence_s
        self._silence_s = silence_limit_s(keep_alive_s, cap_s=longest) or longest
        self._draining = False
        self._is_over = False

    @property
    def device_id(self) -> str:
        """Return the device's id."""
        return self.key[1]

    # -- DeviceSession -------------------------------------------------------------------------

    def receive(self, packets: Sequence[Packet]) -> None:
        """Take the packets of one read."""
        if self.throttle.is_on or self._shaper is not None:
            if self._shaper is None:
                self._shaper = TelemetryShaper(
                    self.throttle, self.link, self._telemetry, self._prefix, self.take
                )
            self._shaper.receive(packets)
        else:
            self.take(packets)

    def take(self, packets: Sequence[Packet]) -> None:
        """Take packets that may pass: telemetry in one batch, the rest one by one."""
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
                if (length <= max_bytes or packet_bytes(packet, prefix_size) <= max_bytes) and (
                    not properties or is_readable(properties)
                ):
                    if retain:
                        properties = with_property(properties, RETAIN_PROPERTY)
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
        if self._shaper is not None and self._shaper.is_holding:
            last_seen = max(last_seen, self._door.clock.monotonic())  # it is we who do not read
        silent_at = last_seen + self._silence_s
        if self._ends_at is not None and self._ends_at < silent_at:
            return self._ends_at, TOKEN_EXPIRED
        return silent_at, SILENT

    def broken(self, ending: Ending) -> None:
        """Record why the connection is being ended."""
        recorder = AttemptRecorder(
            KIND_HUB_SESSION,
            clock=self._door.clock,
            hub=self.hub.host_name,
            device_id=self.device_id,
            source_address=self.link.source_address,
        )
        recorder.begin(ending.stage)
        recorder.fail(ending.code, ending.cause, ending.remedy)
        self.link.record(recorder.snapshot())

    def lost(self, *, orderly: bool) -> None:
        """End; a device that did not say good-bye has its will sent."""
        if self._is_over:
            return
        self._is_over = True
        if not orderly and self._will is not None:
            self._telemetry.send_will(self._will)
        self._will = None
        if self._shaper is not None:
            self._shaper.stop()
        if self._devicebound is not None:
            self._devicebound.end()
            if not self._is_clean:
                self._door.sent_before.keep(self.key, self._devicebound.unacknowledged)
        self._door.close(self)

    def drain(self) -> None:
        """Take nothing new; close when what was taken is acknowledged."""
        self._draining = True
        self.link.pause()
        if self._shaper is not None:
            self._shaper.stop()
        if self._devicebound is not None:
            self._devicebound.pause()
        self._telemetry.drain(lambda: self.link.end(SHUTTING_DOWN))

    # -- for the door --------------------------------------------------------------------------

    def begin(self) -> None:
        """Serve what an earlier connection had subscribed to; after CONNACK."""
        self._activate(self._subscriptions)

    def take_over(self) -> None:
        """Give way to a newer connection of the same device, wholly before that one begins."""
        self.link.end(TAKEN_OVER)
        self.lost(orderly=False)

    # -- for what the hub sends ----------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Return whether something can still be sent."""
        return not self._is_over and self.link.is_open

    def granted_qos(self, wanted: HubFilter) -> int | None:
        """Return the QoS at which the device is subscribed to `wanted`, None if it is not."""
        return subs.granted_qos(self._subscriptions, wanted)

    def send(self, topic: str, payload: bytes) -> bool:
        """Send a message at QoS 0; return False if the connection is no more."""
        if not self.is_open:
            return False
        data, _ = self.link.machine.publish(topic, payload, 0)
        self.link.write(data)
        return True

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
            self._subscribe(packet)
        elif isinstance(packet, Unsubscribe):
            self._unsubscribe(packet)
        elif isinstance(packet, PubAck):
            if self._devicebound is not None:
                self._devicebound.acknowledged(packet.packet_id)
        else:
            link.end(QOS_2)
            return False
        return True

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
                else too_large(len(packet.payload), self._door.limits.max_message_bytes)
            )
            return False
        if packet.packet_id is not None:
            self._telemetry.acknowledge_in_turn(packet.packet_id)
        self._door.service.active(self.hub, self.device_id)
        if isinstance(request, MethodResponse):
            self._door.service.methods.answered(self, request.rid, request.status, packet.payload)
        else:
            if self._twins is None:
                door = self._door
                self._twins = TwinExchange(door.service.twins, self, self._telemetry, door.clock)
            self._twins.receive(request, packet.payload)
        return True

    def _append(self, messages: list[TelemetryMessage], ids: list[int], size: int) -> None:
        self._telemetry.append(messages, ids, size)
        self._door.service.active(self.hub, self.device_id)

    # -- subscriptions -------------------------------------------------------------------------

    def _subscribe(self, packet: Subscribe) -> None:
        codes: list[int] = []
        subscriptions, added = self._subscriptions, subs.NONE
        for topic_filter, qos in packet.subscriptions:
            wanted = parse_filter(topic_filter, self.key[1])
            if wanted is None:
                codes.append(SubAckCode.FAILURE)
                continue
            granted = min(qos, 1)  # QoS 2 is not served
            codes.append(granted)
            subscriptions = subs.with_filter(subscriptions, wanted, granted)
            added = subs.with_filter(added, wanted, granted)
        self._change(
            subscriptions, lambda: self.link.machine.suback(packet.packet_id, codes), added
        )

    def _unsubscribe(self, packet: Unsubscribe) -> None:
        subscriptions = self._subscriptions
        for topic_filter in packet.topic_filters:
            unwanted = parse_filter(topic_filter, self.key[1])
            if unwanted is not None:
                subscriptions = subs.without_filter(subscriptions, unwanted)
            if unwanted is HubFilter.DEVICEBOUND and self._devicebound is not None:
                self._devicebound.pause()
        self._change(subscriptions, lambda: self.link.machine.unsuback(packet.packet_id), subs.NONE)

    def _change(self, subscriptions: int, answer: Callable[[], bytes], added: int) -> None:
        """Subscribe to `subscriptions`, `answer` once that is kept, then serve what was `added`."""
        changed = subscriptions != self._subscriptions
        self._subscriptions = subscriptions
        # What changes nothing waits for what did and is on the way: it asks for the same.
        if self._is_clean or not (changed or self._unkept):
            self._changed(answer, added, None)
            return
        self._unkept += 1
        self._door.keep_subscriptions(self, subscriptions, partial(self._kept, answer, added))

    def _kept(self, answer: Callable[[], bytes], added: int, error: BaseException | None) -> None:
        self._unkept -= 1
        self._changed(answer, added, error)

    def _changed(
        self, answer: Callable[[], bytes], added: int, error: BaseException | None
    ) -> None:
        if not self.is_open:
            return
        if error is not None:
            self.link.end(not_stored(error, "a subscription"))
            return
        self.link.write(answer())
        self._activate(subs.common(added, self._subscriptions))  # some may be gone again

    def _activate(self, subscriptions: int) -> None:
        """Begin to serve what was subscribed to."""
        if subs.granted_qos(subscriptions, HubFilter.METHODS) is not None:
            self._door.service.methods.ready(self.key)
        qos = subs.granted_qos(subscriptions, HubFilter.DEVICEBOUND)
        if qos is not None and not self._draining:
            if self._devicebound is None:
                self._devicebound = DeviceboundSender(
                    self._door.service.devicebound,
                    self.link,
                    self.hub,
                    self.key,
                    self.generation_id,
                    self._door.sent_before.take(self.key),
                )
            self._devicebound.begin(qos)
