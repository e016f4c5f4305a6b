"""Cloud-to-device messages survive `kill -9`: none that was accepted is lost or goes astray."""

from __future__ import annotations

import json
import random
import struct
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest
from tests.durability.devices import RECONNECT_PAUSE_S, Credential, make_credential, open_mqtt
from tests.support.cloud import CloudProcess, running_cloud
from tests.support.rawmqtt import PUBACK, PUBLISH, ConnectionEnded, RawMqtt, packet

KILLS = 40
LONGEST_LIFE_S = 0.5
DRAIN_S = 30.0
NAMES = ("pump", "Pump")
"""They differ in case only: what went to the other one would be seen."""


@dataclass
class Receiver(threading.Thread):
    """Takes messages of its device in a kept session, and acknowledges most of them."""

    cloud: CloudProcess
    credential: Credential
    stop: threading.Event
    chance: random.Random
    received: list[int] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Be a thread that ends with the test."""
        super().__init__(daemon=True)

    def __hash__(self) -> int:
        """Be usable as a thread."""
        return id(self)

    def run(self) -> None:
        """Connect, take messages, and come back after each kill."""
        while not self.stop.is_set():
            try:
                with open_mqtt(self.cloud, self.credential) as client:
                    self._take(client)
            except (OSError, ConnectionEnded):
                time.sleep(RECONNECT_PAUSE_S)

    def _take(self, client: RawMqtt) -> None:
        name = self.credential.common_name
        user_name = f"{self.cloud.address}/{name}/?api-version=2021-04-12"
        if client.connect(name, user_name, clean=False) != 0:
            raise ConnectionEnded("refused")
        topic_filter = f"devices/{name}/messages/devicebound/#".encode()
        subscribe = struct.pack("!HH", 1, len(topic_filter)) + topic_filter + b"\x01"
        client.send(packet(8, 2, subscribe))
        while not self.stop.is_set():
            message = client.read()
            if message.kind != PUBLISH:
                continue
            document = json.loads(message.payload)
            if document["to"] != name or not message.topic.startswith(f"devices/{name}/messages"):
                self.faults.append(f"{name} got {document} on {message.topic}")
            self.received.append(document["number"])
            if self.chance.random() < 0.02:
                raise ConnectionEnded("gone with something not acknowledged")
            client.send(packet(PUBACK, 0, struct.pack("!H", message.packet_id)))


@dataclass
class BackEnd(threading.Thread):
    """Sends numbered messages to the devices in turn, as fast as their queues take them."""

    cloud: CloudProcess
    api: httpx.Client
    stop: threading.Event
    sent: dict[str, set[int]] = field(default_factory=lambda: {name: set() for name in NAMES})
    accepted: dict[str, dict[int, int]] = field(
        default_factory=lambda: {name: {} for name in NAMES}
    )
    """Of each device: sequence numbers by the message's own number."""

    def __post_init__(self) -> None:
        """Be a thread that ends with the test."""
        super().__init__(daemon=True)

    def __hash__(self) -> int:
        """Be usable as a thread."""
        return id(self)

    def run(self) -> None:
        """Send, the next number whatever became of the one before."""
        number = 0
        while not self.stop.is_set():
            number += 1
            name = NAMES[number % len(NAMES)]
            self.sent[name].add(number)
            message = {
                "body": {"to": name, "number": number},
                "systemProperties": {"messageId": str(number), "ack": "full"},
            }
            try:
                response = self.api.post(
                    f"hubs/hub/devices/{name}/messages/devicebound", json=message
                )
            except httpx.TransportError:
                time.sleep(RECONNECT_PAUSE_S)
                continue
            if response.status_code == 403:  # fifty wait
                time.sleep(RECONNECT_PAUSE_S)
                continue
            assert response.status_code == 201, response.text
            self.accepted[name][number] = response.json()["sequenceNumber"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_kill_at_random_moments_loses_no_accepted_message(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    with running_cloud(tmp_path / "state") as cloud, cloud.api() as api:
        # Pinned by thumbprint: what its certificate is made out to does not matter.
        credentials = [
            replace(make_credential(tmp_path, f"pump{number}"), common_name=name)
            for number, name in enumerate(NAMES)
        ]
        for credential in credentials:
            cloud.add_device(credential.common_name, credential.thumbprint)
        stop, done = threading.Event(), threading.Event()
        receivers = [
            Receiver(cloud, credential, done, random.Random(seed)) for credential in credentials
        ]
        back_end = BackEnd(cloud, api, stop)
        for thread in (*receivers, back_end):
            thread.start()

        for _ in range(KILLS):
            time.sleep(chance.uniform(0.02, LONGEST_LIFE_S))
            cloud.kill()
            cloud.start()
        stop.set()
        back_end.join(30)
        assert not back_end.is_alive()
        deadline = time.monotonic() + DRAIN_S
        while any(_waiting(cloud, name) for name in NAMES) and time.monotonic() < deadline:
            time.sleep(0.1)
        done.set()

        successes: dict[str, set[int]] = {name: set() for name in NAMES}
        for record in cloud.get("hubs/hub/messages/feedback", limit=1000)["value"]:
            assert record["statusCode"] == "Success", f"{record} (seed {seed})"
            successes[record["deviceId"]].add(int(record["originalMessageId"]))
        for receiver in receivers:
            name = receiver.credential.common_name
            assert not receiver.faults, f"seed {seed}: {receiver.faults[:3]}"
            got, accepted = set(receiver.received), back_end.accepted[name]
            assert not accepted.keys() - got, f"{name} lost some (seed {seed})"
            assert got <= back_end.sent[name], f"seed {seed}"
            assert successes[name] <= got, f"{name}: told before it was received (seed {seed})"
            first = list(dict.fromkeys(receiver.received))
            assert first == sorted(first), f"{name}: out of order (seed {seed})"
            numbers = list(accepted.values())
            assert numbers == sorted(set(numbers)), f"{name}: numbers used twice (seed {seed})"
        assert sum(map(len, back_end.accepted.values())) > KILLS * 5
        assert any(successes.values())


def _waiting(cloud: CloudProcess, name: str) -> int:
    return int(cloud.get(f"hubs/hub/devices/{name}")["cloudToDeviceMessageCount"])
