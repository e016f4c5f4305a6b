"""Devices of a running house: added, connected and heard by the command's own words."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.commandline import CommandLine
from tests.support.dps_commands import fresh_name
from tests.support.rawmqtt import PUBACK, PUBLISH, ConnectionEnded, RawMqtt
from tests.support.sastokens import sign_token

from mooring.cli.api_access import read_facts
from mooring.protocol.azure.connection_strings import parse_connection_string

API_VERSION = "2021-04-12"


class Device:
    """A device with a symmetric key, on a connection of its own."""

    def __init__(self, mooring: CommandLine, name: str) -> None:
        """Connect as `mooring hub device connection-string` says."""
        self.name = name
        parts = parse_connection_string(
            mooring.text("hub", "device", "connection-string", name).strip()
        )
        assert parts.host_name
        assert parts.shared_access_key
        self._raw = RawMqtt(
            mooring.address, 8883, ca_file=Path(read_facts(mooring.state, "cloud")["ca_file"])
        )
        code = self._raw.connect(
            name,
            f"{parts.host_name}/{name}/?api-version={API_VERSION}",
            password=sign_token(
                f"{parts.host_name}/devices/{name}", parts.shared_access_key, policy=None
            ),
        )
        assert code == 0

    def tell(self, payload: bytes, properties: str = "") -> None:
        """Send telemetry; returns when the hub has it."""
        self._raw.publish(f"devices/{self.name}/messages/events/{properties}", payload)
        self._raw.expect(PUBACK)

    def listen(self, topic_filter: str) -> None:
        """Subscribe at QoS 0."""
        self._raw.subscribe(topic_filter, qos=0)

    def hear(self) -> tuple[str, bytes]:
        """Return topic and payload of the next message from the hub."""
        packet = self._raw.expect(PUBLISH)
        return packet.topic, packet.payload

    @contextmanager
    def answering(self, status: int, payload: bytes) -> Iterator[list[tuple[str, bytes]]]:
        """Answer every method so, in a thread; yields what was called."""
        self.listen("$iothub/methods/POST/#")
        heard: list[tuple[str, bytes]] = []

        def serve() -> None:
            try:
                while True:
                    topic, body = self.hear()
                    heard.append((topic.split("/")[3], body))
                    rid = topic.partition("?$rid=")[2]
                    answer = f"$iothub/methods/res/{status}/?$rid={rid}"
                    self._raw.publish(answer, payload, packet_id=None)
            except (ConnectionEnded, OSError):
                return  # the test is over

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield heard
        finally:
            self._raw.socket.shutdown(2)
            thread.join()

    def close(self) -> None:
        """End the connection."""
        self._raw.close()


@contextmanager
def added(mooring: CommandLine, *options: str) -> Iterator[str]:
    """Add a device with a symmetric key for the time of a test; yields its id."""
    name = fresh_name("device")
    mooring.text("hub", "device", "add", name, *options)
    try:
        yield name
    finally:
        mooring.run("hub", "device", "delete", name)


@contextmanager
def connected(mooring: CommandLine, *options: str) -> Iterator[Device]:
    """Add a device and connect it, for the time of a test."""
    with added(mooring, *options) as name:
        device = Device(mooring, name)
        try:
            yield device
        finally:
            device.close()
