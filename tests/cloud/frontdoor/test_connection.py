"""One connection against scripted services: order, waiting, failure, and who is told what."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from mooring.cloud.frontdoor.connection import MqttConnection
from mooring.cloud.frontdoor.door import FrontDoor
from mooring.cloud.frontdoor.limits import DEFAULT_LIMITS, DoorLimits
from mooring.cloud.frontdoor.link import DeviceLink, Ending
from mooring.cloud.hub.errors import ConnectRefused
from mooring.cloud.hub.model import (
    AuthenticatedDevice,
    AuthenticationType,
    ConnectionState,
    DeviceAuthentication,
    DeviceIdentity,
    DeviceStatus,
    Hub,
)
from mooring.cloud.hub.mqtt.door import HubMqtt
from mooring.protocol.azure.usernames import DpsUserName, HubUserName
from mooring.protocol.mqtt.codes import ConnectReturnCode
from mooring.protocol.mqtt.packets import Connect, Disconnect, Packet, PingReq
from mooring.runtime.attempts import Attempt
from mooring.runtime.clock import SYSTEM_CLOCK
from mooring.storage import state
from mooring.storage.errors import StorageFailed
from mooring.transport.server_application import Carrier

DPS = "0ne00000001/registrations/gw1/api-version=2019-03-31"
HUB = "hub.example/gw1/?api-version=2021-04-12"
ENDING = Ending("session", "test-ending", "the test says so", "none")


class Transport:
    """What a `ServerConnection` is to its application."""

    carrier = Carrier.TLS
    peer_address = "10.0.0.1"
    tls_version = "TLSv1.3"
    handshake_s = 0.001
    presented: tuple[Any, ...] = ()

    def __init__(self) -> None:
        self.sent = b""
        self.is_closing = False
        self.reading = True

    def forget_presented(self) -> None:
        pass

    def write(self, data: bytes) -> None:
        self.sent += data

    def close(self) -> None:
        self.is_closing = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class Session:
    """Notes what it is told."""

    def __init__(self, link: DeviceLink) -> None:
        self.link = link
        self.packets: list[Packet] = []
        self.endings: list[str] = []
        self.lost_orderly: list[bool] = []
        self.drained = 0
        self.on_packet: Callable[[Packet, Sequence[Packet]], bool] = lambda packet, rest: False

    def receive(self, packets: Sequence[Packet]) -> None:
        for position, packet in enumerate(packets):
            self.packets.append(packet)
            if self.on_packet(packet, packets[position + 1 :]):
                return

    def deadline(self, last_seen: float) -> tuple[float, Ending]:
        return last_seen + 90, ENDING

    def broken(self, ending: Ending) -> None:
        self.endings.append(ending.code)

    def lost(self, *, orderly: bool) -> None:
        self.lost_orderly.append(orderly)

    def drain(self) -> None:
        self.drained += 1


class Services:
    """Both doors: accepts everybody, the hub after `gate` is set."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.sessions: list[Session] = []
        self.failure: Exception | None = None

    def accept(self, link: DeviceLink) -> Session:
        if link.is_open:
            link.write(link.machine.accept())
        session = Session(link)
        self.sessions.append(session)
        link.recorder.finish()
        link.record(link.recorder.snapshot())
        return session


class Dps:
    def __init__(self, services: Services) -> None:
        self.services = services

    def open(self, link: DeviceLink, connect: Connect, user_name: DpsUserName) -> Session:
        return self.services.accept(link)


class HubDoor:
    def __init__(self, services: Services) -> None:
        self.services = services

    async def open(
        self, link: DeviceLink, connect: Connect, user_name: HubUserName
    ) -> Session | ConnectReturnCode:
        await self.services.gate.wait()
        if self.services.failure is not None:
            raise self.services.failure
        return self.services.accept(link)


class Attempts:
    def __init__(self) -> None:
        self.kept: list[Attempt] = []

    def record(self, attempt: Attempt) -> None:
        self.kept.append(attempt)

    @property
    def codes(self) -> list[str | None]:
        return [None if each.failure is None else each.failure.code for each in self.kept]


class Stand:
    """A connection with everything around it."""

    def __init__(self, limits: DoorLimits = DEFAULT_LIMITS) -> None:
        self.services = Services()
        self.attempts = Attempts()
        self.door = FrontDoor(
            Dps(self.services),
            HubDoor(self.services),
            self.attempts,
            limits=limits,
        )
        self.transport = Transport()
        self.connection: MqttConnection = self.door.application()
        self.connection.connection_made(self.transport)

    def feed(self, *packets: Any) -> None:
        self.connection.data_received(b"".join(packet.encode() for packet in packets))

    def connect(self, user_name: str, *more: Any) -> None:
        self.feed(Connect("gw1", user_name=user_name), *more)

    @property
    def session(self) -> Session:
        (session,) = self.services.sessions
        return session

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)


@pytest.fixture
async def stand() -> Stand:
    return Stand()


async def test_packets_sent_ahead_of_connack_reach_the_session_in_order(stand: Stand) -> None:
    stand.connect(HUB, PingReq())
    stand.connection.data_received(PingReq().encode() * 2)
    assert not stand.transport.reading
    assert stand.transport.sent == b""

    stand.services.gate.set()
    await stand.settle()

    assert stand.transport.sent == b"\x20\x02\x00\x00"
    assert len(stand.session.packets) == 3
    assert stand.transport.reading


async def test_packets_behind_a_task_wait_for_it(stand: Stand) -> None:
    stand.connect(DPS)
    session = stand.session
    gate = asyncio.Event()
    order: list[str] = []

    async def work() -> None:
        await gate.wait()
        order.append("work")

    def on_packet(packet: Packet, rest: Sequence[Packet]) -> bool:
        order.append("packet")
        if len(session.packets) == 1:
            session.link.run(work(), rest)
            return True
        return False

    session.on_packet = on_packet
    stand.feed(PingReq(), PingReq())
    stand.feed(PingReq())
    await stand.settle()
    assert order == ["packet"]
    with pytest.raises(RuntimeError):
        session.link.run(never := work(), ())
    never.close()

    gate.set()
    await stand.settle()

    assert order == ["packet", "work", "packet", "packet"]
    assert stand.transport.reading


async def test_task_after_task_keeps_the_order_of_what_waits(stand: Stand) -> None:
    stand.connect(DPS)
    session = stand.session
    done: list[int] = []

    async def work(number: int) -> None:
        await asyncio.sleep(0)
        done.append(number)

    def on_packet(packet: Packet, rest: Sequence[Packet]) -> bool:
        session.link.run(work(len(session.packets)), rest)
        return True

    session.on_packet = on_packet
    stand.feed(*[PingReq()] * 5)
    stand.feed(*[PingReq()] * 5)
    for _ in range(20):
        await stand.settle()

    assert done == list(range(1, 11))


async def test_client_that_sends_too_much_ahead_is_cut_off() -> None:
    stand = Stand(DoorLimits(max_held_bytes=100))
    stand.connect(HUB)
    stand.connection.data_received(b"\xc0\x00" * 40)
    assert not stand.transport.is_closing

    stand.connection.data_received(b"\xc0\x00" * 40)

    assert stand.transport.is_closing
    assert stand.attempts.codes == ["sent-too-much"]


async def test_task_that_fails_ends_the_connection_and_tells_no_detail(stand: Stand) -> None:
    stand.services.failure = RuntimeError("secret detail")
    stand.connect(HUB)
    stand.services.gate.set()
    await stand.settle()

    assert stand.transport.is_closing
    assert stand.attempts.codes == ["internal-error"]
    assert "secret" not in str(stand.attempts.kept)


async def test_task_that_fails_in_a_session_tells_the_session(stand: Stand) -> None:
    stand.connect(DPS)
    session = stand.session

    async def fail() -> None:
        raise RuntimeError("a defect")

    session.link.run(fail(), ())
    await stand.settle()

    assert session.endings == ["internal-error"]
    assert stand.transport.is_closing


async def test_connection_lost_while_it_is_judged_tells_the_session_that_comes_of_it(
    stand: Stand,
) -> None:
    stand.connect(HUB)
    stand.connection.connection_lost(None)
    stand.services.gate.set()
    await stand.settle()

    assert stand.session.lost_orderly == [False]


@pytest.mark.parametrize("orderly", [True, False])
async def test_connection_lost_says_whether_the_device_said_goodbye(
    stand: Stand, orderly: bool
) -> None:
    stand.connect(DPS)
    if orderly:
        stand.feed(Disconnect())
    stand.connection.connection_lost(None)

    assert stand.session.lost_orderly == [orderly]


async def test_drain_while_a_connect_is_judged_drains_the_session(stand: Stand) -> None:
    stand.connect(HUB)
    stand.connection.drain()
    stand.services.gate.set()
    await stand.settle()

    assert stand.session.drained == 1


async def test_drain_before_connect_closes_and_a_connect_after_it_is_refused_3(
    stand: Stand,
) -> None:
    stand.connection.drain()
    assert stand.transport.is_closing

    late = Stand()
    late.connection._draining = True
    late.connect(HUB)

    assert late.transport.sent == b"\x20\x02\x00\x03"
    assert late.attempts.codes == ["shutting-down"]


async def test_reading_resumes_only_when_nobody_holds_it_back(stand: Stand) -> None:
    stand.connect(DPS)
    stand.connection.pause_writing()
    stand.session.link.pause()
    stand.connection.resume_writing()
    assert not stand.transport.reading
    stand.session.link.resume()
    assert stand.transport.reading
    stand.session.link.resume()
    assert stand.transport.reading


async def test_end_is_recorded_once(stand: Stand) -> None:
    stand.connect(DPS)
    stand.session.link.end(ENDING)
    stand.session.link.end(ENDING)

    assert stand.session.endings == ["test-ending"]


async def test_connection_that_is_worked_on_is_not_timed_out(stand: Stand) -> None:
    stand.connect(HUB)
    now = SYSTEM_CLOCK.monotonic() + 1000

    assert stand.connection.due(now) == now + DEFAULT_LIMITS.connect_timeout_s
    assert not stand.transport.is_closing


# -- the hub's door against a registry that changes while a CONNECT is judged ---------------------

FIRST = Hub(1, "hub", "hub.example", 4, datetime(2030, 1, 1, tzinfo=UTC))


class HubServiceDouble:
    """Authenticates by script; tells its listeners what the script says."""

    def __init__(self) -> None:
        self.judged = 0
        self.before: list[Callable[[], None]] = []
        self.listener: Callable[[Hub, str], None] = lambda hub, device_id: None
        self.devices = SimpleNamespace(on_change=self._listen)
        self.hubs = SimpleNamespace(list=lambda: (FIRST,))
        self.telemetry = SimpleNamespace(
            source=lambda device, **more: SimpleNamespace(device_id=device.identity.device_id)
        )
        self.twins = SimpleNamespace(
            on_desired_change=lambda listener: None, set_model_id=lambda *named: None
        )
        self.sessions = SimpleNamespace(find=lambda *key: 0)
        throttle = SimpleNamespace(admit=lambda limit: None, is_on=False)
        self.throttling = SimpleNamespace(of=lambda hub: throttle)
        self.methods = SimpleNamespace(
            serve_by=lambda find: None, ready=lambda key: None, lost=lambda target: None
        )
        self.events: list[str] = []
        self.error: Exception | None = None

    def _listen(self, listener: Callable[[Hub, str], None]) -> None:
        self.listener = listener

    async def authenticate(self, connect: Any) -> AuthenticatedDevice:
        self.judged += 1
        await asyncio.sleep(0)
        if self.before:
            self.before.pop(0)()
        if self.error is not None:
            raise self.error
        identity = DeviceIdentity(
            device_id=connect.device_id,
            generation_id="1",
            etag="e",
            status=DeviceStatus.ENABLED,
            status_reason=None,
            status_updated_at=None,
            authentication=DeviceAuthentication(AuthenticationType.SELF_SIGNED, "AB" * 32),
            iot_edge=False,
            connection_state=ConnectionState.DISCONNECTED,
            connection_state_updated_at=None,
            last_activity_at=None,
            created_at=datetime(2030, 1, 1, tzinfo=UTC),
        )
        return AuthenticatedDevice(FIRST, identity, None)

    def connected(self, hub: Hub, device_id: str) -> None:
        self.events.append("connected")

    def disconnected(self, hub: Hub, device_id: str) -> None:
        self.events.append("disconnected")


class HubStand(Stand):
    """A connection to the real hub door."""

    def __init__(self, service: HubServiceDouble) -> None:
        self.service = service
        super().__init__()
        self.door.hub = HubMqtt(service, storage_state=lambda: state.OK)


async def test_connect_is_judged_anew_when_the_identity_changes_meanwhile() -> None:
    service = HubServiceDouble()
    stand = HubStand(service)
    service.before = [lambda: service.listener(FIRST, "gw1")]

    stand.connect(HUB)
    await stand.settle()

    assert service.judged == 2
    assert stand.transport.sent == b"\x20\x02\x00\x00"


async def test_connect_is_not_judged_anew_when_another_identity_changes() -> None:
    service = HubServiceDouble()
    stand = HubStand(service)
    service.before = [lambda: service.listener(FIRST, "gw2")]

    stand.connect(HUB)
    await stand.settle()

    assert service.judged == 1


async def test_connect_is_refused_3_when_the_identity_changes_all_the_time() -> None:
    service = HubServiceDouble()
    stand = HubStand(service)
    service.before = [lambda: service.listener(FIRST, "gw1")] * 9

    stand.connect(HUB)
    for _ in range(5):
        await stand.settle()

    assert service.judged == 3
    assert stand.transport.sent == b"\x20\x02\x00\x03"
    assert stand.transport.is_closing
    assert stand.attempts.codes == ["identity-unsettled"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StorageFailed("the disk fails", "replace it"), 3),
        (ConnectRefused("no", "yes"), 5),
    ],
)
async def test_connect_that_cannot_be_judged_or_is_refused_gets_its_code(
    error: Exception, code: int
) -> None:
    service = HubServiceDouble()
    stand = HubStand(service)
    service.error = error

    stand.connect(HUB)
    await stand.settle()

    assert stand.transport.sent == bytes((0x20, 2, 0, code))
    assert service.events == []


async def test_connect_of_a_client_that_is_gone_takes_nothing_over() -> None:
    service = HubServiceDouble()
    stand = HubStand(service)
    stand.connect(HUB)
    await stand.settle()
    assert service.events == ["connected"]

    newer = Stand()
    newer.door.hub = stand.door.hub
    newer.connect(HUB)
    newer.connection.connection_lost(None)
    await newer.settle()

    assert newer.attempts.codes == ["gone-before-connack"]
    assert not stand.transport.is_closing
    assert service.events == ["connected"]
