"""Paho 1.6.1 (the codec inside the Azure Python device SDK) against the server's machine."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mooring.protocol.mqtt import (
    Connect,
    ConnectReturnCode,
    Disconnect,
    PeerError,
    PingReq,
    PubAck,
    Publish,
    ServerEvent,
    ServerMachine,
    ServerState,
    Subscribe,
    Subscription,
    Unsubscribe,
    Will,
)

paho = pytest.importorskip("paho.mqtt.client", reason="remedy: pip install 'paho-mqtt<2'")

pytestmark = pytest.mark.interop

TIMEOUT_S = 20.0
VECTORS = Path(__file__).parents[2] / "vectors" / "mqtt" / "dps_individual_x509.hex"


class Server:
    """One connection on a loopback port, served by a thread; every event goes to `events`."""

    def __init__(self, return_code: ConnectReturnCode = ConnectReturnCode.ACCEPTED) -> None:
        self.events: queue.Queue[ServerEvent] = queue.Queue()
        self.fault: BaseException | None = None
        self._return_code = return_code
        self._machine = ServerMachine()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(TIMEOUT_S)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def next(self) -> ServerEvent:
        return self.events.get(timeout=TIMEOUT_S)

    def close(self) -> None:
        self._thread.join(TIMEOUT_S)
        self._listener.close()
        assert not self._thread.is_alive()
        assert self.fault is None

    def _serve(self) -> None:
        try:
            connection, _ = self._listener.accept()
            with connection:
                connection.settimeout(TIMEOUT_S)
                while data := connection.recv(4096):
                    for event in self._machine.receive(data):
                        connection.sendall(self._answer(event))
                    if self._machine.state is ServerState.CLOSED:
                        break
        except (ConnectionResetError, BrokenPipeError):
            # Paho left with an answer of ours unread, as it may. What it had to say is in
            # `events`, and each test waits for that.
            return
        except (OSError, PeerError) as fault:
            self.fault = fault

    def _answer(self, event: ServerEvent) -> bytes:
        """Report `event` and return what it is answered with: each message comes back, too."""
        self.events.put(event)
        machine = self._machine
        match event:
            case Connect():
                if self._return_code:
                    return machine.refuse(self._return_code)
                return machine.accept() + b"".join(map(self._answer, machine.resume()))
            case Subscribe(packet_id, subscriptions):
                return machine.suback(packet_id, [min(qos, 1) for _, qos in subscriptions])
            case Unsubscribe(packet_id):
                return machine.unsuback(packet_id)
            case Publish():
                echo, _ = machine.publish("echo/" + event.topic, event.payload, event.qos)
                acknowledged = [] if event.packet_id is None else [event.packet_id]
                return machine.pubacks(acknowledged) + echo
            case PingReq():
                return machine.pingresp()
            case _:
                return b""


class PahoClient:
    """A Paho client with its network thread, and queues of what it reports."""

    def __init__(self, client_id: str = "gw01", **arguments: Any) -> None:
        self.connected: queue.Queue[int] = queue.Queue()
        self.messages: queue.Queue[Any] = queue.Queue()
        self.published: queue.Queue[int] = queue.Queue()
        self.subscribed: queue.Queue[tuple[int, ...]] = queue.Queue()
        self.unsubscribed: queue.Queue[int] = queue.Queue()
        self.client = paho.Client(client_id, protocol=paho.MQTTv311, **arguments)
        self.client.on_connect = lambda _c, _u, _f, code: self.connected.put(code)
        self.client.on_message = lambda _c, _u, message: self.messages.put(message)
        self.client.on_publish = lambda _c, _u, number: self.published.put(number)
        self.client.on_subscribe = lambda _c, _u, _m, granted: self.subscribed.put(granted)
        self.client.on_unsubscribe = lambda _c, _u, number: self.unsubscribed.put(number)

    def start(self, port: int, *, keep_alive_s: int = 60) -> None:
        self.client.connect("127.0.0.1", port, keepalive=keep_alive_s)
        self.client.loop_start()

    def stop(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def client() -> Iterator[Callable[..., PahoClient]]:
    made: list[PahoClient] = []

    def make(*arguments: Any, **named: Any) -> PahoClient:
        made.append(PahoClient(*arguments, **named))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def test_paho_connects_subscribes_publishes_and_receives(
    server: Server, client: Callable[..., PahoClient]
) -> None:
    device = client("gw01", clean_session=False)
    device.client.username_pw_set("user", "pass")
    device.client.will_set("w", b"gone", qos=1, retain=True)
    device.start(server.port)
    assert device.connected.get(timeout=TIMEOUT_S) == 0
    assert server.next() == Connect(
        "gw01", False, 60, "user", b"pass", Will("w", b"gone", 1, retain=True)
    )
    device.client.subscribe([("echo/#", 2), ("b/+", 0)])
    assert server.next() == Subscribe(1, (Subscription("echo/#", 2), Subscription("b/+", 0)))
    assert device.subscribed.get(timeout=TIMEOUT_S) == (1, 0)

    device.client.publish("up", b"zero", qos=0)
    assert server.next() == Publish("up", b"zero")
    device.client.publish("up", "ü" * 200, qos=1)
    assert server.next() == Publish("up", ("ü" * 200).encode(), 1, packet_id=3)
    assert {device.published.get(timeout=TIMEOUT_S) for _ in range(2)} == {2, 3}

    first, second = (device.messages.get(timeout=TIMEOUT_S) for _ in range(2))
    assert (first.topic, first.payload, first.qos) == ("echo/up", b"zero", 0)
    assert (second.topic, second.payload, second.qos) == ("echo/up", ("ü" * 200).encode(), 1)
    assert server.next() == PubAck(1)

    device.client.unsubscribe("b/+")
    assert server.next() == Unsubscribe(4, ("b/+",))
    assert device.unsubscribed.get(timeout=TIMEOUT_S) == 4
    device.stop()
    assert server.next() == Disconnect()


def test_paho_without_password_connects_as_x509_devices_do(
    server: Server, client: Callable[..., PahoClient]
) -> None:
    device = client("gw01", clean_session=False)
    device.client.username_pw_set("hub.hawser.test/gw01/?api-version=2019-10-01")
    device.start(server.port)
    assert device.connected.get(timeout=TIMEOUT_S) == 0
    assert server.next() == Connect(
        "gw01", False, 60, "hub.hawser.test/gw01/?api-version=2019-10-01"
    )


def test_paho_ping_is_answered(server: Server, client: Callable[..., PahoClient]) -> None:
    device = client()
    device.start(server.port, keep_alive_s=1)
    assert isinstance(server.next(), Connect)
    # A client that gets no PINGRESP gives up; this one pings again.
    assert [server.next() for _ in range(2)] == [PingReq(), PingReq()]


@pytest.mark.parametrize("code", [2, 3, 4, 5])
def test_paho_reads_the_refusal(code: int, client: Callable[..., PahoClient]) -> None:
    server = Server(ConnectReturnCode(code))
    device = client()
    device.client.connect("127.0.0.1", server.port)
    for _ in range(10):
        if device.client.loop(timeout=TIMEOUT_S / 10) != paho.MQTT_ERR_SUCCESS:
            break
    assert device.connected.get(timeout=TIMEOUT_S) == code
    server.close()


@pytest.mark.parametrize("protocol", [paho.MQTTv31, paho.MQTTv5])
def test_paho_of_another_version_is_answered_with_connack_1(protocol: int) -> None:
    machine = ServerMachine()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        device = paho.Client("gw01", protocol=protocol)
        device.connect("127.0.0.1", listener.getsockname()[1])
        connection, _ = listener.accept()
        with connection:
            device.loop_write()
            sent = connection.recv(4096)
        with pytest.raises(PeerError) as caught:
            machine.receive(sent)
        assert caught.value.reply == b"\x20\x02\x00\x01"
        device.disconnect()


def test_paho_and_the_vectors_agree_byte_by_byte(client: Callable[..., PahoClient]) -> None:
    lines = VECTORS.read_text(encoding="ascii").splitlines()
    trace = [line.split() for line in lines if line and not line.startswith("#")]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(TIMEOUT_S)
        device = client("gw01", clean_session=True)
        device.client.username_pw_set("0ne00HAWSER/registrations/gw01/api-version=2019-03-31")
        device.start(listener.getsockname()[1])
        connection, _ = listener.accept()
        actions: dict[str, Callable[[], object]] = {
            "SUBSCRIBE": lambda: device.client.subscribe("$dps/registrations/res/#", 1),
            "PUBLISH": lambda: device.client.publish(
                "$dps/registrations/PUT/iotdps-register/?$rid=7",
                b'{"registrationId":"gw01"}',
                qos=1,
            ),
        }
        with connection:
            connection.settimeout(TIMEOUT_S)
            for direction, name, text in trace:
                expected = bytes.fromhex(text)
                if direction == "S":
                    connection.sendall(expected)
                    continue
                if name == "SUBSCRIBE":
                    assert device.connected.get(timeout=TIMEOUT_S) == 0
                actions.get(name, lambda: None)()
                received = b""
                while len(received) < len(expected):
                    piece = connection.recv(len(expected) - len(received))
                    assert piece
                    received += piece
                assert received == expected, name
            message = device.messages.get(timeout=TIMEOUT_S)
            assert message.topic == "$dps/registrations/res/202/?$rid=7&retry-after=3"
            assert message.payload.startswith(b'{"operationId":"4.0123456789abcdef.7d0f"')
            device.stop()
