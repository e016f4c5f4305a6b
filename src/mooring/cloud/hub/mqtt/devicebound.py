"""Cloud-to-device messages of one connection: PUBACK completes (iothub.md 1.6).

MQTT has no reject and no abandon. What is not acknowledged when the connection ends goes back to
the queue, uncounted. At QoS 0 a message is complete once it is sent.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from types import MappingProxyType
from typing import TypeAlias

from mooring.cloud.frontdoor.link import DeviceLink
from mooring.cloud.hub.devicebound.errors import LockLost
from mooring.cloud.hub.devicebound.model import LockedMessage
from mooring.cloud.hub.devicebound.service import DeviceboundService
from mooring.cloud.hub.model import Hub
from mooring.runtime.logs import get_logger
from mooring.storage.errors import StorageError

MAX_UNACKNOWLEDGED = 10
"""Messages sent to one device and not acknowledged: at 64 KB each, what a slow link and a small
device can bear, and enough for a quick one."""

MAX_REMEMBERED_DEVICES = 10_000
"""Devices whose packet identifiers are remembered while they are away, some 1 KB each. Whoever is
forgotten gets the message as a new one, as after a restart."""

PacketIds: TypeAlias = Mapping[int, int]
"""Of messages that an earlier connection got: the packet identifier of each."""

_NO_IDS: PacketIds = MappingProxyType({})
_log = get_logger("cloud.hub.mqtt")


class SentBefore:
    """What devices with a kept session were sent and did not acknowledge.

    Such a message keeps its packet identifier and is sent with DUP [MQTT-4.4.0-1].
    """

    def __init__(self) -> None:
        """Remember nothing."""
        self._ids: dict[tuple[int, str], PacketIds] = {}

    def keep(self, key: tuple[int, str], ids: PacketIds) -> None:
        """Remember `ids` for the next connection of a device."""
        self._ids.pop(key, None)
        if not ids:
            return
        if len(self._ids) >= MAX_REMEMBERED_DEVICES:
            del self._ids[next(iter(self._ids))]
        self._ids[key] = ids

    def take(self, key: tuple[int, str]) -> PacketIds:
        """Return what is remembered of a device, and forget it."""
        return self._ids.pop(key, _NO_IDS)


class DeviceboundSender:
    """Sends a device its messages while it is subscribed, and completes what it acknowledges."""

    __slots__ = (
        "_generation_id",
        "_hub",
        "_in_flight",
        "_key",
        "_link",
        "_qos",
        "_sent_before",
        "_service",
        "_uncompleted",
        "_unstored",
    )

    def __init__(
        self,
        service: DeviceboundService,
        link: DeviceLink,
        hub: Hub,
        key: tuple[int, str],
        generation_id: str,
        sent_before: PacketIds,
    ) -> None:
        """Send nothing yet; `sent_before` are the packet identifiers of an earlier connection."""
        self._service = service
        self._link = link
        self._hub = hub
        self._key = key
        self._generation_id = generation_id
        self._sent_before = sent_before
        self._qos: int | None = None
        self._in_flight: dict[int, LockedMessage] = {}
        self._unstored = 0
        self._uncompleted: list[LockedMessage] = []

    @property
    def unacknowledged(self) -> PacketIds:
        """Return what was sent and not acknowledged."""
        return {
            locked.message.message_key: packet_id for packet_id, locked in self._in_flight.items()
        }

    def begin(self, qos: int) -> None:
        """Send what waits, at `qos` from now on, and what comes."""
        if self._qos is None:
            self._service.subscribe(self._hub, self._key[1], self.pump)
        self._qos = qos
        self.pump()

    def pause(self) -> None:
        """Send no more; what was sent can still be acknowledged."""
        if self._qos is not None:
            self._qos = None
            self._service.unsubscribe(self._hub, self._key[1], self.pump)

    def end(self) -> None:
        """Give back what was not acknowledged: the connection is over."""
        self.pause()
        self._service.release(self)

    def acknowledged(self, packet_id: int) -> None:
        """Complete the message that was sent under `packet_id`; others are none of ours."""
        locked = self._in_flight.pop(packet_id, None)
        if locked is not None:
            self._complete(locked)
            self.pump()

    def pump(self) -> None:
        """Send as much of the queue as the device may have unacknowledged."""
        qos = self._qos
        if qos is None or not self._link.is_open:
            return
        self._complete_again()
        # At QoS 0 what is not yet completed on disk counts, so that a queue is not sent faster
        # than it is emptied.
        under_way = len(self._in_flight) + self._unstored + len(self._uncompleted)
        room = MAX_UNACKNOWLEDGED - under_way
        if room <= 0:
            return
        try:
            messages = self._service.take(
                self._hub, self._key[1], self._generation_id, room, holder=self
            )
        except StorageError as error:
            _log.warning("a queue cannot be read", device_id=self._key[1], reason=error.message)
            return
        sent_before, self._sent_before = self._sent_before, _NO_IDS
        taken = sent_before.values()  # a new message may come before one that is sent again
        for locked in messages:
            self._send(locked, qos, sent_before.get(locked.message.message_key), taken)

    def _send(
        self, locked: LockedMessage, qos: int, packet_id: int | None, taken: Collection[int]
    ) -> None:
        link, message = self._link, locked.message
        topic = f"devices/{self._key[1]}/messages/devicebound/{message.properties}"
        if qos == 0:
            data, _ = link.machine.publish(topic, message.body, 0)
            link.write(data)
            self._complete(locked)
            return
        data, packet_id = link.machine.publish(
            topic, message.body, 1, dup=packet_id is not None, packet_id=packet_id, taken=taken
        )
        assert packet_id is not None  # QoS 1 has one
        self._in_flight[packet_id] = locked
        link.write(data)

    def _complete(self, locked: LockedMessage) -> None:
        self._unstored += 1
        done = partial(self._completed, locked)
        try:
            self._service.complete(self._hub, self._key[1], locked.lock_token, done)
        except (LockLost, StorageError) as error:
            done(error)

    def _complete_again(self) -> None:
        uncompleted, self._uncompleted = self._uncompleted, []
        for locked in uncompleted:
            self._complete(locked)

    def _completed(self, locked: LockedMessage, error: BaseException | None) -> None:
        self._unstored -= 1
        if error is not None and not isinstance(error, LockLost):
            # Tried again when something else is sent or stored. The connection's end gives the
            # message back, and it is delivered again: at least once is what was promised.
            self._uncompleted.append(locked)
            _log.warning("a completion was not stored", device_id=self._key[1], reason=str(error))
            return
        if error is None:
            self.pump()
