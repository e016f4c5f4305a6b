"""The client's machine against a real mosquitto over plain TCP."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tests.support.mosquitto import Mosquitto

from mooring.protocol.mqtt import (
    ClientEvent,
    ClientMachine,
    ConnAck,
    ConnectRefused,
    ConnectReturnCode,
    PingResp,
    PubAck,
    Publish,
    SubAckCode,
    SubscriptionAnswered,
    UnsubAck,
    Will,
)

pytestmark = pytest.mark.interop

E = TypeVar("E", bound=ClientEvent)

TIMEOUT_S = 20.0
"""For a loaded machine; an answer takes milliseconds."""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with Mosquitto.start(tmp_path_factory.mktemp("mosquitto")) as broker:
        yield broker


class Wire:
    """A blocking socket under a client machine."""

    def __init__(self, broker: Mosquitto, machine: ClientMachine | None = None) -> None:
        self.machine = ClientMachine() if machine is None else machine
        self._address = (broker.host, broker.port)
        self._events: list[ClientEvent] = []
        self._socket: socket.socket | None = None

    def connect(self, client_id: str, **arguments: Any) -> ConnAck:
        self._socket = socket.create_connection(self._address, timeout=TIMEOUT_S)
        self.send(self.machine.connect(client_id, **arguments))
        return self.next(ConnAck)

    def send(self, data: bytes) -> None:
        assert self._socket is not None
        self._socket.sendall(data)

    def next(self, kind: type[E]) -> E:
        """Return the next event, which must be of `kind` (also a union of types)."""
        assert self._socket is not None
        while not self._events:
            data = self._socket.recv(65536)
            assert data, "the broker closed the connection"
            self._events += self.machine.receive(data)
        event = self._events.pop(0)
        assert isinstance(event, kind), event
        return event

    def drop(self) -> None:
        """Lose the connection without DISCONNECT."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            self.machine.connection_lost()

    def subscribe(self, *subscriptions: tuple[str, int]) -> SubscriptionAnswered:
        data, packet_id = self.machine.subscribe(subscriptions)
        self.send(data)
        answered = self.next(SubscriptionAnswered)
        assert answered.packet_id == packet_id
        return answered


@pytest.fixture
def wire(broker: Mosquitto) -> Iterator[Callable[[], Wire]]:
    wires: list[Wire] = []

    def make() -> Wire:
        wires.append(Wire(broker))
        return wires[-1]

    yield make
    for one in wires:
        one.drop()


def test_subscribe_publish_and_receive_at_both_qualities(wire: Callable[[], Wire]) -> None:
    link = wire()
    assert link.connect("both") == ConnAck()
    answered = link.subscribe(("both/#", 1), ("other/+/x", 0))
    assert answered.answers == (
        ("both/#", SubAckCode.GRANTED_QOS_1),
        ("other/+/x", SubAckCode.GRANTED_QOS_0),
    )
    link.send(link.machine.publish("both/a", b"zero")[0])
    assert link.next(Publish) == Publish("both/a", b"zero")
    data, packet_id = link.machine.publish("both/b", b"one", 1)
    link.send(data)
    events = [link.next(Publish | PubAck), link.next(Publish | PubAck)]
    assert PubAck(packet_id or 0) in events
    (message,) = [event for event in events if isinstance(event, Publish)]
    assert (message.topic, message.payload, message.qos) == ("both/b", b"one", 1)
    assert message.packet_id is not None
    link.send(link.machine.puback(message.packet_id))
    assert link.machine.unacknowledged() == ()
    data, packet_id = link.machine.unsubscribe(["both/#"])
    link.send(data)
    assert link.next(UnsubAck) == UnsubAck(packet_id)
    link.send(link.machine.publish("both/c", b"unheard", 1)[0])
    link.next(PubAck)
    link.send(link.machine.ping())
    assert link.next(PingResp) == PingResp()
    link.send(link.machine.disconnect())


def test_window_of_messages_is_acknowledged_in_order(wire: Callable[[], Wire]) -> None:
    link = wire()
    link.connect("window")
    count = link.machine.window_free
    sent = [link.machine.publish("window", b"x" * 300, 1) for _ in range(count)]
    link.send(b"".join(data for data, _ in sent))
    assert [link.next(PubAck).packet_id for _ in range(count)] == [number for _, number in sent]


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_384, 250_000])
def test_payload_of_any_size_comes_back_whole(wire: Callable[[], Wire], size: int) -> None:
    link = wire()
    link.connect("sizes")
    link.subscribe(("sizes", 0))
    payload = bytes(index % 251 for index in range(size))
    link.send(link.machine.publish("sizes", payload)[0])
    assert link.next(Publish) == Publish("sizes", payload)


def test_unacknowledged_message_is_sent_again_in_the_kept_session(
    wire: Callable[[], Wire],
) -> None:
    listener = wire()
    listener.connect("listener")
    listener.subscribe(("again", 0))
    link = wire()
    assert not link.connect("again", clean_session=False).session_present
    data, packet_id = link.machine.publish("again", b"kept", 1)
    assert packet_id is not None
    # Lost before it was sent, as far as this side can tell.
    assert data
    link.drop()
    assert link.connect("again", clean_session=False).session_present
    link.send(link.machine.resend())
    assert link.next(PubAck) == PubAck(packet_id)
    assert listener.next(Publish) == Publish("again", b"kept")
    assert link.machine.resend() == b""


def test_message_not_acknowledged_comes_again_with_dup(wire: Callable[[], Wire]) -> None:
    link = wire()
    link.connect("dup", clean_session=False)
    link.subscribe(("dup", 1))
    other = wire()
    other.connect("dup-sender")
    other.send(other.machine.publish("dup", b"twice", 1)[0])
    first = link.next(Publish)
    link.drop()
    assert link.connect("dup", clean_session=False).session_present
    second = link.next(Publish)
    assert second == first._replace(dup=True)
    assert second.packet_id is not None
    link.send(link.machine.puback(second.packet_id))


def test_will_is_published_when_the_client_is_lost_but_not_after_disconnect(
    wire: Callable[[], Wire],
) -> None:
    listener = wire()
    listener.connect("will-listener")
    listener.subscribe(("will/#", 1))
    for name in ("polite", "lost"):
        link = wire()
        link.connect(name, will=Will(f"will/{name}", b"gone", 1))
        if name == "polite":
            link.send(link.machine.disconnect())
        link.drop()
    message = listener.next(Publish)
    assert (message.topic, message.payload, message.qos) == ("will/lost", b"gone", 1)


def test_retained_message_comes_with_its_flag(wire: Callable[[], Wire]) -> None:
    link = wire()
    link.connect("retain")
    link.send(link.machine.publish("retain", b"kept", 1, retain=True)[0])
    link.next(PubAck)
    link.subscribe(("retain", 0))
    assert link.next(Publish) == Publish("retain", b"kept", retain=True)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"client_id": "nobody"}, ConnectReturnCode.NOT_AUTHORIZED),
        (
            {"client_id": "x", "user_name": "known", "password": b"wrong"},
            ConnectReturnCode.NOT_AUTHORIZED,
        ),
    ],
    ids=["anonymous", "wrong password"],
)
def test_refusal_is_named(
    tmp_path: Path, arguments: dict[str, Any], code: ConnectReturnCode
) -> None:
    with Mosquitto.start(tmp_path, allow_anonymous=False) as broker:
        link = Wire(broker)
        try:
            with pytest.raises(ConnectRefused) as caught:
                link.connect(**arguments)
        finally:
            link.drop()
    assert caught.value.return_code is code
