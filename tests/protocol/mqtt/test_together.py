"""Client machine and server machine wired together in memory, by every kind of exchange."""

from __future__ import annotations

import pytest
from tests.support.mqtt_packets import cut

from mooring.protocol.mqtt import (
    ClientEvent,
    ClientMachine,
    ClientState,
    ConnAck,
    Connect,
    ConnectRefused,
    ConnectReturnCode,
    Disconnect,
    PingReq,
    PingResp,
    PubAck,
    Publish,
    ServerEvent,
    ServerMachine,
    ServerState,
    SubAckCode,
    Subscribe,
    SubscriptionAnswered,
    UnsubAck,
    Unsubscribe,
    Will,
)


class Link:
    """Two machines; whatever is sent arrives in pieces of `size` bytes."""

    def __init__(self, size: int) -> None:
        self.client = ClientMachine()
        self.server = ServerMachine()
        self._size = size

    def to_server(self, data: bytes) -> list[ServerEvent]:
        return [event for piece in cut(data, [self._size]) for event in self.server.receive(piece)]

    def to_client(self, data: bytes) -> list[ClientEvent]:
        return [event for piece in cut(data, [self._size]) for event in self.client.receive(piece)]

    def connect(self, **arguments: bool) -> None:
        (connect,) = self.to_server(self.client.connect("gw01", **arguments))
        assert isinstance(connect, Connect)
        assert self.to_client(self.server.accept()) == [ConnAck()]
        assert self.server.resume() == []

    def cut_off(self) -> None:
        self.client.connection_lost()
        self.server = ServerMachine()


@pytest.fixture(params=[1, 3, 10_000])
def link(request: pytest.FixtureRequest) -> Link:
    return Link(request.param)


def test_connect_carries_every_field(link: Link) -> None:
    data = link.client.connect(
        "gw01",
        user_name="user",
        password=b"pass",
        clean_session=False,
        keep_alive_s=77,
        will=Will("w", b"gone", 1, retain=True),
    )
    assert link.to_server(data) == [
        Connect("gw01", False, 77, "user", b"pass", Will("w", b"gone", 1, retain=True))
    ]
    assert link.to_client(link.server.accept(session_present=True)) == [
        ConnAck(session_present=True)
    ]
    assert link.client.state is ClientState.CONNECTED
    assert link.server.state is ServerState.CONNECTED


def test_refusal_reaches_the_client_by_name(link: Link) -> None:
    link.to_server(link.client.connect("gw01"))
    with pytest.raises(ConnectRefused) as caught:
        link.to_client(link.server.refuse(ConnectReturnCode.SERVER_UNAVAILABLE))
    assert caught.value.return_code is ConnectReturnCode.SERVER_UNAVAILABLE
    assert link.client.state is ClientState.CLOSED
    assert link.server.state is ServerState.CLOSED


def test_subscribe_and_unsubscribe_are_answered(link: Link) -> None:
    link.connect()
    data, packet_id = link.client.subscribe([("a/#", 1), ("b", 0)])
    (subscribe,) = link.to_server(data)
    assert isinstance(subscribe, Subscribe)
    codes = [1 if name.startswith("a/") else 0x80 for name, _ in subscribe.subscriptions]
    assert link.to_client(link.server.suback(subscribe.packet_id, codes)) == [
        SubscriptionAnswered(
            packet_id, (("a/#", SubAckCode.GRANTED_QOS_1), ("b", SubAckCode.FAILURE))
        )
    ]
    data, packet_id = link.client.unsubscribe(["a/#"])
    assert link.to_server(data) == [Unsubscribe(packet_id, ("a/#",))]
    assert link.to_client(link.server.unsuback(packet_id)) == [UnsubAck(packet_id)]


def test_messages_of_the_client_are_acknowledged_in_one_run(link: Link) -> None:
    link.connect()
    sent = b"".join(
        link.client.publish("t", str(number).encode(), number % 2)[0] for number in range(50)
    )
    messages = [event for event in link.to_server(sent) if isinstance(event, Publish)]
    assert [message.payload for message in messages] == [str(n).encode() for n in range(50)]
    ids = [message.packet_id for message in messages if message.packet_id is not None]
    assert len(link.client.unacknowledged()) == len(ids) == 25
    assert link.to_client(link.server.pubacks(ids)) == [PubAck(packet_id) for packet_id in ids]
    assert link.client.unacknowledged() == ()


def test_messages_of_the_server_are_acknowledged_one_by_one(link: Link) -> None:
    link.connect()
    data, packet_id = link.server.publish("t", b"down", 1)
    assert packet_id is not None
    free = link.server.window_free
    assert link.to_client(data) == [Publish("t", b"down", 1, packet_id=packet_id)]
    assert link.to_server(link.client.puback(packet_id)) == [PubAck(packet_id)]
    assert link.server.window_free == free + 1
    assert link.to_client(link.server.publish("t", b"down")[0]) == [Publish("t", b"down")]


def test_message_lost_with_its_connection_is_sent_again(link: Link) -> None:
    link.connect(clean_session=False)
    link.to_server(link.client.publish("t", b"first", 1)[0])
    link.cut_off()
    link.connect(clean_session=False)
    again = Publish("t", b"first", 1, dup=True, packet_id=1)
    assert link.to_server(link.client.resend()) == [again]
    assert link.to_client(link.server.pubacks([1])) == [PubAck(1)]
    data, _ = link.server.publish("t", b"down", 1, dup=True, packet_id=8)
    assert link.to_client(data) == [Publish("t", b"down", 1, dup=True, packet_id=8)]


def test_ping_is_answered(link: Link) -> None:
    link.connect()
    assert link.to_server(link.client.ping()) == [PingReq()]
    assert link.to_client(link.server.pingresp()) == [PingResp()]


def test_disconnect_ends_both(link: Link) -> None:
    link.connect()
    assert link.to_server(link.client.disconnect()) == [Disconnect()]
    assert link.server.state is ServerState.CLOSED
    assert link.client.state is ClientState.CLOSED
